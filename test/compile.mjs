/** What the suite runs, compiled: test files and the product start in half the time that compiling on the way takes. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import process from 'node:process';
import { build } from 'esbuild';

/** What the copy leaves out: it is linked to, made anew, or none of a test's business. */
const NOT_COPIED = new Set(['node_modules', '.git', 'dist']);

/**
 * A copy of the repository at `root` with every module compiled beside its source. Types are not checked.
 * @returns where it is (paths in it are the repository's, test files end in `.test.js`), and how to remove it
 * @throws when the compiler does
 */
export function compiledSuite(root) {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-suite-')));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  cpSync(root, dir, { recursive: true, filter: (path) => !NOT_COPIED.has(relative(root, path)) });
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'), 'dir');
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const { status } = spawnSync(
    process.execPath,
    [tsc, '--noEmit', 'false', '--noCheck', '--rootDir', '.', '--outDir', dir],
    { cwd: root, stdio: 'inherit' },
  );
  if (status !== 0) {
    remove();
    throw new Error('the suite does not compile');
  }
  return { dir, remove };
}

/**
 * The compiled product below `dist` put into a few files, beside it: its hundreds of modules and those of its libraries
 * take a process longer to find than to run. For the processes that tests start by the dozen.
 * @returns the command's file
 */
export async function bundled(dist) {
  const outdir = join(dist, '../bundle/gateway');
  await build({
    entryPoints: [join(dist, 'gateway/cli.js')],
    outdir,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    external: ['libpg-query', 'libpg-query-*'],
    // CommonJS among the libraries asks for Node's own modules by a function that ES modules do not have.
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
    logLevel: 'error',
  });
  const assets = 'gateway/web/pages/assets'; // found beside the module that serves them
  cpSync(join(dist, assets), join(outdir, 'assets'), { recursive: true });
  return join(outdir, 'cli.js');
}
