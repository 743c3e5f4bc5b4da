/** A client's side of a run: scenario and table come from the command line, what it sees goes out as JSON lines. */
import { createInterface } from 'node:readline';

export const [scenario, table] = process.argv.slice(2);
export const url = process.env.DRIVER_URL;

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
export const notice = (text) => say({ notice: text });

/** `shape(error)` → `{ class, sqlstate, message }`, where a client has its own. */
export async function step(name, act, shape = plain) {
  const from = performance.now();
  const ms = () => Math.round(performance.now() - from);
  try {
    const value = await act();
    say({ step: name, value: value ?? null, ms: ms() });
    return value;
  } catch (error) {
    say({ step: name, error: shape(error), ms: ms() });
  }
}

export function plain(error) {
  const code = error?.code;
  return {
    class: error?.shown ?? error?.constructor?.name ?? typeof error,
    ...(typeof code === 'string' ? { sqlstate: code } : {}),
    message: String(error?.message ?? error),
  };
}

/** The runner's next word: the request is on a card now. */
export function told() {
  return new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin });
    lines.once('line', (word) => {
      lines.close();
      resolve(word);
    });
  });
}

export const del = `DELETE FROM ${table}`;
export const insert = (id) => `INSERT INTO ${table} VALUES (${id}, 0)`;

/** The scenarios in terms of what every client here can do; `own` replaces one where the client's way is another. */
export async function play(client, own = {}) {
  const { run, shape } = client;
  const after = () => step('after', () => run('SELECT 1 AS one'), shape);
  const held = async () => {
    await step('held', () => run(del), shape);
    await after();
  };
  const scenarios = {
    approve: held,
    deny: held,
    expire: held,
    'begin-approve': async () => {
      await run('BEGIN');
      await run(insert(4));
      await step('held', () => run(del), shape);
      if (client.status) await step('status', client.status);
      await step('commit', () => run('COMMIT'), shape);
      await after();
    },
    'begin-deny': async () => {
      await run('BEGIN');
      await run(insert(4));
      await step('held', () => run(del), shape);
      if (client.status) await step('status', client.status);
      await step('next', () => run('SELECT 1 AS one'), shape);
      await step('rollback', () => run('ROLLBACK'), shape);
      await after();
    },
    prepared: async () => {
      await step('held', () => client.prepared(10), shape);
      await step('again', () => client.prepared(20), shape);
      await after();
    },
    pipelined: async () => {
      await step('batch', () => client.batch([insert(4), del, insert(5)]), shape);
      await after();
    },
    cancel: async () => {
      await step('held', () => client.cancelled(del, told()), shape);
      await after();
    },
    timeout: async () => {
      await step('held', () => client.timed(del), shape);
      await after();
    },
    beside: async () => {
      await client.beside(step);
      await step('beside', () => run('SELECT 1 AS one'), shape);
    },
    ...own,
  };
  await scenarios[scenario]();
  await client.end();
  process.stdin.destroy();
}
