/**
 * The whole suite: types, lint, dead code, then every *.test.ts. Fails when a step fails, and when no test ran.
 * `node test/run.mjs FILE…` runs only those test files; with `--http` first, bots that may choose speak signed HTTP.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';
import { bundled, compiledSuite } from './compile.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const http = process.argv[2] === '--http';
const only = process.argv.slice(http ? 3 : 2);

const found = ['gateway', 'bot', 'queue', 'test'].flatMap((room) =>
  readdirSync(room, { recursive: true })
    .map((file) => join(room, String(file)))
    .filter((file) => file.endsWith('.test.ts')),
);
const files = only.length > 0 ? only : found.sort();
if (files.length === 0) {
  console.error('no test file found');
  process.exit(1);
}

if (only.length === 0) {
  for (const [name, args] of [
    ['tsc', ['--noEmit']],
    ['biome', ['check', '--error-on-warnings', '.']],
    ['knip', ['--no-progress']],
  ]) {
    console.log(`# ${name}`);
    const step = spawnSync(process.execPath, [binary(name), ...args], { stdio: 'inherit' });
    if (step.status !== 0) process.exit(1);
  }
}

// Gateways and bots that tests start run compiled, as in production; and so do the tests. Both start in half the time.
const { builtProduct } = await tsImport('./support/built.ts', import.meta.url);
const built = await builtProduct({ types: false });
const bundle = await bundled(built.dist);
const suite = compiledSuite(process.cwd());

// A client library's reconnect timer must not keep a file that has passed alive for ever: force-exit.
// Three at a time: each file may have a PostgreSQL, a Redis and a few processes of its own, and often waits for them.
const child = spawn(
  process.execPath,
  [
    '--test',
    '--test-concurrency=3',
    '--test-force-exit',
    '--test-timeout=240000',
    '--test-reporter=spec',
    ...files.map((file) => file.replace(/\.ts$/, '.js')),
  ],
  {
    cwd: suite.dir,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      ...(http ? { COUNTERSIGN_SLACK_MODE: 'http' } : {}),
      COUNTERSIGN_BUILT: built.dist,
      COUNTERSIGN_BUNDLE: bundle,
    },
  },
);
let tail = '';
child.stdout.on('data', (chunk) => {
  process.stdout.write(chunk);
  tail = (tail + chunk).slice(-4000);
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('close', async (code) => {
  suite.remove();
  await built.remove();
  const ran = Number(/^ℹ pass (\d+)$/m.exec(tail)?.[1] ?? 0);
  if (code === 0 && ran === 0) {
    console.error('the runner passed without running a test');
    process.exit(1);
  }
  process.exit(code ?? 1);
});

/** The package's own entry, so that no shell and no npx is between. */
function binary(name) {
  return {
    tsc: 'node_modules/typescript/bin/tsc',
    biome: 'node_modules/@biomejs/biome/bin/biome',
    knip: 'node_modules/knip/bin/knip.js',
  }[name];
}
