/** What people ask with `/gate`: the room that takes it, and the rooms that answer. */
import type { Logger } from 'pino';
import { CARDS_QUEUE } from '../../queue/cards.ts';
import { consumeAsks } from '../../queue/carry.ts';
import { CARD_JOB_MS, openQueue } from '../../queue/connection.ts';
import { freezeAnswers } from '../asks/freeze.ts';
import { holdsAnswers } from '../asks/holds.ts';
import { homeAnswers } from '../asks/home.ts';
import { onceIn } from '../asks/once.ts';
import { reviewAnswers } from '../asks/review.ts';
import { Room } from '../asks/room.ts';
import { isCalled, sessionsAnswers } from '../asks/sessions.ts';
import { statusAnswers } from '../asks/status.ts';
import type { AuditTrail } from '../audit/writer.ts';
import type { Config } from '../config.ts';
import type { History } from '../gate/history.ts';
import { reviewLine } from '../holds/alarm.ts';
import type { Holds } from '../holds/broker.ts';
import { moment, systemClock } from '../holds/clock.ts';
import type { Decisions } from '../holds/decisions.ts';
import type { SessionRegistry } from '../listeners/listener.ts';
import type { AgentRegister } from '../state/agents.ts';
import { frozenSentence } from '../state/freezes.ts';
import { Reviews } from '../state/reviews.ts';
import { version } from '../version.ts';
import type { Metrics } from '../web/metrics.ts';
import type { Changes } from './changes.ts';
import type { Say } from './log.ts';
import type { Door } from './postgres.ts';
import { ruleAsks } from './rule-asks.ts';
import type { Rulebook } from './rulebook.ts';
import type { Keys, Shared } from './shared.ts';
import type { StandingApprovals } from './standing.ts';

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
  readonly changes: Changes;
  readonly standing: Pick<StandingApprovals, 'answers'>;
  readonly history: History;
  readonly decisions: Decisions;
  readonly register: AgentRegister;
  readonly liveInspector: Door['liveInspector'];
  /** Which of the gateway's processes this is. */
  readonly worker: number;
  readonly troubles: () => Promise<Readonly<Record<string, string>>>;
  readonly redact: (text: string) => string;
  readonly log: Logger;
  readonly say: Say;
};

/** Takes asks from now on. */
export function takeAsks(deps: AsksDeps): { close(): Promise<void> } {
  const { gateway, config, keys, shared, rulebook, registry, holds, audit, metrics, changes, redact, log, say } = deps;
  const now = systemClock.now;
  const connections = () => config().connections.map(({ name }) => name);
  const cards = openQueue(CARDS_QUEUE, shared.redis, { jobMs: CARD_JOB_MS });
  const startedAt = now();
  const reviews = new Reviews(shared.store);
  const room = new Room({
    gateway,
    authority: changes.authority,
    answers: {
      ...statusAnswers({
        gateway,
        version: version(),
        startedAt,
        now,
        registry,
        holds,
        waitingJobs: () =>
          cards.use((queue) => queue.getJobCountByTypes('wait', 'delayed', 'prioritized')).catch(() => undefined),
        audit,
        policy: rulebook.policy,
        rulesVersion: () => shared.rules.current().version,
        frozen: () => shared.freezes.list().map(frozenSentence),
        troubles: deps.troubles,
      }),
      ...sessionsAnswers({
        gateway,
        registry,
        connections,
        redact,
        now,
      }),
      ...holdsAnswers({ gateway, holds, redact, now }),
      ...homeAnswers({
        gateway,
        version: version(),
        startedAt,
        now,
        holds,
        registry,
        history: deps.history,
        decisions: deps.decisions,
        reviews,
        people: changes.authority.people,
        linked: changes.authority.linked,
        troubles: deps.troubles,
        redact,
      }),
      ...ruleAsks(deps),
      ...deps.standing.answers,
      ...reviewAnswers({
        reviews,
        audit,
        people: changes.authority.linked,
        signed: ({ hold, name }, by) => {
          changes.announceUnder(hold, `signed-${hold}`, `Reviewed: ${by} signed that ${name} released this alone.`);
          changes.over(`signed-${hold}-over`, reviewLine(hold), `Reviewed: signed by ${by}, ${moment(now())}.`);
        },
      }),
      ...freezeAnswers({
        freezes: shared.freezes,
        propose: changes.proposals.propose,
        connections,
        isKnown: known({ config, registry, register: deps.register }),
        announce: changes.announce,
        redact,
        now,
      }),
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

/** Has anybody of that name, subject or `issuer#subject` been configured, been here, or is here now? */
function known({ config, registry, register }: Pick<AsksDeps, 'config' | 'registry' | 'register'>) {
  return async (what: string): Promise<boolean> => {
    const { agents, people, issuers } = config().identity;
    if (issuers.some(({ issuer }) => what.startsWith(`${issuer}#`) && what.length > issuer.length + 1)) return true;
    if ([...agents, ...people].some(({ subject }) => subject === what)) return true;
    if (registry.list().some(({ principal }) => isCalled(what, principal))) return true;
    return (await register.list()).some(({ name, subject }) => name === what || subject === what);
  };
}
