/** One gateway's holds on a real Redis and real queues, with a bot whose workspace the test decides. */
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { Redis } from 'ioredis';
import { type AdmitContext, createGate, type Gate } from '../../gateway/gate.ts';
import type { HoldsDeps } from '../../gateway/holds/book.ts';
import { createHolds, type Holds } from '../../gateway/holds/broker.ts';
import { type Clock, systemClock } from '../../gateway/holds/clock.ts';
import type { Operation } from '../../gateway/operation.ts';
import type { Demand, Policy, Verdict } from '../../gateway/policy/policy.ts';
import { createLease, type Lease } from '../../gateway/state/lease.ts';
import { Reviews } from '../../gateway/state/reviews.ts';
import { SignedStore } from '../../gateway/state/signed.ts';
import type { Card, CardJob } from '../../queue/cards.ts';
import {
  type Consumer,
  cardPublisher,
  consumeCards,
  consumeVotes,
  type VotePublisher,
  votePublisher,
} from '../../queue/carry.ts';
import { connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, type SigningKey, signingKey, verifyingKey } from '../../queue/sign.ts';
import type { Attestation, Receipt, VoteMessage } from '../../queue/votes.ts';
import { startRedis, type TestRedis } from './redis.ts';
import { TrailOfTest } from './trail-of-test.ts';

export const TEAM = 'T0ACME';
const noop = () => {};

/** What the bot would find in Slack. */
export type Workspace = {
  groups: Record<string, { id: string; members: string[] }>;
  people: Record<string, Partial<Attestation>>;
  /** Does the bot answer questions? */
  answers: { directory: boolean; attest: boolean };
};

export const demand = (change: Partial<Demand> = {}): Demand => ({
  rule: 'schema-changes',
  why: 'Schema changes are reviewed by a DBA',
  approvers: ['@dba-oncall'],
  quorum: 1,
  requireReason: false,
  expiresMs: 60_000,
  channel: 'C0APPROVALS',
  ...change,
});

let version = 0;
export const policyOf = (verdict: Verdict): Policy => ({
  version: `v${++version}`,
  rules: [],
  evaluate: () => verdict,
});
export const holding = (...demands: Demand[]): Policy =>
  policyOf({ kind: 'hold', rules: demands.map(({ rule }) => rule), demands });

export const operation = (change: Partial<Operation> = {}): Operation => ({
  id: randomUUID(),
  protocol: 'postgres',
  connection: 'orders',
  environment: 'production',
  principal: {
    issuer: 'https://login.example.com',
    subject: 'report-bot',
    kind: 'agent',
    name: 'report-bot',
    email: 'bot-owner@example.com',
    emailVerified: true,
    groups: [],
    sponsor: 'U0BOB',
  },
  session: 'session-1',
  text: 'DROP TABLE orders',
  shown: 'DROP TABLE orders',
  parameters: [],
  shownParameters: [],
  frame: 'search_path=public',
  effects: [{ action: 'ddl', object: 'public.orders' }],
  headline: 'DROP TABLE public.orders',
  risks: [],
  inTransaction: false,
  ...change,
});

export type Waiting = {
  readonly told: { kind: string; text: string }[];
  readonly context: AdmitContext;
  readonly controller: AbortController;
  alive: boolean;
  tokenEndsAt: number;
};

export type VoteOf = Extract<VoteMessage, { kind: 'vote' }>;
export type HoldStage = Awaited<ReturnType<typeof startHoldStage>>;

