/** One click that denies everything a collecting card stands for: counted for each hold as if it had been clicked there. */
import type { Receipt, VoteMessage } from '../../queue/votes.ts';
import { receiveVote } from './ballot.ts';
import type { Book } from './book.ts';

const AT_ONCE = 20;

export async function receiveDenyAll(book: Book, click: Extract<VoteMessage, { kind: 'deny-all' }>): Promise<Receipt> {
  const { id, hold: collection, voter, clickedAt, channel } = click;
  const members = book.floods.membersOf(collection);
  const said = (counted: boolean, text: string): Receipt => ({ v: 1, id, hold: collection, counted, text });
  if (!members || members.length === 0) {
    book.ledger.note({
      kind: 'hold.vote',
      vote: id,
      user: voter.user,
      counted: false,
      why: 'nothing of it waits any more',
    });
    return said(false, 'Not counted: nothing of it waits any more.');
  }
  const receipts: Receipt[] = [];
  for (let from = 0; from < members.length; from += AT_ONCE) {
    const some = members.slice(from, from + AT_ONCE).map(({ id: hold, digest, revision }) =>
      receiveVote(book, {
        kind: 'vote',
        v: 1,
        id: `${id}.${hold}`.slice(0, 120),
        hold,
        digest,
        revision,
        decision: 'deny',
        reason: 'one of many at once: all of them were denied',
        from: 'card',
        voter,
        clickedAt,
        channel,
      }),
    );
    receipts.push(...(await Promise.all(some)));
  }
  const denied = receipts.filter(({ counted }) => counted).length;
  const not = receipts.find(({ counted }) => !counted);
  const rest = not ? ` ${receipts.length - denied} not: ${not.text.replace(/^Not counted: /, '')}` : '';
  return said(denied > 0, `Denied ${denied} of ${receipts.length}.${rest}`.slice(0, 1000));
}
