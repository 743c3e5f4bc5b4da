/** The section `recordings`: where sessions are recorded, under which key, and for how long. */
import { z } from 'zod';
import { wrappingKey } from '../recordings/keys.ts';
import type { Secret } from '../secrets.ts';
import { section } from './problems.ts';
import { absolutePath, duration, issuerUrl, line, size } from './units.ts';

const RESULTS_BYTES = 256 << 10;

export function recordingsSection(secret: z.ZodType<Secret, string>) {
  const key = secret.superRefine((value, context) => {
    try {
      wrappingKey(value.reveal());
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    }
  });
  return section({
    dir: absolutePath,
    key: key.optional(),
    old_keys: key.array().max(20).default([]),
    results: size(0, 16 << 20).default(RESULTS_BYTES),
    retention: duration('1d', '3650d').optional(),
    max_bytes: size(1 << 20, 1024 ** 5).optional(),
    store: section({ s3: s3Section(secret) }).optional(),
  }).transform(({ old_keys, results, retention, max_bytes, ...rest }) => ({
    ...rest,
    oldKeys: old_keys,
    resultBytes: results,
    retentionMs: retention,
    maxBytes: max_bytes,
  }));
}

const BUCKET_EXPECTED = 'expected the name of a bucket';
const PREFIX_EXPECTED = 'expected letters, digits, . _ - and /, ending with /';

function s3Section(secret: z.ZodType<Secret, string>) {
  return section({
    endpoint: issuerUrl.optional(), // left out: AWS itself
    region: line('expected a region, like eu-central-1', 64).default('us-east-1'),
    bucket: line(BUCKET_EXPECTED, 63).regex(/^[a-z0-9][a-z0-9.-]+$/, BUCKET_EXPECTED),
    prefix: z
      .string({ error: PREFIX_EXPECTED })
      .max(200)
      .regex(/^([A-Za-z0-9_-][A-Za-z0-9._-]*\/)*$/, PREFIX_EXPECTED)
      .default(''),
    access_key: secret,
    secret_key: secret,
    path_style: z.boolean({ error: 'expected true or false' }).optional(),
    object_lock: duration('1d', '3650d').optional(),
  }).transform(({ access_key, secret_key, path_style, object_lock, ...rest }) => ({
    ...rest,
    accessKey: access_key,
    secretKey: secret_key,
    pathStyle: path_style ?? rest.endpoint !== undefined, // what is not AWS seldom has a host name for each bucket
    objectLockMs: object_lock,
  }));
}
