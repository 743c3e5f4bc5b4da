/** What the pages show beside recordings: put together from the sessions, holds, rules and trail of this process, and from Redis. */
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Card } from '../../queue/cards.ts';
import { openHolds } from '../../queue/leases.ts';
import type { VerifyingKey } from '../../queue/sign.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { listSegments } from '../audit/files.ts';
import type { AuditTrail } from '../audit/writer.ts';
import type { Holds } from '../holds/broker.ts';
import type { LinkedPerson } from '../holds/linked.ts';
import type { SessionRegistry } from '../listeners/listener.ts';
import { principalKey } from '../operation.ts';
import type { Policy } from '../policy/policy.ts';
import type { AgentRegister } from '../state/agents.ts';
import type { SignedStore } from '../state/signed.ts';
import { version } from '../version.ts';
import type { Overview, TrailState, WaitingHold } from '../web/pages/overview.ts';
import { Verdicts } from './verdicts.ts';

const MOST_CHAINS = 20;
const headSchema = z.object({
  chain: z.string().max(200),
  seq: z.number(),
  hash: z.string().max(64),
  at: z.string().max(40),
});

export type OverviewDeps = {
  readonly gateway: string;
  readonly registry: SessionRegistry;
  readonly holds: Pick<Holds, 'list'>;
  readonly policy: () => Policy;
  readonly slackVersion: () => number;
  readonly audit: AuditTrail;
  readonly auditDir: string;
  readonly redis: Redis;
  readonly store: SignedStore;
  readonly gatewayKeys: () => readonly VerifyingKey[];
  /** Gateways with a lease. @throws while Redis is away */
  readonly alive: () => Promise<readonly string[]>;
  readonly troubles: Overview['troubles'];
  readonly endSession: Overview['endSession'];
  readonly people: () => readonly LinkedPerson[];
  readonly register: Pick<AgentRegister, 'namesOf'>;
  readonly redact: (text: string) => string;
  readonly now?: () => number;
};

export type LiveOverview = Overview & {
  /** An entry was written to the trail. */
  readonly entered: (entry: AuditEntry) => void;
};

export function createOverview(deps: OverviewDeps): LiveOverview {
  const { gateway, registry, holds, redis, store, audit, redact, now = Date.now } = deps;
  const verdicts = new Verdicts(now, (session) => registry.get(session)?.principal.sponsor);
  /** Of this process's own: which session it is, and its card. */
  const known = () => new Map(holds.list().map((hold) => [hold.id, hold]));
  const trail = async (): Promise<TrailState> => {
    const { seq, hash } = audit.head();
    const others = (await deps.alive().catch(() => [])).filter((id) => id !== gateway);
    const heads = await Promise.all(
      others.map(async (id) => {
        const head = await store.read(`countersign:audit:${id}`, headSchema).catch(() => undefined);
        return head ? [{ gateway: id, here: false, seq: head.seq, hash: head.hash, at: head.at }] : [];
      }),
    );
    const chains = new Map<string, { chain: string; files: number; last: string }>();
    for (const { chain, file } of await listSegments(deps.auditDir)) {
      chains.set(chain, { chain, files: (chains.get(chain)?.files ?? 0) + 1, last: file });
    }
    const newest = [...chains.values()].reverse();
    return {
      trouble: audit.trouble(),
      dir: deps.auditDir,
      heads: [{ gateway, here: true, seq, hash }, ...heads.flat()],
      chains: newest.slice(0, MOST_CHAINS),
      moreChains: Math.max(0, newest.length - MOST_CHAINS),
    };
  };
  return {
    gateway,
    version: version(),
    now,
    live: () =>
      registry.list().map(({ id, principal, connection, startedAt, lastOperationAt, lastHeadline }) => ({
        session: id,
        gateway,
        principal: principalKey(principal),
        ...(principal.sponsor === undefined ? {} : { sponsor: principal.sponsor }),
        name: principal.name,
        kind: principal.kind,
        connection,
        startedAt,
        ...(lastHeadline === undefined ? {} : { last: { headline: redact(lastHeadline), at: lastOperationAt } }),
      })),
    holds: async () => {
      const gateways = await deps.alive();
      const cards = await Promise.all(gateways.map((id) => openHolds(redis, id, deps.gatewayKeys())));
      const own = known();
      return cards
        .flat()
        .filter(({ state, collects }) => state === 'open' && collects === undefined)
        .sort((a, b) => a.openedAt - b.openedAt)
        .map((card) => waiting(card, own.get(card.hold)));
    },
    gateways: deps.alive,
    troubles: deps.troubles,
    verdicts: (visible) => verdicts.of(visible),
    rules: () => {
      const { version: of, rules } = deps.policy();
      return { version: of, slackVersion: deps.slackVersion(), rules };
    },
    trail,
    names: () => deps.register.namesOf(deps.people()),
    endSession: deps.endSession,
    entered: (entry) => verdicts.entered(entry),
  };
}

function waiting(card: Card, own: ReturnType<Holds['list']>[number] | undefined): WaitingHold {
  const { requester } = card;
  return {
    hold: card.hold,
    shortId: card.shortId,
    gateway: card.gateway,
    environment: card.environment,
    connection: card.connection,
    headline: card.headline,
    principal: `${requester.issuer}#${requester.subject}`,
    ...(requester.sponsor === undefined ? {} : { sponsor: requester.sponsor }),
    name: requester.name,
    kind: requester.kind,
    openedAt: card.openedAt,
    expiresAt: card.expiresAt,
    demands: card.demands.map(({ rule, quorum, counted }) => ({ rule, quorum, counted })),
    session: own?.operation.session,
    link: own?.posted?.permalink,
  };
}
