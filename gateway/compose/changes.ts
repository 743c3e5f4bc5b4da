/** What admins change from Slack: who may, how a second one is asked, how everybody hears of it. */

import type { Offer } from '../../queue/cards.ts';
import type { CardPublisher } from '../../queue/carry.ts';
import { type AuthorityDeps, objectionTo } from '../asks/authority.ts';
import { Proposals } from '../asks/propose.ts';
import type { Audit } from '../audit/entry.ts';
import type { Config } from '../config.ts';
import type { Holds } from '../holds/broker.ts';
import { systemClock } from '../holds/clock.ts';
import type { Say } from './log.ts';
import type { Rulebook } from './rulebook.ts';

export type ChangesDeps = {
  readonly config: () => Config;
  readonly rulebook: Pick<Rulebook, 'names'>;
  readonly holds: () => Holds;
  readonly audit: Audit;
  readonly publish: CardPublisher;
  readonly redact: (text: string) => string;
  readonly say: Say;
};

export type Changes = {
  /** Who asks, judged. */
  readonly authority: AuthorityDeps;
  readonly proposals: Proposals;
  /** Say it in the approvers' channel, once an id. */
  readonly announce: (id: string, text: string, ...offers: Offer[]) => void;
  /** Say it in the thread under that hold's card. */
  readonly announceUnder: (hold: string, id: string, text: string) => void;
  /** What this line was offered for is over: say this in the place of its buttons. */
  readonly over: (id: string, line: string, text: string) => void;
};

export function createChanges({ config, rulebook, holds, audit, publish, redact, say }: ChangesDeps): Changes {
  const { now } = systemClock;
  const authority: AuthorityDeps = {
    people: {
      team: () => holds().people.team(),
      groupId: (name) => holds().people.groupId(name),
      members: (name) => holds().people.members(name),
      known: (names) => holds().people.known(names),
      attest: (user, names) => holds().people.attest(user, names),
      oidcMembers: (group) => holds().people.oidcMembers(group),
    },
    linked: () => config().identity.people,
    admins: () => config().approvals.admins,
    approvers: () => rulebook.names(),
    now,
  };
  const proposals = new Proposals({
    holds,
    audit,
    admins: authority.admins,
    channel: () => config().approvals.channel,
    expiresMs: () => config().approvals.expiresMs,
    objection: (asker) => objectionTo(authority, asker),
    redact,
    log: say,
  });
  const tell = (id: string, text: string, more: { hold?: string; offers?: Offer[] }) => {
    const notice = { kind: 'notice', id, channel: config().approvals.channel, text: text.slice(0, 3_000) } as const;
    publish
      .send({ ...notice, at: now(), v: Object.keys(more).length > 0 ? 2 : 1, ...more }, id)
      .catch((error) => say('a change could not be announced', { error: String(error) }));
  };
  return {
    authority,
    proposals,
    announce: (id, text, ...offers) => tell(id, text, offers.length > 0 ? { offers } : {}),
    announceUnder: (hold, id, text) => tell(id, text, { hold }),
    over: (id, line, text) => {
      publish
        .send({ kind: 'over', v: 2, id, line, text: text.slice(0, 300), at: now() }, id)
        .catch((error) => say('what is over stays offered', { line, error: String(error) }));
    },
  };
}
