/** What can happen to holds, as commands for fast-check: each one thing that a person, a process or a wire does. */
import fc from 'fast-check';
import type { Card } from '../../queue/cards.ts';
import { RULES, USERS } from './hold-model-people.ts';
import type { World } from './hold-model-world.ts';

type Command = fc.AsyncCommand<object, World, boolean>;

class Step implements Command {
  readonly #name: string;
  readonly #run: (world: World) => unknown;

  constructor(name: string, run: (world: World) => unknown) {
    this.#name = name;
    this.#run = run;
  }
  async check(): Promise<boolean> {
    return true;
  }
  async run(_: object, world: World): Promise<void> {
    world.check();
    await this.#run(world);
    world.check();
  }
  toString(): string {
    return this.#name;
  }
}

const at = <T>(items: readonly T[], index: number): T | undefined => items[index % Math.max(1, items.length)];
const index = fc.nat({ max: 5 });
const simple = (name: string, run: (world: World) => unknown) => fc.constant(new Step(name, run));

/** A card as somebody may have it before them: usually the newest. */
function cardOf(world: World, hold: number, old: boolean): Card | undefined {
  const entries = [...world.bot.entries.values()].filter(({ card }) => card);
  const entry = entries[entries.length - 1 - (hold % Math.max(1, entries.length))];
  return (old ? entry?.past[0] : undefined) ?? entry?.card;
}

const open = fc
  .tuple(fc.nat({ max: 1 }), fc.boolean(), fc.constantFrom(3_600_000, 3_600_000, 9_000))
  .map((args) => new Step(`open(${args})`, (world) => world.open(...args)));

const clicker = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('U0ALICE', 'U0CAROL', 'U0DAVE', 'U0ERIN') },
  { weight: 2, arbitrary: fc.constantFrom(...USERS) },
);
const vote = fc
  .record({
    user: clicker,
    deny: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    hold: fc.constantFrom(0, 0, 0, 1, 2),
    reason: fc.boolean(),
    wrong: fc.constantFrom('', '', '', '', '', '', 'old card', 'revision', 'digest'),
  })
  .map((it) => {
    const name = `${it.deny ? 'deny' : 'approve'}(${it.user}, ${it.hold}${it.reason ? ', reason' : ''}, ${it.wrong})`;
    return new Step(name, (world) => {
      const card = cardOf(world, it.hold, it.wrong === 'old card');
      if (!card) return;
      world.click(it.user, card, {
        decision: it.deny ? 'deny' : 'approve',
        ...(it.reason ? { reason: 'because' } : {}),
        ...(it.wrong === 'revision' ? { revision: card.revision + 1 } : {}),
        ...(it.wrong === 'digest' ? { digest: 'ab'.repeat(32) } : {}),
      });
    });
  });

const again = index.map(
  (i) =>
    new Step(`redeliver(${i})`, (world) => {
      const click = at(world.clicks, i);
      if (click) world.deliver(click);
    }),
);
const passes = fc
  .constantFrom(1, 200, 1_000, 2_000, 4_000, 5_000, 8_000, 16_000, 21_000, 31_000)
  .map((ms) => new Step(`pass(${ms})`, (world) => world.time.advance(ms)));
const rules = fc.constantFrom(...RULES).map((name) => new Step(`rules(${name})`, (world) => world.rules(name)));
const ofClient = (name: string, run: (world: World, client: World['clients'][number]) => void) =>
  index.map(
    (i) =>
      new Step(`${name}(${i})`, (world) => {
        const client = at(world.clients, i);
        if (client) run(world, client);
      }),
  );
const people = fc.tuple(fc.constantFrom(...USERS), fc.constantFrom('deactivate', 'activate', 'remove', 'add')).map(
  ([user, what]) =>
    new Step(`${what}(${user})`, ({ workspace }) => {
      if (what === 'deactivate') workspace.deactivated.add(user);
      else if (what === 'activate') workspace.deactivated.delete(user);
      else if (what === 'remove') workspace.members['@dba'].delete(user);
      else workspace.members['@dba'].add(user);
    }),
);

