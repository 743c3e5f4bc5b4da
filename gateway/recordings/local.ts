/** The directory of recordings as a store. Follows no symbolic links, and reads and writes nothing but recordings and what lies beside them. */
import { constants } from 'node:fs';
import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '../errors.ts';
import { checkedKey, recordingOf, type Store, type Stored } from './store.ts';

const { O_RDONLY, O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;

export class LocalStore implements Store {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async *list(): AsyncGenerator<Stored> {
    for (const year of await this.#names('', /^\d{4}$/)) {
      for (const month of await this.#names(year, /^\d\d$/)) {
        for (const day of await this.#names(join(year, month), /^\d\d$/)) {
          const of = join(year, month, day);
          for (const name of await this.#names(of)) {
            const key = join(of, name);
            if (recordingOf(key) === undefined) continue;
            const found = await lstat(join(this.#dir, key)).catch(absent);
            if (found?.isFile()) yield { key, bytes: found.size, modifiedAt: found.mtimeMs };
          }
        }
      }
    }
  }

  async readText(key: string): Promise<string | undefined> {
    const file = await open(this.#path(key), O_RDONLY | O_NOFOLLOW).catch(absent);
    if (!file) return undefined;
    try {
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  }

  async putText(key: string, text: string): Promise<void> {
    const path = this.#path(key);
    const file = await open(`${path}.new`, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }

  async locked(): Promise<boolean> {
    return false;
  }

  async remove(key: string): Promise<void> {
    await rm(this.#path(key), { force: true });
  }

  /** Of a directory; nothing where it is a link, or not there. */
  async #names(of: string, pattern?: RegExp): Promise<string[]> {
    const path = join(this.#dir, of);
    if (of !== '' && !(await lstat(path).catch(absent))?.isDirectory()) return [];
    const names = (await readdir(path).catch(absent)) ?? [];
    return names.filter((name) => !pattern || pattern.test(name)).sort();
  }

  #path(key: string): string {
    return join(this.#dir, checkedKey(key));
  }
}

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === 'ENOENT') return undefined;
  throw new GatewayError('UNAVAILABLE', `the directory of recordings: ${error.message}`, { cause: error });
};
