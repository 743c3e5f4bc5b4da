/** The product as it is in production: compiled, run with plain node, without anything that only development needs. */
import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const flags = types ? [] : ['--noCheck'];
    const assets = 'gateway/web/pages/assets';
    await cp(join(root, assets), join(dist, assets), { recursive: true });
    await run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', dist, ...flags], { cwd: root });
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
  return { dist, remove: () => rm(dir, { recursive: true, force: true }) };
}
