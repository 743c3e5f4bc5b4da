import type { Logger } from 'pino';
import { consumeVotes } from '../queue/carry.ts';
import { LeaseWatch } from '../queue/leases.ts';
import { endsBeside } from './audit/files.ts';
import { takeAsks } from './compose/asks.ts';
import { secureContext } from './compose/certificate.ts';
import { alone, type Crew, shareOf } from './compose/crew.ts';
import { createDeciding } from './compose/deciding.ts';
import { createEndings } from './compose/endings.ts';
import { createIdentity } from './compose/identity.ts';
import { described, logLost, redact, sayTo } from './compose/log.ts';
import { createOverview, type LiveOverview } from './compose/overview.ts';
import { createPlanDoor } from './compose/plans.ts';
import { createDoor } from './compose/postgres.ts';
import { openRecording, type Recording } from './compose/recordings.ts';
import { takeUp } from './compose/reload.ts';
import { Rulebook } from './compose/rulebook.ts';
import { Keys, openShared } from './compose/shared.ts';
import { createSignIn } from './compose/sign-in.ts';
import { startSinks } from './compose/sinks.ts';
import { createTerminal } from './compose/terminal.ts';
import { openTrail } from './compose/trail.ts';
import { createWebDoor } from './compose/web.ts';
import type { Address, Config } from './config.ts';
import { systemClock } from './holds/clock.ts';
import { watchDeadGateways } from './holds/heir.ts';
import { SessionRegistry } from './listeners/listener.ts';
import { createMetrics } from './web/metrics.ts';
import { pages } from './web/pages/pages.ts';
import { troublesOf } from './web/ready.ts';
import { MAX_CONNECTIONS } from './web/server.ts';

const VOTES_AT_ONCE = 200; // a click may wait for answers that come on the same queue, and must not keep them out
const HEAD_KEPT_MS = 30 * 86_400_000; // long enough to compare with a trail that was cut

export type Gateway = {
  readonly id: string;
  readonly addresses: { readonly postgres: Address | undefined; readonly web: Address | undefined };
  /** Take up a new configuration without dropping a session. A bad one is refused, logged and audited; never throws. */
  reload(read: () => Config): void;
  /** Tell held clients, let running operations end for at most `ms`, then end everything else. */
  drain(ms: number): Promise<void>;
  /** End everything now. */
  stop(): Promise<void>;
};

/**
 * Resolves once listening, whether Redis is there or not: without it nothing is admitted. `crew`: the other processes
 * behind the same addresses.
 * @throws GatewayError CONFIG | AUDIT when it cannot start as configured
 */
