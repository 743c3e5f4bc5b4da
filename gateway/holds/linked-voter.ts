/** People whom the configuration links to a Slack account: what this gateway can attest of them without asking Slack. */
import type { Attestation } from '../../queue/votes.ts';
import type { Book } from './book.ts';
import type { Hold, TerminalVoter } from './hold.ts';
import { groupNames } from './quorum.ts';

/** Who a verified token says is there. */
export type Person = Omit<TerminalVoter, 'endsAt' | 'jti' | 'hash'>;

export const NOT_LINKED =
  'no Slack account is linked to you here: only people whom identity.people of the configuration links to one vote from a terminal';

/** Which Slack account the configuration links this person to: that is who votes. */
const slackOf = (book: Book, { issuer, subject }: Pick<Person, 'issuer' | 'subject'>): string | undefined =>
  book.deps.people().find((linked) => linked.issuer === issuer && linked.subject === subject)?.slack;

/**
 * What Slack would say of them, as far as this gateway knows it by itself: groups as read within the last minute, and
 * nothing of an account that Slack alone could tell. Undefined where they are linked to none.
 */
export function attested(book: Book, person: Person, names: readonly string[]): Attestation | undefined {
  const user = slackOf(book, person);
  if (user === undefined) return undefined;
  const { directory } = book;
  const readAt = book.deps.clock.now();
  const groups: Attestation['groups'] = [];
  const unknown: string[] = [];
  for (const name of names) {
    const id = directory.groupId(name);
    const members = directory.members(name);
    if (id === undefined || members === undefined) unknown.push(name);
    else if (members.includes(user)) groups.push({ id, handle: name.replace(/^@/, '').slice(0, 64), readAt });
  }
  return {
    team: directory.team ?? '',
    user,
    name: person.name,
    ...(person.email === undefined ? {} : { email: person.email }),
    emailConfirmed: person.email !== undefined,
    deleted: false,
    bot: false,
    guest: false,
    stranger: false,
    invited: false,
    groups,
    readAt,
    unknown,
  };
}

/** Attest the terminal's votes anew, by what this gateway knows now; says of each that does not stand any more why. */
export function refreshTerminal(book: Book, hold: Hold): { readonly user: string; readonly why: string }[] {
  const void_: { user: string; why: string }[] = [];
  const { clock } = book.deps;
  for (const vote of hold.votes.values()) {
    if (!vote.terminal) continue;
    const voter = attested(book, vote.terminal, groupNames(hold.demands));
    const why = ended(book, vote.terminal) ?? (voter?.user === vote.user ? undefined : NOT_LINKED);
    if (why !== undefined || !voter) {
      void_.push({ user: vote.user, why: why ?? NOT_LINKED });
      continue;
    }
    vote.voter = voter;
    vote.attestedAt = clock.monotonic();
  }
  return void_;
}

function ended({ deps }: Book, { issuer, subject, endsAt, jti, hash }: TerminalVoter): string | undefined {
  if (endsAt <= deps.clock.now()) return 'the token it was given with has ended';
  return deps.isRevoked({ issuer, subject, jti, hash }) ? 'access was revoked' : undefined;
}

/** Do all votes stand without Slack? Then nobody has to be asked there who may not vote. */
export const standAlone = (hold: Hold): boolean =>
  hold.votes.size > 0 && [...hold.votes.values()].every(({ terminal }) => terminal !== undefined);