const pause = fc.constantFrom(3_000, 25_000, 60_000, 70_000).map(
  (ms) =>
    new Step(`stop the gateway, pass(${ms})`, async ({ gateway, time }) => {
      if (gateway.process.state === 'live') gateway.process.state = 'stopped';
      await time.advance(ms);
    }),
);
/** Long enough for the others to call its holds lost, while it does not run. */
const sleep = simple('stop the gateway, others look', async (world) => {
  const { gateway, time } = world;
  if (gateway.process.state === 'live') gateway.process.state = 'stopped';
  for (const ms of [45_000, 11_000]) {
    await time.advance(ms);
    world.heir.look();
    void world.bot.look();
  }
});
const wake = fc.boolean().map((first) => new Step(`wake(${first})`, ({ gateway }) => gateway.process.wake(first)));
const crash = fc.boolean().map((written) => new Step(`crash(${written})`, ({ gateway }) => gateway.kill(written)));
const look = simple('heir and bot look', (world) => {
  world.heir.look();
  void world.bot.look();
});

/** Each with how often it comes. */
const ORDINARY: readonly (readonly [number, fc.Arbitrary<Command>])[] = [
  [5, open],
  [16, vote],
  [3, again],
  [6, passes],
  [3, rules],
  [1, ofClient('cancel', (world, client) => world.abort(client, 'the client cancelled'))],
  [1, ofClient('leave', (world, client) => world.endSession(client.session))],
  [1, ofClient('upstream gone', (world, client) => world.loseUpstream(client.session))],
  [3, ofClient('settle', (world, client) => world.settle(client, { kind: 'done', tag: 'DROP TABLE', rows: 1, ms: 3 }))],
  [
    1,
    ofClient('fail', (world, client) =>
      world.settle(client, { kind: 'failed', sqlstate: '23505', message: 'no', ms: 3 }),
    ),
  ],
  [
    1,
    fc.tuple(clicker, index).map(
      ([user, i]) =>
        new Step(`kill(${user}, ${i})`, (world) => {
          const card = cardOf(world, i, false);
          if (card) world.kill(user, card);
        }),
    ),
  ],
  [3, people],
  [
    1,
    fc.boolean().map(
      (answers) =>
        new Step(`answers(${answers})`, ({ bot }) => {
          bot.answers = answers;
        }),
    ),
  ],
];
const BAD: typeof ORDINARY = [
  [2, pause],
  [2, sleep],
  [2, wake],
  [1, crash],
  [1, simple('restart', (world) => (world.gateway.process.state === 'dead' ? world.startGateway() : undefined))],
  [
    1,
    fc
      .boolean()
      .map((stay) => new Step(`drain(${stay})`, (world) => world.drain(world.gateway, { sessionsStay: stay }))),
  ],
  [
    1,
    fc.nat({ max: 1 }).map(
      (n) =>
        new Step(`${n + 1} sealings fail`, ({ gateway }) => {
          gateway.sealingsFail = n + 1;
        }),
    ),
  ],
  [2, look],
  [
    1,
    simple('Redis down', ({ redis }) => {
      redis.down = true;
    }),
  ],
  [
    2,
    simple('Redis up', (world) => {
      world.redis.down = false;
      world.gateway.connection.reconnected();
    }),
  ],
  [
    1,
    simple('Redis forgets', (world) => {
      world.redis.forget();
      world.forgetful = true;
    }),
  ],
  [
    2,
    fc
      .constantFrom('refused' as const, 'unanswered' as const, 'stuck' as const)
      .map((fault) => new Step(`next command ${fault}`, (world) => void world.faults.push(fault))),
  ],
  [
    1,
    fc.nat({ max: 2 }).map(
      (n) =>
        new Step(`${n + 1} appends refused`, (world) => {
          world.gateway.trail.refuses = n + 1;
          world.unrecorded = true;
        }),
    ),
  ],
  [
    1,
    simple('the disk fails', (world) => {
      world.gateway.trail.fails = true;
      world.unrecorded = true;
    }),
  ],
  [
    1,
    simple('the disk may take its time', (world) => {
      world.gateway.trail.patient = true;
    }),
  ],
  [
    1,
    simple('reconnect', ({ gateway, redis }) => {
      if (!redis.down) gateway.connection.reconnected();
    }),
  ],
  [
    1,
    fc.constantFrom(-600_000, 0, 600_000).map(
      (skew) =>
        new Step(`skew(${skew})`, ({ gateway }) => {
          gateway.process.skew = skew;
        }),
    ),
  ],
];

const weighted = (kinds: typeof ORDINARY): fc.Arbitrary<Command> =>
  fc.oneof(...kinds.map(([weight, arbitrary]) => ({ weight, arbitrary })));

/** A story: mostly ordinary, or with the worst of days in it. */
export const stories = (maxCommands: number) =>
  fc.commands<object, World, boolean>([open, vote, vote, weighted(ORDINARY), weighted(ORDINARY), weighted(BAD)], {
    maxCommands,
    size: 'max',
  });