export async function startHoldStage(
  options: {
    redis?: TestRedis;
    clock?: Clock;
    leaseTimes?: { leaseMs: number; selfMs: number; renewMs: number };
    followers?: HoldsDeps['followers'];
  } = {},
) {
  const redis = options.redis ?? (await startRedis());
  const clock = options.clock ?? systemClock;
  const gateway = `gw-${randomUUID().slice(0, 8)}`;
  const keys = { gateway: signingKey(newKeyPair().secret), bot: signingKey(newKeyPair().secret) };
  const publicOf = (key: SigningKey) => verifyingKey(key.public);
  const commands: Redis = connectCommands(redis.url, noop);
  await connected(commands, 5_000);
  const store = new SignedStore(commands, { own: keys.gateway, trusted: () => [publicOf(keys.gateway)] });
  const audit = new TrailOfTest();
  const logs: string[] = [];
  const news = new EventEmitter();
  news.setMaxListeners(0);
  const log = (message: string) => {
    logs.push(message);
    news.emit('job');
  };
  const workspace: Workspace = {
    groups: {
      '@dba-oncall': { id: 'S0DBA', members: ['U0ALICE', 'U0CAROL', 'U0BOB'] },
      '@gate-admins': { id: 'S0ADMINS', members: ['U0GRACE'] },
    },
    people: {},
    answers: { directory: true, attest: true },
  };
  const settings = {
    policy: holding(demand()),
    people: [] as { slack: string; issuer: string; subject: string }[],
    breakGlass: [] as string[],
    revoked: [] as string[],
    oidc: {} as Record<string, string[]>,
    limits: { openPerPrincipal: 1_000, openPerConnection: 1_000 },
    closed: undefined as string | undefined,
  };
  let holds: Holds | undefined;
  const lease: Lease = createLease({
    store,
    gateway,
    clock,
    onLost: () => holds?.withdrawAll('UNAVAILABLE', 'this gateway has lost its lease: Redis is not reachable'),
    onTrouble: noop,
    ...(options.leaseTimes ? { times: options.leaseTimes } : {}),
  });
  await lease.start();

  const publish = cardPublisher(commands, keys.gateway);
  const deps: HoldsDeps = {
    gateway,
    audit,
    policy: () => settings.policy,
    publish,
    store,
    lease,
    people: () => settings.people,
    oidcMembers: async (group) => settings.oidc[group] ?? [],
    names: () => ['@dba-oncall', '@gate-admins'],
    admins: () => ['U0CAROL', '@gate-admins'],
    breakGlass: () => settings.breakGlass,
    reviews: new Reviews(store),
    followers: options.followers ?? [],
    isRevoked: ({ subject, jti = '', hash = '' }) => [subject, jti, hash].some((one) => settings.revoked.includes(one)),
    channel: () => 'C0APPROVALS',
    expiresInTransactionMs: () => 120_000,
    endSession: (session) => session === 'session-1',
    redact: (text) => text.replaceAll('4111111111111111', '[card]'),
    floodLingerMs: 200,
    limits: () => settings.limits,
    clock,
    newId: () => randomUUID(),
    log,
  };
  holds = createHolds(deps);
  const gate: Gate = createGate({
    policy: deps.policy,
    holds,
    audit,
    closed: () => settings.closed,
    redact: deps.redact,
    log,
  });

  // The bot.
  const cards = new Map<string, Card>();
  const jobs: CardJob[] = [];
  const bot: { votes: VotePublisher } = {
    votes: votePublisher({
      redis: commands,
      url: redis.url,
      key: keys.bot,
      gatewayKeys: () => [publicOf(keys.gateway)],
      onTrouble: noop,
    }),
  };
  const attest = (user: string, change: Partial<Attestation> = {}): Attestation => ({
    team: TEAM,
    user,
    name: user.slice(2).toLowerCase(),
    email: `${user.toLowerCase()}@example.com`,
    emailConfirmed: true,
    deleted: false,
    bot: false,
    guest: false,
    stranger: false,
    invited: false,
    groups: Object.entries(workspace.groups)
      .filter(([, { members }]) => members.includes(user))
      .map(([name, { id }]) => ({ id, handle: name.slice(1), readAt: Date.now() })),
    readAt: Date.now(),
    unknown: [],
    ...workspace.people[user],
    ...change,
  });
  const answerDirectory = (id: string, names: readonly string[]) =>
    bot.votes.send(
      gateway,
      {
        kind: 'directory',
        v: 1,
        id,
        team: TEAM,
        groups: names.flatMap((name) => {
          const group = workspace.groups[name];
          return group
            ? [{ name, id: group.id, handle: name.slice(1), members: [...group.members], readAt: Date.now() }]
            : [];
        }),
        missing: names.filter((name) => !workspace.groups[name]),
        unreadable: [],
        at: Date.now(),
      },
      `directory-${id}`,
    );
  const handle = async (job: CardJob): Promise<void> => {
    jobs.push(job);
    switch (job.kind) {
      case 'card': {
        const known = cards.get(job.card.hold);
        if (!known || known.sequence < job.card.sequence) cards.set(job.card.hold, job.card);
        break;
      }
      case 'directory':
        if (workspace.answers.directory) await answerDirectory(job.id, job.names);
        break;
      case 'attest':
        if (workspace.answers.attest) {
          const people = job.users.map((user) => attest(user));
          await bot.votes.send(
            gateway,
            { kind: 'attestation', v: 1, id: job.id, hold: job.hold, people },
            `attested-${job.id}`,
          );
        }
        break;
      case 'reply':
      case 'notice':
      case 'forget':
        break;
    }
    news.emit('job');
  };
  const consumers: Consumer[] = [
    consumeCards({
      url: redis.url,
      keys: () => [publicOf(keys.gateway)],
      concurrency: 20,
      handle,
      onForged: log,
      onTrouble: noop,
    }),
    consumeVotes({
      gateway,
      key: keys.gateway,
      url: redis.url,
      keys: () => [publicOf(keys.bot)],
      concurrency: 200,
      handle: (message) => (holds ? holds.receive(message) : Promise.resolve(undefined)),
      onForged: log,
      onTrouble: noop,
    }),
  ];

  /** Resolves when some job makes `find` answer; what came already counts. */
  const until = async <T>(what: string, find: () => T | undefined | false, ms = 10_000): Promise<T> => {
    const signal = AbortSignal.timeout(ms);
    for (;;) {
      const found = find();
      if (found) return found;
      try {
        await once(news, 'job', { signal });
      } catch {
        throw new Error(`did not come: ${what}`);
      }
    }
  };
  const cardWhere = (where: (card: Card) => boolean, what = 'the card'): Promise<Card> =>
    until(what, () => [...cards.values()].find(where));
  const waitingFor = (change: Partial<Pick<Waiting, 'alive' | 'tokenEndsAt'>> = {}): Waiting => {
    const controller = new AbortController();
    const told: Waiting['told'] = [];
    const waiting: Waiting = {
      alive: true,
      tokenEndsAt: Date.now() + 3_600_000,
      ...change,
      told,
      controller,
      context: {
        signal: controller.signal,
        tell: (said) => void told.push(said),
        credentialEndsAt: () => waiting.tokenEndsAt,
        alive: () => waiting.alive,
      },
    };
    return waiting;
  };
  /** Admit and wait for the open card. */
  const hold = async (op: Operation = operation(), waiting: Waiting = waitingFor()) => {
    const answer = Promise.resolve(gate.admit(op, waiting.context));
    answer.catch(noop);
    const opened = (id: string) =>
      audit.entries.some((entry) => entry.kind === 'hold.open' && entry.hold === id && entry.operation === op.id);
    const card = await cardWhere(({ hold: id, state }) => state === 'open' && opened(id), 'the open card');
    return { answer, card, waiting, op };
  };
  const send = async (message: VoteOf): Promise<Receipt> => {
    const receipt = await bot.votes.ask(gateway, message, 15_000);
    if (!receipt) throw new Error('no receipt');
    return receipt;
  };
  const voteOf = (card: Card, user: string, change: Partial<VoteOf> = {}): VoteOf => ({
    kind: 'vote',
    v: 1,
    id: `click-${randomUUID()}`,
    hold: card.hold,
    digest: card.digest,
    revision: card.revision,
    decision: 'approve',
    voter: attest(user),
    clickedAt: Date.now(),
    channel: card.channel,
    ...change,
  });
  const stop = async (): Promise<void> => {
    await holds?.stop(500);
    for (const consumer of consumers) await consumer.close();
    await bot.votes.close();
    await publish.close().catch(noop);
    await lease.stop();
    commands.disconnect();
    if (!options.redis) await redis.stop();
  };
  await holds.start();
  await until('the first question about groups', () => jobs.some(({ kind }) => kind === 'directory'));

  return {
    redis,
    gateway,
    keys,
    commands,
    store,
    audit,
    logs,
    workspace,
    settings,
    lease,
    holds,
    gate,
    publish,
    cards,
    jobs,
    bot,
    attest,
    until,
    card: cardWhere,
    waiting: waitingFor,
    hold,
    voteOf,
    send,
    denyAll: async (card: Card, user: string): Promise<Receipt> => {
      const message = {
        kind: 'deny-all',
        v: 2,
        id: `click-${randomUUID()}`,
        hold: card.hold,
        voter: attest(user),
        clickedAt: Date.now(),
        channel: card.channel,
      } as const;
      const receipt = await bot.votes.ask(gateway, message, 15_000);
      if (!receipt) throw new Error('no receipt');
      return receipt;
    },
    vote: (card: Card, user: string, change: Partial<VoteOf> = {}) => send(voteOf(card, user, change)),
    stop,
  };
}
