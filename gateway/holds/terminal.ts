/** Votes from a signed-in terminal, for the night when Slack is down: the same rules, attested by the issuer instead. */
import type { Ask } from '../../queue/asks.ts';
import type { Card } from '../../queue/cards.ts';
import type { Receipt } from '../../queue/votes.ts';
import { receiveVote } from './ballot.ts';
import type { Book } from './book.ts';
import { attested, NOT_LINKED, type Person } from './linked-voter.ts';
import { groupNames, isGroupName } from './quorum.ts';

export type TerminalVote = Extract<Ask, { kind: 'terminal' }>;

/** May this person see what waits there? Whoever may decide about it, and admins. */
export async function mayRead(book: Book, card: Card, person: Person): Promise<boolean> {
  const approvers = [
    ...card.demands.flatMap((demand) => demand.approvers),
    ...book.deps.admins(),
    ...book.deps.breakGlass(),
  ];
  const voter = attested(book, person, approvers.filter(isGroupName));
  if (!voter) return false;
  for (const name of approvers) {
    if (name === voter.user || voter.groups.some(({ id }) => id === book.directory.groupId(name))) return true;
    if (!name.startsWith('oidc:')) continue;
    const members = await book.deps.oidcMembers(name.slice('oidc:'.length)).catch((): readonly string[] => []);
    if (members.includes(voter.user)) return true;
  }
  return false;
}

/** One vote; the receipt says whether it counted, and why not. */
export async function receiveTerminal(book: Book, vote: TerminalVote): Promise<Receipt> {
  const { id, hold: of, digest, revision, decision, reason, issuer, subject, endsAt, jti, hash, at } = vote;
  const hold = book.find(of);
  const voter = attested(book, vote, hold ? groupNames(hold.demands) : []);
  if (!voter) {
    book.ledger.note({
      kind: 'hold.vote',
      hold: of,
      vote: id,
      principal: `${issuer}#${subject}`,
      counted: false,
      why: NOT_LINKED,
    });
    return { v: 1, id, hold: of, counted: false, text: `Not counted: ${NOT_LINKED}.` };
  }
  return receiveVote(
    book,
    {
      kind: 'vote',
      v: 2,
      id,
      hold: of,
      digest,
      revision,
      decision,
      ...(reason === undefined ? {} : { reason }),
      from: 'details', // the terminal shows the whole text before it asks
      voter,
      clickedAt: at,
      channel: '',
    },
    { issuer, subject, name: vote.name, ...(vote.email === undefined ? {} : { email: vote.email }), endsAt, jti, hash },
  );
}
