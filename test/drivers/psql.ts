/** psql, as a client's program: what it prints becomes JSON lines. */
import { spawn } from 'node:child_process';
import { notice, step, told } from './node/speak.mjs';

const [scenario = '', table = ''] = process.argv.slice(2);
const url = process.env.DRIVER_URL ?? '';
const del = `DELETE FROM ${table}`;

type Ended = { code: number | null; out: string; err: string };

/** A psql of its own; `alive` is handed it once it runs. */
function psql(input: string, options: { before?: string[]; alive?: (kill: () => void) => void } = {}): Promise<Ended> {
  const [command = '', ...args] = [...(options.before ?? []), 'psql', '-X', '--no-password', '-v', 'VERBOSITY=verbose'];
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args, url], { stdio: ['pipe', 'pipe', 'pipe'] });
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said.out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said.err += text;
      for (const [, words = ''] of text.matchAll(/NOTICE: +(?:[0-9A-Z]{5}: +)?(.*)/g)) notice(words);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...said }));
    child.stdin.on('error', () => {});
    child.stdin.end(`${input}\n`);
    options.alive?.(() => child.kill('SIGINT'));
  });
}

class PsqlError extends Error {
  readonly shown = 'ERROR';
  readonly code: string | undefined;
  constructor(text: string) {
    super(text);
    this.code = /^[A-Z]+: +([0-9A-Z]{5}):/.exec(text)?.[1];
  }
}

/** Between the marks `\echo` left, one piece for each statement; each becomes a step. */
async function tellAs(names: readonly string[], { out, err }: Ended): Promise<void> {
  const results = out.split('--\n');
  const errors = err.split('--\n');
  for (const [at, name] of names.entries())
    await step(name, async () => {
      const error = /ERROR: +.*/s.exec(errors[at] ?? '')?.[0];
      if (error) throw new PsqlError(error);
      const counts = [...(results[at] ?? '').matchAll(/^(?:DELETE|UPDATE|INSERT 0) (\d+)$/gm)].map(([, n]) =>
        Number(n),
      );
      return counts.length > 1 ? counts : counts[0];
    });
}

const script = (statements: readonly string[]): string =>
  statements.map((sql) => `${sql};\n\\echo --\n\\warn --`).join('\n');

const ROUTES: Record<string, readonly (readonly [step: string, sql: string])[]> = {
  'begin-approve': [
    ['begin', 'BEGIN'],
    ['insert', `INSERT INTO ${table} VALUES (4, 0)`],
    ['held', del],
    ['commit', 'COMMIT'],
    ['after', 'SELECT 1'],
  ],
  'begin-deny': [
    ['begin', 'BEGIN'],
    ['insert', `INSERT INTO ${table} VALUES (4, 0)`],
    ['held', del],
    ['next', 'SELECT 1'],
    ['rollback', 'ROLLBACK'],
    ['after', 'SELECT 1'],
  ],
  prepared: [
    ['prepare', `PREPARE set_v (int) AS UPDATE ${table} SET v = $1`],
    ['held', 'EXECUTE set_v (10)'],
    ['again', 'EXECUTE set_v (20)'],
    ['after', 'SELECT 1'],
  ],
  pipelined: [
    ['batch', `INSERT INTO ${table} VALUES (4, 0)\\; ${del}\\; INSERT INTO ${table} VALUES (5, 0)`],
    ['after', 'SELECT 1'],
  ],
  beside: [
    ['\\d', '\\d'],
    ['\\d+ table', '\\d+ customers'],
    ['\\d view', '\\d+ customer_directory'],
    ['\\dt+', '\\dt+'],
    ['\\df', '\\df public.*'],
    ['\\dn+', '\\dn+'],
    ['\\du', '\\du'],
    ['\\dx', '\\dx'],
    ['\\di', '\\di'],
    ['\\dp', '\\dp'],
    ['\\sv', '\\sv customer_directory'],
    ['statement_timeout', "SET statement_timeout = '1s'"],
    ['savepoint', 'BEGIN\\; SAVEPOINT a\\; ROLLBACK TO a\\; COMMIT'],
    ['discard', 'DISCARD ALL'],
    ['beside', 'SELECT 1'],
  ],
};

/** statement_timeout is the server's clock: it does not run while a person decides. */
const plain = [
  ['timeout', 'SET statement_timeout = 300'],
  ['held', del],
  ['after', 'SELECT 1'],
] as const;

if (scenario === 'timeout') {
  await step('held', async () => {
    const { code } = await psql(`${del};`, { before: ['timeout', '3'] });
    if (code !== 0) throw new Error(`timeout(1) ended psql: ${code}`);
  });
  await step('after', async () => (await psql('SELECT 1;')).code);
} else {
  const steps = ROUTES[scenario] ?? plain;
  const ended = await psql(script(steps.map(([, sql]) => sql)).replaceAll(/^(\\[a-z]+.*);$/gm, '$1'), {
    alive: (interrupt) => {
      if (scenario === 'cancel') void told().then(interrupt);
    },
  });
  await tellAs(
    steps.map(([name]) => name),
    ended,
  );
}
process.stdin.destroy();
