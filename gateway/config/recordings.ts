/** The section `recordings`: where sessions are recorded, under which key, and for how long. */
import type { z } from 'zod';
import { wrappingKey } from '../recordings/keys.ts';
import type { Secret } from '../secrets.ts';
import { section } from './problems.ts';
import { absolutePath, duration, size } from './units.ts';

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
  }).transform(({ old_keys, results, retention, max_bytes, ...rest }) => ({
    ...rest,
    oldKeys: old_keys,
    resultBytes: results,
    retentionMs: retention,
    maxBytes: max_bytes,
  }));
}
