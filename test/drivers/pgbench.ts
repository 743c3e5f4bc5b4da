/** pgbench, as a client's program: scripts of one transaction; its exit and what it prints become JSON lines. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { del, insert, notice, step, told } from './node/speak.mjs';

const [scenario = '', table = ''] = process.argv.slice(2);
const url = process.env.DRIVER_URL ?? '';
const dir = await mkdtemp(join(tmpdir(), 'countersign-pgbench-'));

class PgbenchError extends Error {
  readonly shown = 'ERROR';
}

/** Resolves when the script ran as often as asked; an aborted client is an error with what pgbench printed. */
async function pgbench(
  script: string,
  options: { args?: string[]; before?: string[]; alive?: (kill: () => void) => void } = {},
): Promise<number> {
  const file = join(dir, 'script.sql');
  await writeFile(file, `${script}\n`);
  const [command = '', ...args] = [...(options.before ?? []), 'pgbench', '-n', '-f', file, ...(options.args ?? [])];
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args, ...(options.args?.includes('-t') ? [] : ['-t', '1']), url]);
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      for (const [, words = ''] of text.matchAll(/NOTICE: +(.*)/g)) notice(words);
    });
    child.stdout.resume();
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const failed = code !== 0 || /aborted/.test(err);
      if (failed) reject(new PgbenchError(`ended pgbench: ${code ?? signal}: ${err}`));
      else resolve(1);
    });
    options.alive?.(() => child.kill('SIGINT'));
  });
}

const after = () => step('after', () => pgbench('SELECT 1;'));

const ROUTES: Record<string, () => Promise<unknown>> = {
  'begin-approve': async () => {
    await step('held', () => pgbench(`BEGIN;\n${insert(4)};\n${del};\nCOMMIT;`));
    await step('commit', () => 1);
  },
  'begin-deny': () => step('held', () => pgbench(`BEGIN;\n${insert(4)};\n${del};\nCOMMIT;`)),
  // One statement, prepared once; each of two transactions executes it with another value.
  prepared: async () => {
    const twice = ['-M', 'prepared', '-D', 'v=0', '-t', '2'];
    await step('again', () => pgbench(`\\set v :v + 10\nUPDATE ${table} SET v = :v;`, { args: twice }));
    await step('held', () => 1);
  },
  pipelined: () =>
    step('batch', () =>
      pgbench(`\\startpipeline\n${insert(4)};\n${del};\n${insert(5)};\n\\endpipeline`, { args: ['-M', 'extended'] }),
    ),
  cancel: () => step('held', () => pgbench(`${del};`, { alive: (kill) => void told().then(kill) })),
  timeout: () => step('held', () => pgbench(`${del};`, { before: ['timeout', '3'] })),
  beside: async () => {
    for (const mode of ['simple', 'extended', 'prepared'])
      await step(mode, () =>
        pgbench(
          'BEGIN;\nSELECT count(*) AS n FROM customers WHERE id < 10 \\gset\nSAVEPOINT a;\nRELEASE a;\nEND;\nSET statement_timeout = 30000;',
          { args: ['-M', mode] },
        ),
      );
    await step('beside', () => 1);
  },
};

await (ROUTES[scenario] ?? (() => step('held', () => pgbench(`${del};`))))();
await after();
await rm(dir, { recursive: true });
process.stdin.destroy();
