/** Durations, sizes, addresses, URLs, keys, paths: one schema each, so that the whole file speaks alike. */
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { signingKey, verifyingKey } from '../../queue/sign.ts';
import { isReference, readNamed, resolveReference, Secret, type SecretSources } from '../secrets.ts';

const DURATION = /^(\d{1,9})(ms|s|m|h|d)$/;
const MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE = /^(\d{1,16}) ?(B|KB|KiB|MB|MiB|GB|GiB)?$/;
const BYTES: Readonly<Record<string, number>> = { B: 1, K: 1 << 10, M: 1 << 20, G: 1 << 30 };
const ADDRESS = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/;

export type Address = { readonly host: string; readonly port: number };

/** `15m` to milliseconds, within bounds that are themselves durations. */
export function duration(least: string, most: string) {
  const [min, max] = [toMs(least) ?? 0, toMs(most) ?? 0];
  const expected = `expected a duration from ${least} to ${most}, like 500ms, 30s, 15m, 12h or 7d`;
  return z.string({ error: expected }).transform((text, context) => {
    const ms = toMs(text);
    if (ms !== undefined && ms >= min && ms <= max) return ms;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

function toMs(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * MS[unit as keyof typeof MS];
}

/** `64KB` to bytes; K, M and G are powers of 1024. */
export function size(least: number, most: number) {
  const expected = `expected a size from ${shownSize(least)} to ${shownSize(most)}, like 64KB or 1MB`;
  return z.union([z.string(), z.number()], { error: expected }).transform((value, context) => {
    const [, count, unit = 'B'] = SIZE.exec(String(value)) ?? [];
    const bytes = count === undefined ? Number.NaN : Number(count) * (BYTES[unit[0] ?? 'B'] ?? Number.NaN);
    if (bytes >= least && bytes <= most) return bytes;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

function shownSize(bytes: number): string {
  const unit = (['GB', 'MB', 'KB'] as const).find((name) => bytes % (BYTES[name[0] ?? ''] ?? 1) === 0 && bytes > 0);
  return unit === undefined ? `${bytes}` : `${bytes / (BYTES[unit[0] ?? ''] ?? 1)}${unit}`;
}

export function count(least: number, most: number) {
  const expected = `expected a whole number from ${least} to ${most}`;
  return z.number({ error: expected }).int(expected).min(least, expected).max(most, expected);
}

const ADDRESS_EXPECTED = 'expected host:port, like 127.0.0.1:15432 or [::1]:15432';

/** Port 0 lets the system choose one. */
export const address = z.string({ error: ADDRESS_EXPECTED }).transform((text, context): Address => {
  const [, v6, name, port] = ADDRESS.exec(text) ?? [];
  const host = v6 ?? name;
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  context.addIssue({ code: 'custom', message: ADDRESS_EXPECTED });
  return z.NEVER;
});

export const host = z
  .string({ error: 'expected a host name or address' })
  .regex(/^[A-Za-z0-9._:-]{1,253}$/, 'expected a host name or address, without port or brackets');

/** One line of text for people or other systems: no control characters, bounded. */
export function line(expected: string, max = 400) {
  return z.string({ error: expected }).min(1, expected).max(max).refine(isOneLine, expected);
}

const isOneLine = (text: string) => ![...text].some((character) => character < ' ' || character === '\u007f');

const PATH_EXPECTED = 'expected an absolute path';
export const absolutePath = line(PATH_EXPECTED, 4_000).refine(isAbsolute, PATH_EXPECTED);

const URL_EXPECTED = 'expected an https:// URL (http:// only on this machine), without user, query or fragment';
export const issuerUrl = z.string({ error: URL_EXPECTED }).refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || url.username || url.password || url.search || url.hash) return false;
  const here = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  return url.protocol === 'https:' || (url.protocol === 'http:' && here);
}, URL_EXPECTED);

export const publicKey = z
  .string({ error: 'expected ed25519:… as printed by `countersign keygen`' })
  .superRefine((text, context) => {
    const mistake = mistakeOf(() => verifyingKey(text));
    if (mistake !== undefined) context.addIssue({ code: 'custom', message: mistake });
  });

/** The schemas that reach outside the file: references to secrets, and files named by path. */
export function outside(sources: SecretSources) {
  const secret = z.string({ error: `expected \${env:NAME} or \${file:/path}` }).transform((text, context): Secret => {
    try {
      return resolveReference(text, sources);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  });
  const privateKey = secret.superRefine((value, context) => {
    const mistake = mistakeOf(() => signingKey(value.reveal()));
    if (mistake !== undefined) context.addIssue({ code: 'custom', message: mistake });
  });
  const textFile = (what: 'CERTIFICATE' | 'PRIVATE KEY') =>
    absolutePath.transform((path, context): string => {
      try {
        const text = readNamed(path, sources.readFile);
        if (text.includes('-----BEGIN ') && text.includes(`${what}-----`)) return text;
        context.addIssue({ code: 'custom', message: `file ${path} holds no PEM ${what.toLowerCase()}` });
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
      }
      return z.NEVER;
    });
  const certificateFile = textFile('CERTIFICATE');
  const keyFile = textFile('PRIVATE KEY').transform((text) => new Secret(text));
  return { secret, privateKey, certificateFile, keyFile, redisUrl: redisUrl(secret) };
}

/** A reference, or the URL itself as long as it says nothing secret. */
function redisUrl(secret: z.ZodType<Secret, string>) {
  const expected = `expected \${env:NAME}, \${file:/path}, or redis://host:port without a password`;
  const plain = z.string({ error: expected }).transform((text, context): Secret => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url && !url.password && !url.username) return new Secret(text);
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
  const either = z.unknown().transform((value, context): Secret => {
    const schema = typeof value === 'string' && isReference(value) ? secret : plain;
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    for (const { message } of parsed.error.issues) context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
  return either.superRefine((value, context) => {
    if (!/^rediss?:\/\//.test(value.reveal())) context.addIssue({ code: 'custom', message: expected });
  });
}

function mistakeOf(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
