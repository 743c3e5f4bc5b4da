/** `npm run soak -- floods`: sockets that never log in, and log-ins that never get in; others must. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Refusals } from '../../gateway/compose/refusals.ts';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import type { PostgresListenerDeps } from '../../gateway/listeners/postgres/server.ts';
import { fakeTarget, greeting, RawClient, startupOf } from '../support/door.ts';
import { LOGIN, openDoor, orders, TOKEN } from '../support/listener.ts';
import { readOptions } from './options.ts';

export type Flood = 'half-open' | 'log-ins';
type State = { readonly open: number; readonly opened: number; readonly refused: number };

export type Outcome = {
  /** What the flood had come to when it ended. */
  readonly flood: State;
  /** How long each honest log-in took, ms, in order of length. */
  readonly took: readonly number[];
  /** Entries in the trail, and refusals they stand for. */
  readonly trail: { readonly entries: number; readonly stoodFor: number };
  /** More memory of the gateway's process than before, bytes. */
  readonly grown: number;
};

const CLIENT = fileURLToPath(new URL('floods-client.ts', import.meta.url));

/**
 * One door under a flood of `count` sockets from a process of their own, while `logins` honest clients come.
 * @throws Error when one of these does not get in
 */
export async function underFlood(
  flood: Flood,
  { count, logins, limits }: { count: number; logins: number; limits?: PostgresListenerDeps['limits'] },
): Promise<Outcome> {
  const target = await fakeTarget((socket) => void socket.once('data', () => socket.write(greeting())));
  const trail = { entries: 0, stoodFor: 0 };
  const refusals = new Refusals({
    audit: {
      append: (entry) => {
        trail.entries++;
        trail.stoodFor += typeof entry.count === 'number' ? entry.count : 1;
      },
    },
    log: () => {},
  });
  const door = await openDoor(orders(target.port), undefined, {
    ...(limits ? { limits } : {}),
    record: (event) => {
      if (event.kind !== 'refused') return;
      const { peer, error } = event;
      refusals.record({ kind: 'auth.refused', peer, code: error.code });
    },
  });
  const before = process.memoryUsage.rss();
  const client = fork(CLIENT, [String(door.port), flood, String(count)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let state: State = { open: 0, opened: 0, refused: 0 };
  client.on('message', (message) => {
    state = message as State;
  });
  try {
    while (state.opened < count) await once(client, 'message');
    const took: number[] = [];
    for (let i = 0; i < logins; i++) took.push(await logIn(door.port));
    const grown = process.memoryUsage.rss() - before;
    refusals.flush();
    return { flood: state, took: took.sort((a, b) => a - b), trail: { ...trail }, grown }; // the flood goes on
  } finally {
    if (client.connected) client.disconnect();
    if (client.exitCode === null) await once(client, 'exit');
    await door.listener.stop();
    await target.stop();
  }
}

async function logIn(port: number): Promise<number> {
  const from = performance.now();
  const client = await RawClient.connect(port);
  client.send(startupOf(LOGIN), build.password(TOKEN));
  await client.until('Z');
  const took = performance.now() - from;
  client.socket.destroy();
  return took;
}

export async function floods(args: readonly string[]): Promise<number> {
  const about =
    'A door with the product’s own limits, a flood from a process of its own, and honest clients meanwhile.';
  const options = readOptions(
    'floods',
    about,
    {
      sockets: { value: 10_000, about: 'sockets of the flood (10,000); `ulimit -n` must allow twice as many' },
      logins: { value: 200, about: 'honest log-ins during each flood (200)' },
    },
    args,
  );
  if ('exit' in options) return options.exit;
  const { sockets = 10_000, logins = 200 } = options;
  for (const [flood, count] of [
    ['half-open', sockets],
    ['log-ins', Math.min(sockets, 500)],
  ] as const) {
    const { flood: state, took, trail, grown } = await underFlood(flood, { count, logins });
    const at = (part: number): string => `${(took[Math.floor((took.length - 1) * part)] ?? 0).toFixed(1)} ms`;
    console.log(`${flood}: ${state.opened} connections made, ${state.refused} of them ended by the door`);
    console.log(`  ${took.length} honest log-ins: median ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}`);
    console.log(`  trail: ${trail.entries} entries for ${trail.stoodFor} refusals; memory ${grown >> 20} MB more`);
  }
  return 0;
}
