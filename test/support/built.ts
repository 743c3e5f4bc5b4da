/** The product as it is in production: compiled, run with plain node, without anything that only development needs. */
import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

export type Built = { readonly dist: string; remove(): Promise<void> };

/**
 * Compiles into a directory of its own, where only the packages named in `dependencies` can be resolved. Types are
 * another command's business: what is measured or attacked in mid-change is compiled all the same. Where the whole suite
 * runs, it has compiled already ($COUNTERSIGN_BUILT).
 */
export async function builtProduct({ types = true } = {}): Promise<Built> {
  const dist = process.env.COUNTERSIGN_BUILT;
  return dist ? { dist, remove: async () => {} } : compiled(types);
}

/** What a copy of the repository leaves out: it is linked to, made anew, or none of a test's business. */
const NOT_COPIED = new Set(['node_modules', '.git', 'dist']);

/**
 * A copy of the whole repository with every module compiled beside its source, so that a test file starts in half the
 * time that compiling on the way takes. Types are not checked.
 * @returns where it is: paths in it are the repository's, test files end in `.test.js`
 */
export async function compiledSuite(): Promise<Built> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'countersign-suite-')));
  try {
    await cp(root, dir, { recursive: true, filter: (path) => !NOT_COPIED.has(relative(root, path)) });
    await symlink(join(root, 'node_modules'), join(dir, 'node_modules'), 'dir');
    await tsc('--noEmit', 'false', '--noCheck', '--rootDir', '.', '--outDir', dir);
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
  return { dist: dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

const tsc = (...args: readonly string[]) =>
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...args], { cwd: root });

async function compiled(types: boolean): Promise<Built> {
  const dir = await mkdtemp(join(tmpdir(), 'countersign-built-'));
  const dist = join(dir, 'dist');
  try {
    const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const name of Object.keys(dependencies)) {
      const at = join(dir, 'node_modules', name);
      await mkdir(dirname(at), { recursive: true });
      await symlink(join(root, 'node_modules', name), at, 'dir');
    }
    await copyFile(join(root, 'package.json'), join(dir, 'package.json'));
    await tsc('-p', 'tsconfig.build.json', '--outDir', dist, ...(types ? [] : ['--noCheck']));
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
  return { dist, remove: () => rm(dir, { recursive: true, force: true }) };
}
