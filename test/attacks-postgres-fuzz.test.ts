/** Broken bytes from either side of a PostgreSQL session: it may end, nothing else may. A seed makes a run again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import * as build from '../gateway/listeners/postgres/builders.ts';
import { type SessionWorld, sessionWorld } from './support/session.ts';
import { type SessionTarget, sessionTarget } from './support/session-target.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20_261_122);
const SESSIONS = 60; // each way; every session carries a dozen mutated messages

let target: SessionTarget;
let world: SessionWorld;
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);

before(async () => {
  process.on('unhandledRejection', onUnhandled);
  target = await sessionTarget("create table t (id int, v text); insert into t values (1, 'a')");
  world = await sessionWorld(target.postgres, { limits: { lingerMs: 500, pipelinedBytes: 16_384 } });
  const harmless = new Set(['read', 'copy-out', 'session', 'transaction']);
  world.gate.decide = ({ effects }) => (effects.every(({ action }) => harmless.has(action)) ? 'allow' : 'deny');
});
after(async () => {
  await world.close();
  await target.stop();
  process.off('unhandledRejection', onUnhandled);
});

/** Mulberry32. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const SENTENCES = [
  'select 1',
  'begin',
  'rollback',
  'delete from t',
  'select * from t',
  "select 'é', $1",
  'prepare p as select 1',
];
const MESSAGES = [
  ...SENTENCES.map((text) => build.query(text)),
  ...SENTENCES.map((text) => build.parse('', text)),
  build.parse('s', 'select * from t where id = $1', [23]),
  build.bind('', '', []),
  build.bind('p', 's', ['1']),
  build.bind('', 's', [null]),
  build.describe('S', 's'),
  build.describe('P', ''),
  build.execute('', 1),
  build.execute('p'),
  build.close('P', 'p'),
  build.close('S', 's'),
  build.flush(),
  build.sync(),
  build.sync(),
  build.query('copy t from stdin'),
  build.query('copy t to stdout'),
  build.copyData(Buffer.from('2\tx\n')),
  build.copyDone(),
  build.copyFail('no'),
];

/** A byte flipped, a piece left out or doubled, a length that lies, two pieces exchanged. */
function mutate(bytes: Buffer, pick: (below: number) => number): Buffer {
  const at = pick(Math.max(1, bytes.length));
  const to = Math.min(bytes.length, at + 1 + pick(8));
  switch (pick(5)) {
    case 0: {
      const changed = Buffer.from(bytes);
      if (changed.length > 0) changed[at] = pick(256);
      return changed;
    }
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    case 3: {
      const changed = Buffer.from(bytes);
      if (changed.length >= 5) changed.writeUInt32BE([0, 3, 4, 0x7fffffff, 0xffffffff, pick(64)][pick(6)]!, 1);
      return changed;
    }
    default:
      return Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)]);
  }
}

async function ended(): Promise<void> {
  while (world.registry.size > 0) await new Promise((resolve) => setImmediate(resolve));
}

/** Nothing is left of any session: no backend, no permit without an outcome, no change. */
async function clean(): Promise<void> {
  await ended();
  await Promise.all(world.ended);
  const left = async () =>
    (await target.direct.query(`select count(*)::int n from pg_stat_activity where backend_type = 'client backend'`))
      .rows[0].n;
  while ((await left()) > 1) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual((await target.direct.query('select * from t')).rows, [{ id: 1, v: 'a' }]);
  assert.deepEqual(unhandled, []);
  assert.equal(world.gate.settledTwice, 0);
  const permitted = world.gate.admitted.filter((operation) => world.gate.decide(operation) === 'allow').length;
  assert.equal(world.gate.outcomes.length, permitted, 'every permit has its outcome');
  const driver = await world.driver();
  assert.deepEqual((await driver.query('select 1 n')).rows, [{ n: 1 }]);
  await driver.end();
  await ended();
}

describe(`mutated streams, seed ${SEED}`, { timeout: 60_000 }, () => {
  it('from clients, split anywhere, ended by half-close, reset or good-bye', async () => {
    for (let round = 0; round < SESSIONS; round++) {
      const pick = random(SEED + round);
      const client = await world.raw();
      const socket = client.socket as Socket;
      const stream = Buffer.concat(
        Array.from({ length: 12 }, () => {
          const message = MESSAGES[pick(MESSAGES.length)]!;
          return pick(4) === 0 ? mutate(message, pick) : message;
        }),
      );
      for (let at = 0; at < stream.length; ) {
        const to = Math.min(stream.length, at + 1 + pick(stream.length));
        if (socket.writable) socket.write(stream.subarray(at, to));
        if (pick(3) === 0) await new Promise((resolve) => setImmediate(resolve));
        at = to;
      }
      const how = pick(3);
      if (how === 0) socket.resetAndDestroy();
      else if (how === 1) socket.end(build.terminate());
      else socket.end();
      if (how !== 0 && !socket.closed) {
        // A message that never becomes whole, or a COPY without its end: the client's own half-close settles it.
        await once(socket, 'close');
      }
    }
    await clean();
  });

  it('from targets: the session ends, its client is told, its permits are settled', async () => {
    for (let round = 0; round < SESSIONS; round++) {
      const pick = random(SEED * 2 + round);
      const client = await world.raw();
      const { target, gateway } = client.target;
      target.unpipe(gateway);
      client.socket.removeAllListeners('data').resume(); // what comes is no protocol any more
      let left = 1 + pick(6);
      target.on('data', (chunk: Buffer) => {
        left--;
        if (gateway.writable) gateway.write(left <= 0 ? mutate(chunk, pick) : chunk);
        if (left <= 0 && pick(3) === 0) gateway.resetAndDestroy();
      });
      client.send(...Array.from({ length: 8 }, () => MESSAGES[pick(MESSAGES.length)]!), build.sync());
      client.send(build.query('select * from t'), build.terminate());
      const giveUp = setTimeout(() => gateway.destroy(), 100); // a target that owes an answer for ever
      await once(client.socket, 'close');
      clearTimeout(giveUp);
    }
    await clean();
  });
});
