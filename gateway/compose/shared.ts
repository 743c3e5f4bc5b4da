/** What a gateway shares with the others: Redis, its keys, its lease, the rules, cancel requests. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { connectBlocking, connectCommands, connected, redisWarnings } from '../../queue/connection.ts';
import { leaseKey } from '../../queue/leases.ts';
import { type SigningKey, signingKey, type VerifyingKey, verifyingKey } from '../../queue/sign.ts';
import type { Config } from '../config.ts';
import { systemClock } from '../holds/clock.ts';
import { ruleSchema } from '../policy/schema.ts';
import { createCancelRelay } from '../state/cancel.ts';
import { type FreezeSet, Freezes } from '../state/freezes.ts';
import { createLease } from '../state/lease.ts';
import { type RuleSet, RuleStore } from '../state/rules.ts';
import { SignedStore } from '../state/signed.ts';
import type { Say } from './log.ts';
import { type Presence, watchRedis } from './presence.ts';
import { verifiedFile, verifiedFiles } from './verified.ts';

const FIRST_WAIT_MS = 1_000; // a start goes on without Redis, and admits nothing

export type SharedEvents = {
  readonly onRules: (set: RuleSet) => void;
  readonly onFreezes: (set: FreezeSet) => void;
  readonly onLeaseLost: () => void;
  /** Renewed again after a failure: Redis may have lost what was written there. */
  readonly onLeaseBack: () => void;
  readonly onRedisOver: () => void;
  readonly handleCancel: (pid: number, secret: Buffer) => Promise<unknown>;
};

/** The keys as they are configured now; those of others may change while the gateway runs. */
export class Keys {
  readonly own: SigningKey;
  #gateways: readonly VerifyingKey[] = [];
  #bots: readonly VerifyingKey[] = [];

  constructor(config: Config) {
    this.own = signingKey(config.keys.own.reveal());
    this.update(config);
  }

  update({ keys }: Config): void {
    this.#gateways = [verifyingKey(this.own.public), ...keys.gateways.map(verifyingKey)];
    this.#bots = keys.bots.map(verifyingKey);
  }

  readonly gateways = (): readonly VerifyingKey[] => this.#gateways;
  readonly bots = (): readonly VerifyingKey[] => this.#bots;
}

/** Resolves whether Redis is there or not. @throws GatewayError CONFIG when what was remembered of the rules is damaged */
export async function openShared(
  deps: {
    readonly gateway: string;
    /** Which of the gateway's processes this is. */
    readonly worker: number;
    readonly config: () => Config;
    readonly keys: Keys;
    readonly log: Logger;
    readonly say: Say;
  } & SharedEvents,
) {
  const { gateway, worker, config, keys, log, say } = deps;
  const url = config().state.redis.reveal();
  const onTrouble = quietly((reason) => log.warn({ reason }, 'Redis'));
  const redis = connectCommands(url, onTrouble);
  const subscriber = connectBlocking(url, onTrouble);
  const store = new SignedStore(redis, { own: keys.own, trusted: keys.gateways });
  const lease = createLease({
    store,
    gateway,
    clock: systemClock,
    onLost: deps.onLeaseLost,
    onBack: deps.onLeaseBack,
    onTrouble: quietly((reason) => log.warn({ reason }, 'the lease could not be renewed')),
  });
  const rules = new RuleStore({
    store,
    rule: ruleSchema,
    file: verifiedFile(config(), 'rules', worker),
    others: verifiedFiles(config(), 'rules'),
    subscriber,
    clock: systemClock,
    onChange: deps.onRules,
    onTrouble: (trouble) => {
      if (trouble === undefined) log.info('the rules in Redis can be used and remembered again');
      else log.error({ trouble }, 'the rules in Redis cannot be used, or not be remembered');
    },
  });
  const freezes = new Freezes({
    store,
    file: verifiedFile(config(), 'freezes', worker),
    others: verifiedFiles(config(), 'freezes'),
    subscriber,
    clock: systemClock,
    onChange: deps.onFreezes,
    onTrouble: (trouble) => {
      if (trouble === undefined) log.info('the freezes in Redis can be used and remembered again');
      else log.error({ trouble }, 'the freezes in Redis cannot be used, or not be remembered');
    },
  });
  const relay = createCancelRelay({
    store,
    subscriber,
    clock: systemClock,
    newId: randomUUID,
    handleOwn: deps.handleCancel,
    log: say,
  });
  let presence: Presence | undefined;
  const welcome = async () => {
    for (const warning of await redisWarnings(redis)) log.warn(warning);
  };
  return {
    url,
    redis,
    subscriber,
    onTrouble,
    store,
    lease,
    rules,
    freezes,
    relay,
    missingFor: () => presence?.missingFor(),
    over: () => presence?.over() ?? false,
    start: async () => {
      const there = await connected(redis, FIRST_WAIT_MS).then(
        () => true,
        () => false,
      );
      if (there) await welcome().catch(() => {});
      else log.error('Redis does not answer: nothing is admitted until it does');
      await lease.start().catch(() => {}); // tried again by itself
      await rules.start();
      await freezes.start();
      presence = watchRedis(redis, () => config().state.graceMs, {
        onMissing: () => log.error({ graceMs: config().state.graceMs }, 'Redis is gone: nothing can be approved'),
        onOver: deps.onRedisOver,
        onBack: () => {
          log.info('Redis is back');
          void rules.look();
          void freezes.look();
          welcome().catch(() => {});
        },
      });
    },
    /** That gateway has ended, for certain: nobody needs to wait until its lease runs out. */
    bury: (dead: string) => redis.del(leaseKey(dead)),
    /** Let go of the lease and of Redis. */
    stop: async () => {
      presence?.stop();
      rules.stop();
      freezes.stop();
      relay.stop();
      await lease.stop();
      subscriber.disconnect();
      redis.disconnect();
    },
  };
}

export type Shared = Awaited<ReturnType<typeof openShared>>;

const REPEAT_MS = 30_000;

/** Libraries report the same trouble ten times a second: once is enough for a while. */
function quietly(report: (reason: string) => void): (error: unknown) => void {
  let last = '';
  let at = Number.NEGATIVE_INFINITY;
  return (error) => {
    const reason = error instanceof Error ? ('code' in error && String(error.code)) || error.message : String(error);
    if (reason === last && performance.now() - at < REPEAT_MS) return;
    last = reason;
    at = performance.now();
    report(reason);
  };
}
