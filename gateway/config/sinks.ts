/** `audit.sinks`: where audit entries are sent as they are written. */
import { z } from 'zod';
import { kindsOf } from '../audit/out/select.ts';
import { FACILITIES, type Facility } from '../audit/out/syslog.ts';
import { isReference, Secret } from '../secrets.ts';
import { section } from './problems.ts';
import { address, count, duration, line, size } from './units.ts';

const NAME_EXPECTED = 'expected a name like siem: a-z, 0-9 and -, at most 40 characters';
const KIND_EXPECTED = 'expected a kind of audit entry, like operation, or kinds like hold.*';
const FACILITY_EXPECTED = `expected one of ${Object.keys(FACILITIES).join(', ')}`;
const URL_EXPECTED = 'expected an https:// URL (http:// only on this machine), or a reference to one';
const SECRET_EXPECTED = 'expected a secret of at least 16 characters';
const ONE_EXPECTED = 'expected syslog or webhook, and one of them';
const MOST_SINKS = 10; // each reads the trail for itself

/** `outside` reads references and files. */
export function sinksSection(outside: {
  readonly secret: z.ZodType<Secret, string>;
  readonly certificateFile: z.ZodType<string>;
  readonly keyFile: z.ZodType<Secret>;
}) {
  const { secret, certificateFile, keyFile } = outside;
  const webhookUrl = z.unknown().transform((value, context): Secret => {
    const parsed = typeof value === 'string' && isReference(value) ? secret.safeParse(value) : undefined;
    const url = parsed?.success ? parsed.data : new Secret(typeof value === 'string' ? value : '');
    if (parsed && !parsed.success) {
      for (const { message } of parsed.error.issues) context.addIssue({ code: 'custom', message });
    } else if (isWebhookUrl(url.reveal())) return url;
    else context.addIssue({ code: 'custom', message: URL_EXPECTED });
    return z.NEVER;
  });
  const syslog = section({
    address,
    tls: section({ ca: certificateFile.optional(), cert: certificateFile.optional(), key: keyFile.optional() })
      .refine(({ cert, key }) => (cert === undefined) === (key === undefined), 'expected cert and key, or neither')
      .prefault({}),
    facility: z
      .enum(Object.keys(FACILITIES) as [Facility, ...Facility[]], { error: FACILITY_EXPECTED })
      .default('audit'),
  });
  const webhook = section({
    url: webhookUrl,
    secret: secret.refine((value) => value.reveal().length >= 16, SECRET_EXPECTED),
    tls: section({ ca: certificateFile }).optional(),
    timeout: duration('1s', '2m').default(15_000),
    batch: section({
      entries: count(1, 10_000).default(500),
      bytes: size(1 << 10, 16 << 20).default(1 << 20), // what common receivers take at once
    }).prefault({}),
  }).transform(({ timeout, ...rest }) => ({ ...rest, timeoutMs: timeout }));
  const kinds = z
    .array(
      line(KIND_EXPECTED, 64).refine((kind) => kindsOf([kind]) !== undefined, KIND_EXPECTED),
      { error: 'expected a list of kinds of audit entries' },
    )
    .min(1, 'expected at least one; leave kinds out for all')
    .max(200);
  const sink = section({
    name: z
      .string({ error: NAME_EXPECTED })
      .regex(/^[a-z0-9](?:[a-z0-9-]{0,39})$/, NAME_EXPECTED)
      .optional(),
    kinds: kinds.optional(),
    max_behind: duration('1d', '3650d').optional(),
    syslog: syslog.optional(),
    webhook: webhook.optional(),
  })
    .refine(({ syslog: one, webhook: other }) => (one === undefined) !== (other === undefined), ONE_EXPECTED)
    .transform(({ max_behind, ...rest }) => ({ ...rest, name: rest.name ?? nameOf(rest), maxBehindMs: max_behind }));
  return z
    .array(sink, { error: 'expected a list of sinks' })
    .max(MOST_SINKS, `expected at most ${MOST_SINKS}`)
    .superRefine((sinks, context) => {
      sinks.forEach(({ name }, at) => {
        const first = sinks.findIndex((other) => other.name === name);
        if (first === at) return;
        const message = `sinks[${first}] has the name ${name} already: what was sent is remembered by it`;
        context.addIssue({ code: 'custom', path: [at, 'name'], message });
      });
    })
    .default([]);
}

/** What was sent is remembered under it: it must not change while the receiver is the same. */
function nameOf(sink: { syslog?: { address: { host: string } }; webhook?: { url: Secret } }): string {
  const host = sink.syslog?.address.host ?? new URL(sink.webhook?.url.reveal() ?? '').hostname;
  const plain = host
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return `${sink.syslog ? 'syslog' : 'webhook'}-${plain}`.slice(0, 40);
}

function isWebhookUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || url.username || url.password || url.hash) return false;
  const here = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  return url.protocol === 'https:' || (url.protocol === 'http:' && here);
}
