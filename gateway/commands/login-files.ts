/** Files that only their owner reads: written whole or not at all, never through a link, refused where others could look in. */
import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { GatewayError } from '../errors.ts';

const MAX_BYTES = 256 * 1024; // a token and a refresh token are a few KB, with hundreds of groups in them some tens

const refused = (path: string, what: string, hint: string): GatewayError =>
  new GatewayError('CONFIG', `${path} ${what}`, { hint });
const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Where this person's tokens are kept. A relative XDG_CONFIG_HOME counts as none, as its specification says. */
export function privateDir(env: NodeJS.ProcessEnv = process.env): string {
  const given = env.XDG_CONFIG_HOME;
  return join(given !== undefined && isAbsolute(given) ? given : join(homedir(), '.config'), 'countersign');
}

/** Made if it is not there. @throws GatewayError CONFIG where others could read or write in it */
export async function openPrivateDir(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const stats = await lstat(dir);
  if (!stats.isDirectory()) throw refused(dir, 'is no directory', 'a link is not followed: what is it for?');
  ownOnly(dir, stats, '700');
}

/** Undefined where there is none. @throws GatewayError CONFIG where it is a link, or others can read it */
export async function readPrivate(path: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (codeOf(error) === 'ELOOP') throw refused(path, 'is a link', 'it is not followed: remove it, and log in again');
    throw error;
  });
  if (!file) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw refused(path, 'is no file', 'remove it, and log in again');
    ownOnly(path, stats, '600');
    if (stats.size > MAX_BYTES) throw refused(path, 'is too long to be a token', 'remove it, and log in again');
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** Whoever reads it sees all of it or what was there before. @throws GatewayError CONFIG where a link is in its place */
export async function writePrivate(path: string, text: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there && !there.isFile())
    throw refused(path, 'is no file', 'a link is not followed: remove it, and log in again');
  await replace(path, text, 0o600);
}

/** By a file beside it, renamed once all of it is on disk. */
export async function replace(path: string, text: string, mode: number): Promise<void> {
  const beside = `${path}.${randomUUID()}`;
  const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
  const file = await open(beside, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode);
  try {
    try {
      await file.chmod(mode); // whatever the umask takes away or leaves
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

function ownOnly(path: string, { mode, uid }: Stats, wanted: string): void {
  const me = process.getuid?.();
  if (me !== undefined && uid !== me)
    throw refused(path, 'belongs to somebody else', 'is it yours? log in as its owner');
  if ((mode & 0o077) === 0) return;
  throw refused(path, 'can be read by others', `others may have seen it: chmod ${wanted} ${path}, and log in --again`);
}
