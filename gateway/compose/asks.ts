/** What people ask with `/gate`: the room that takes it, and the rooms that answer. */
import type { Logger } from 'pino';
import { CARDS_QUEUE } from '../../queue/cards.ts';
import { consumeAsks } from '../../queue/carry.ts';
import { CARD_JOB_MS, openQueue } from '../../queue/connection.ts';
import { holdsAnswers } from '../asks/holds.ts';
import { onceIn } from '../asks/once.ts';
import { Room } from '../asks/room.ts';
import { sessionsAnswers } from '../asks/sessions.ts';
import { statusAnswers } from '../asks/status.ts';
import type { AuditTrail } from '../audit/writer.ts';
import type { Config } from '../config.ts';
import type { Holds } from '../holds/broker.ts';
import { systemClock } from '../holds/clock.ts';
import type { SessionRegistry } from '../listeners/listener.ts';
import { version } from '../version.ts';
import type { Metrics } from '../web/metrics.ts';
import type { Say } from './log.ts';
import type { Rulebook } from './rulebook.ts';
import type { Keys, Shared } from './shared.ts';

const ASKS_AT_ONCE = 50;

export type AsksDeps = {
  readonly gateway: string;
  readonly config: () => Config;
  readonly keys: Keys;
  readonly shared: Shared;
  readonly rulebook: Rulebook;
  readonly registry: SessionRegistry;
  readonly holds: Holds;
  readonly audit: AuditTrail;
  readonly metrics: Metrics;
  readonly troubles: () => Promise<Readonly<Record<string, string>>>;
  readonly redact: (text: string) => string;
  readonly log: Logger;
  readonly say: Say;
};

/** Takes asks from now on. */
export function takeAsks(deps: AsksDeps): { close(): Promise<void> } {
  const { gateway, config, keys, shared, rulebook, registry, holds, audit, metrics, redact, log, say } = deps;
  const now = systemClock.now;
  const cards = openQueue(CARDS_QUEUE, shared.redis, { jobMs: CARD_JOB_MS });
  const room = new Room({
    gateway,
    authority: {
      people: holds.people,
      linked: () => config().identity.people,
      admins: () => config().approvals.admins,
      approvers: () => rulebook.names(),
      now,
    },
    answers: {
      ...statusAnswers({
        gateway,
        version: version(),
        startedAt: now(),
        now,
        registry,
        holds,
        waitingJobs: () =>
          cards.use((queue) => queue.getJobCountByTypes('wait', 'delayed', 'prioritized')).catch(() => undefined),
        audit,
        policy: rulebook.policy,
        rulesVersion: () => shared.rules.current().version,
        frozen: () => [],
        troubles: deps.troubles,
      }),
      ...sessionsAnswers({
        gateway,
        registry,
        connections: () => config().connections.map(({ name }) => name),
        redact,
        now,
      }),
      ...holdsAnswers({ gateway, holds, redact, now }),
    },
    once: onceIn(shared.store, gateway, systemClock),
    audit,
    terminal: (vote) => holds.receiveTerminal(vote),
    sealedBy: (key) => {
      if (keys.bots().some(({ id }) => id === key)) return 'bot';
      return keys.gateways().some(({ id }) => id === key) ? 'gateway' : undefined;
    },
    redact,
    log: say,
    onAsk: ({ command, result }) => metrics.ask(command, result),
  });
  const asks = consumeAsks({
    url: shared.url,
    gateway,
    key: keys.own,
    keys: () => [...keys.bots(), ...keys.gateways()],
    concurrency: ASKS_AT_ONCE,
    handle: (ask, by) => room.answer(ask, by),
    onForged: (why) => log.error({ why }, 'an ask was dropped: no trusted bot or gateway wrote it'),
    onTrouble: shared.onTrouble,
  });
  return {
    close: async () => {
      await asks.close();
      await cards.close();
    },
  };
}
