/** countersign.yaml under construction: the annotated example with changes, and what the gateway has to say to it. */
import { readFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { readConfig } from '../../gateway/config.ts';
import { newKeyPair } from '../../queue/sign.ts';

export const own = newKeyPair();
const hashing = newKeyPair();
export const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n';
const RECORDINGS_KEY = Buffer.alloc(32, 7).toString('base64');
const PRIVATE_KEY = '-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n';
export const sources = {
  env: { REDIS_URL: 'redis://:s3cret@localhost', KEY: own.secret, ORDERS_PW: 'hunter2', EMPTY: '' },
  readFile: (path: string) => {
    if (path.endsWith('.crt') || path.endsWith('.pem')) return CERTIFICATE;
    if (path.endsWith('tls.key')) return PRIVATE_KEY;
    if (path.endsWith('recordings.key')) return `${RECORDINGS_KEY}\n`;
    if (path.endsWith('masking.key')) return `${hashing.secret}\n`;
    if (path.endsWith('.key')) return `${own.secret}\n`;
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  },
};
export const example = readFileSync(new URL('../../manifests/countersign.example.yaml', import.meta.url), 'utf8');

/** A file under construction: nothing is known of it but that it has members. */
export type File = Record<string, unknown>;

export const base = (): File => parse(example) as File;
export const changed = (change: (file: File) => void): string => {
  const file = base();
  change(file);
  return stringify(file);
};
export const stepsOf = (path: string): string[] => path.split(/[.[\]]+/).filter((step) => step !== '');
/** What stands at a path like `rules[0].match`. */
export const at = (file: File, steps: readonly string[]): File =>
  steps.reduce<File>((here, step) => here[step] as File, file);
/** Puts values at such paths; undefined takes the key away. */
export function set(file: File, values: Readonly<Record<string, unknown>>): void {
  for (const [path, value] of Object.entries(values)) {
    const steps = stepsOf(path);
    const last = steps.pop() ?? '';
    const parent = at(file, steps);
    if (value === undefined) delete parent[last];
    else parent[last] = value;
  }
}
export const problems = (text: string) => {
  const result = readConfig(text, sources);
  return 'problems' in result ? result.problems.map(({ path, message }) => `${path}: ${message}`) : [];
};
