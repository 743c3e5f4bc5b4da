/** `${env:NAME}` and `${file:/path}`: values that refuse to be printed. The only way a secret enters the process. */
import { closeSync, openSync, readSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { inspect } from 'node:util';

const MASK = '[secret]';
const MAX_SECRET_BYTES = 65_536; // the longest real one is a PEM key with its chain
const REFERENCE = /^\$\{(env|file):([^{}$]+)\}$/;
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A value that can be used but not shown: every way of turning it into text says `[secret]`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself, at the moment of use. */
  reveal(): string {
    return this.#value;
  }

  equals(other: Secret): boolean {
    return this.#value === other.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [Symbol.toPrimitive](): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}

/** Where references are looked up; tests bring their own. */
export type SecretSources = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
};

export const processSources: SecretSources = { env: process.env, readFile: readSmallFile };

export const isReference = (text: string): boolean => REFERENCE.test(text);

/**
 * The secret that a whole-value reference names; a file's last line break is not part of it.
 * @throws Error saying what is missing, never what was found.
 */
export function resolveReference(text: string, sources: SecretSources = processSources): Secret {
  const [, kind, name = ''] = REFERENCE.exec(text) ?? [];
  if (kind === 'env') return new Secret(fromEnvironment(name, sources));
  if (kind === 'file') return new Secret(fromFile(name, sources));
  throw new Error(`expected \${env:NAME} or \${file:/path}; a secret is never written into the configuration`);
}

function fromEnvironment(name: string, { env }: SecretSources): string {
  if (!ENV_NAME.test(name)) throw new Error(`"${name}" is not the name of an environment variable`);
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (value === undefined) throw new Error(`environment variable ${name} is not set`);
  if (value === '') throw new Error(`environment variable ${name} is empty`);
  return value;
}

function fromFile(path: string, { readFile }: SecretSources): string {
  // Relative to what? The answer would depend on who starts the gateway from where.
  if (!isAbsolute(path)) throw new Error(`file ${path} is not an absolute path`);
  const value = readNamed(path, readFile).replace(/\r?\n$/, '');
  if (value === '') throw new Error(`file ${path} is empty`);
  return value;
}

/** A file's text, or an Error that names the file and the system's reason and nothing else. */
export function readNamed(path: string, readFile: SecretSources['readFile']): string {
  try {
    return readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new Error(`file ${path} cannot be read (${code ?? (cause instanceof Error ? cause.message : 'unknown')})`);
  }
}

/** At most 64 KB, so that a reference to a device or a log cannot fill the memory. */
function readSmallFile(path: string): string {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(MAX_SECRET_BYTES + 1);
    let length = 0;
    for (;;) {
      const read = readSync(file, buffer, length, buffer.length - length, null);
      length += read;
      if (read === 0) break;
      if (length > MAX_SECRET_BYTES) throw new Error(`longer than ${MAX_SECRET_BYTES} bytes`);
    }
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(file);
  }
}