export async function startGateway(
  first: Config,
  { id, log, crew = alone }: { id: string; log: Logger; crew?: Crew },
): Promise<Gateway> {
  const now = { config: first, certificate: secureContext(first.tls), draining: false };
  const config = () => now.config;
  const say = sayTo(log);
  const ends: (() => Promise<unknown> | unknown)[] = [];
  const end = async () => {
    for (const step of ends.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        log.warn(described(error), 'while ending');
      }
    }
  };
  try {
    const keys = new Keys(first);
    let recording: Recording | undefined;
    let overview: LiveOverview | undefined;
    const { audit, note } = await openTrail(first.audit, {
      gateway: id,
      clears: crew.number <= 1,
      onEntry: (entry, members) => {
        recording?.entered(entry, members);
        overview?.entered(entry);
      },
      publishHead: (head) => shared.store.write(`countersign:audit:${id}`, head, { ttlMs: HEAD_KEPT_MS }),
      log,
    });
    ends.push(() => {
      note({ kind: 'stop', gateway: id });
      return audit.close();
    });
    const sinks = startSinks(first.audit, { note, log });
    ends.unshift(() => sinks.stop()); // behind the end of the trail, which they still take along

    const registry = new SessionRegistry({ maxPerPrincipal: first.limits.sessionsPerPrincipal, places: crew.places });
    const endSessions = (reason: string) => {
      for (const session of registry.list()) session.end(reason);
    };
    const rulebook = new Rulebook(first, () => holds.rulesChanged());
    const shared = await openShared({
      gateway: id,
      worker: crew.number,
      config,
      keys,
      log,
      say,
      onRules: ({ version, by, rules }) => {
        rulebook.takeSlack(rules);
        note({ kind: 'rules.changed', version, by, rules: rules.length });
      },
      onFreezes: ({ version, by, frozen }) => {
        note({ kind: 'frozen', version, by, frozen });
        holds.withdrawWhere('FROZEN', (operation) => shared.freezes.refusal(operation));
        changes.proposals.withdrawMoot();
      },
      onLeaseBack: () => holds.republish(),
      onLeaseLost: () => holds.withdrawAll('UNAVAILABLE', 'the gateway lost touch with Redis'),
      onRedisOver: () => endSessions('the gateway has been without its shared state for too long'),
      handleCancel: (pid, secret) => door.cancelKeys.handleOwn(pid, secret),
    });
    ends.unshift(() => shared.stop()); // last: the end of the trail is published through it
    const leases = new LeaseWatch(shared.redis, keys.gateways);
    recording = await openRecording({
      config: first,
      gateway: id,
      audit,
      store: shared.store,
      alive: () => leases.live(),
      registry,
      log,
    });
    ends.push(() => recording?.close());
    const closed = (): string | undefined => {
      if (now.draining) return 'the gateway is stopping';
      if (!shared.rules.ready()) return 'the gateway has not verified its rules yet: Redis does not answer';
      if (!shared.freezes.ready()) return 'the gateway has not verified what is frozen yet: Redis does not answer';
      return shared.over() ? 'the gateway has been without its shared state for too long' : undefined;
    };

    const identity = createIdentity({ store: shared.store, config, log });
    ends.push(() => identity.stop());
    const metrics = createMetrics({
      sessions: () => registry.size,
      holdsOpen: () => holds.stats().open,
      oldestHoldMs: () => holds.stats().oldestMs,
      auditLag: () => audit.lag(),
      recordings: () => recording?.stats(),
      sinks: sinks.states,
      catalogueAges: () => door.catalogueAges(),
      connections: () => config().connections.map(({ name }) => name),
      logLost,
      others: crew.metrics,
    });
    ends.push(() => metrics.stop());
    const deciding = createDeciding({
      gateway: id,
      config,
      keys,
      shared,
      rulebook,
      identity,
      registry,
      metrics,
      audit,
      places: crew.places,
      closed,
      say,
    });
    const { holds, gate, changes } = deciding;
    ends.push(() => deciding.close());
    const door = createDoor({
      gateway: id,
      config,
      certificate: () => now.certificate,
      authenticator: identity.authenticator,
      gate,
      audit,
      registry,
      closed,
      forwardCancel: async (pid, secret) => {
        if (!(await crew.cancel(pid, secret))) await shared.relay.forward(pid, secret);
      },
      listen: crew.listen('postgres'),
      shareOf: (limit) => shareOf(limit, crew),
      onSignIn: (principal, connection) => void identity.register.seen(principal, connection),
      onMasked: metrics.masked,
      record: recording?.record,
      log,
    });
    ends.push(() => door.close());

    const troubles = () =>
      troublesOf({
        redis: () => (shared.missingFor() === undefined ? closed() : 'Redis does not answer'),
        lease: () => (shared.lease.valid() ? undefined : 'this gateway has no lease'),
        rules: () => shared.rules.trouble(),
        freezes: () => shared.freezes.trouble(),
        audit: () => audit.trouble(),
        recordings: () => recording?.trouble(),
      });
    const allTroubles = async () => ({ ...(await troubles()), ...(await crew.troubles()) });
    const endings = createEndings({ gateway: id, registry, audit, shared, log: say });
    ends.push(() => endings.stop());
    const seen = createOverview({
      gateway: id,
      registry,
      holds,
      policy: rulebook.policy,
      slackVersion: () => shared.rules.current().version,
      audit,
      auditDir: first.audit.dir,
      redis: shared.redis,
      store: shared.store,
      gatewayKeys: keys.gateways,
      alive: () => leases.live(),
      endSession: endings.end,
      troubles: async () => {
        const why = recording?.shelfTrouble(); // it keeps nobody from working
        return { ...(await allTroubles()), ...(why === undefined ? {} : { 'finding recordings': why }) };
      },
      people: () => config().identity.people,
      register: identity.register,
      redact,
    });
    overview = seen;
    const terminal = createTerminal({
      gateway: id,
      holds,
      shared,
      keys,
      identity,
      people: () => config().identity.people,
    });
    ends.push(() => terminal.close());
    const web = createWebDoor({
      terminal: terminal.door,
      whoIs: terminal.whoIs,
      plans: createPlanDoor({
        plans: deciding.standing.plans,
        door: () => door,
        authenticator: identity.authenticator,
        closed,
      }),
      signIn: createSignIn({ config, store: shared.store, identity, holds, rulebook, log }),
      pages: (app, guard) => pages(app, guard, { recordings: recording?.library, overview: seen, audit, log }),
      config,
      exchange: (jwt) => identity.exchange(jwt),
      audit,
      metrics,
      troubles: allTroubles,
      limiter: crew.limiter,
      listen: crew.listen('web'),
      maxConnections: shareOf(MAX_CONNECTIONS, crew),
      log,
    });
    ends.push(() => web?.stop());

    audit.append({ kind: 'start', gateway: id, policy: rulebook.policy().version });
    const addresses = { web: await web?.start(), postgres: undefined as Address | undefined };
    await shared.start();
    identity.start(shared.subscriber);
    const votes = consumeVotes({
      url: shared.url,
      gateway: id,
      key: keys.own,
      keys: keys.bots,
      concurrency: VOTES_AT_ONCE,
      handle: async (message) => {
        const receipt = await holds.receive(message);
        if (message.kind === 'vote' && receipt) metrics.vote(receipt.counted);
        return receipt;
      },
      onForged: (why) => log.error({ why }, 'a vote was dropped: no trusted bot wrote it'),
      onTrouble: shared.onTrouble,
    });
    ends.push(() => votes.close());
    await holds.start();
    recording?.find();
    const asks = takeAsks({
      gateway: id,
      config,
      keys,
      shared,
      rulebook,
      registry,
      holds,
      audit,
      metrics,
      changes,
      standing: deciding.standing,
      history: deciding.history,
      decisions: deciding.decisions,
      register: identity.register,
      liveInspector: door.liveInspector,
      worker: crew.number,
      troubles,
      redact,
      log,
      say,
    });
    ends.push(() => asks.close());
    const heir = watchDeadGateways({
      gateway: id,
      leases,
      audit,
      clock: systemClock,
      inherit: deciding.inherit,
      onTrouble: (error) => log.warn(described(error), 'what dead gateways left could not be put on record'),
    });
    ends.push(() => heir.stop());
    addresses.postgres = await door.listener?.start();
    ends.push(() => door.listener?.stop());
    crew.serve({
      troubles,
      metrics: metrics.json,
      ownsCancelKey: (pid) => door.cancelKeys.has(pid),
      cancel: (pid, secret) => door.cancelKeys.handleOwn(pid, secret),
      bury: shared.bury,
    });
    log.info({ ...addresses, connections: first.connections.length }, 'gateway started');
    endsBeside(first.audit.dir, id).then(
      (others) => others.length > 0 && note({ kind: 'audit.beside', ends: others }),
      (error) => log.warn(described(error), 'the other audit chains could not be read'),
    );

    return {
      id,
      addresses,
      reload: (read) => takeUp(read, { now, web, keys, identity, door, rulebook, log, note }),
      drain: async (ms) => {
        now.draining = true;
        log.info({ sessions: registry.size, holds: holds.stats().open }, 'draining');
        await door.listener?.drain(AbortSignal.timeout(ms));
        await end();
      },
      stop: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}
