/** One click: checked, attested, recorded, counted; always answered with a receipt. */
import type { Attestation, Receipt, VoteMessage } from '../../queue/votes.ts';
import { type Book, groupNames } from './book.ts';
import { FRESH_MS } from './directory.ts';
import type { Hold } from './hold.ts';
import { entitlement, isSameHuman } from './quorum.ts';
import { confirm } from './release.ts';
import { lateText } from './words.ts';

const MAX_RECEIPTS = 200; // remembered per hold, to answer redeliveries alike
const MAX_CLICKS = 30; // by one person on one hold; nobody needs more to approve or deny
const MAX_VOTERS = 50; // as many as a card has room for
const ATTEST_MS = 8_000; // the clicker sees nothing meanwhile
const DIRECTORY_MS = 5_000;

type VoteOf = Extract<VoteMessage, { kind: 'vote' }>;
type KillOf = Extract<VoteMessage, { kind: 'kill' }>;
type Click = VoteOf | KillOf;

const receipt = ({ id, hold }: Click, counted: boolean, text: string): Receipt => ({
  v: 1,
  id,
  hold,
  counted,
  text: text.slice(0, 1000),
});
const refused = (click: Click, why: string): Receipt => receipt(click, false, `Not counted: ${why}.`);

/** The same click again (a redelivery) gets the same receipt. */
export function receiveVote(book: Book, click: VoteOf): Promise<Receipt> {
  const hold = book.find(click.hold);
  const receipts = (hold ?? book.remembered(click.hold))?.receipts;
  const known = receipts?.get(click.id);
  if (known) return known;
  if (!hold) {
    const ended = book.remembered(click.hold);
    return Promise.resolve(refused(click, ended ? lateText(ended) : 'this is not waiting here any more'));
  }
  return remember(hold, click, () => count(book, hold, click));
}

function remember(hold: Hold, click: Click, judge: () => Promise<Receipt>): Promise<Receipt> {
  const { user } = click.voter;
  const clicks = (hold.clicks.get(user) ?? 0) + 1;
  hold.clicks.set(user, clicks);
  if (clicks > MAX_CLICKS) return Promise.resolve(refused(click, 'you have clicked too often on this request'));
  const judged = judge();
  hold.receipts.set(click.id, judged);
  const oldest = hold.receipts.keys().next().value;
  if (hold.receipts.size > MAX_RECEIPTS && oldest !== undefined) hold.receipts.delete(oldest);
  return judged;
}

async function count(book: Book, hold: Hold, click: VoteOf): Promise<Receipt> {
  const early = mismatch(hold, click);
  if (early) return refused(click, early);

  const { clock } = book.deps;
  let { voter } = click;
  let attestedAt = clock.monotonic() - Math.abs(clock.now() - voter.readAt);
  if (isStale(voter, click.clickedAt, clock.now())) {
    const fresh = await attestAgain(book, hold, voter);
    if (!fresh) return refuse(book, hold, click, voter, 'it took too long to ask Slack about you; click again');
    voter = fresh;
    attestedAt = clock.monotonic();
  }
  await knowApprovers(book, hold);
  await book.loadOidc(hold);

  // Time has passed: from here to the end of this function nothing waits.
  const late = mismatch(hold, click);
  if (late) return refuse(book, hold, click, voter, late);
  const entitled = entitlement(voter, hold.operation.principal, hold.demands, book.authority(hold));
  if (!entitled.ok) return refuse(book, hold, click, voter, entitled.why);

  const again = hold.votes.get(voter.user);
  const addsReason = again?.reason === undefined && click.reason !== undefined;
  if (click.decision === 'approve') {
    const other = [...hold.votes.values()].find((vote) => vote.user !== voter.user && isSameHuman(vote.voter, voter));
    if (other) return refuse(book, hold, click, voter, 'you have voted already, from another account');
    if (again && !addsReason) return refuse(book, hold, click, voter, 'you have approved this already');
    if (!again && hold.votes.size >= MAX_VOTERS) return refuse(book, hold, click, voter, 'it has enough votes already');
  }
  const remark = book.directory.remark(voter.user, groupNames(hold.demands));
  const recorded = book.record(hold, 'hold.vote', {
    ...seen(book, click, voter),
    counted: true,
    rules: entitled.rules,
    ...(remark === undefined ? {} : { remark }),
  });
  if (!recorded) return refused(click, 'the audit trail cannot be written; nothing passes unrecorded');
  hold.names.set(voter.user, voter.name);

  if (click.decision === 'deny') {
    book.apply(hold, { kind: 'deny', at: clock.now(), by: voter.user, reason: click.reason ?? '' });
    return receipt(click, true, 'Denied. Nothing was run.');
  }
  const { reason } = click;
  hold.votes.set(voter.user, { user: voter.user, reason, at: clock.now(), remark, voter, attestedAt });
  const { met } = book.recount(hold);
  const answer = receipt(click, true, countedText(hold, entitled.rules, reason));
  if (met) confirm(book, hold);
  else book.show(hold);
  return answer;
}

/** Why this click does not fit the hold as it is now. */
function mismatch(hold: Hold, click: VoteOf): string | undefined {
  if (hold.phase.kind !== 'open') return lateText(hold);
  if (click.revision !== hold.revision) {
    return 'the request has changed since that card was shown; look at it again and click again';
  }
  if (click.digest !== hold.digest) return 'that card shows something other than what is waiting';
  return undefined;
}

/** Travelled longer than a minute, or clocks disagree by more: either way it says too little about now. */
function isStale(voter: Attestation, clickedAt: number, now: number): boolean {
  const times = [clickedAt, voter.readAt, ...voter.groups.map(({ readAt }) => readAt)];
  return times.some((time) => Math.abs(now - time) > FRESH_MS);
}

async function attestAgain(book: Book, hold: Hold, voter: Attestation): Promise<Attestation | undefined> {
  const names = groupNames(hold.demands);
  const people = await book.attestor.ask(hold.id, [voter.user], names, ATTEST_MS).catch(() => undefined);
  return people?.find((person) => person.user === voter.user && person.team === voter.team);
}

/** Right after a start the groups may not be pinned yet: ask, and give the answer a moment. */
async function knowApprovers(book: Book, hold: Hold): Promise<void> {
  const names = groupNames(hold.demands);
  if (book.directory.knows(names)) return;
  const answered = book.directory.next(DIRECTORY_MS);
  book.keepFresh(hold);
  await answered;
}

/** Said to the clicker and kept in the audit trail. */
function refuse(book: Book, hold: Hold, click: VoteOf, voter: Attestation, why: string): Receipt {
  book.record(hold, 'hold.vote', { ...seen(book, click, voter), counted: false, why });
  return refused(click, why);
}

const seen = (book: Book, click: VoteOf, voter: Attestation): Record<string, unknown> => ({
  vote: click.id,
  team: voter.team,
  user: voter.user,
  decision: click.decision,
  revision: click.revision,
  ...(click.reason === undefined ? {} : { reason: book.deps.redact(click.reason) }),
});

function countedText(hold: Hold, rules: readonly string[], reason: string | undefined): string {
  const parts = hold.demands.flatMap((demand, i) => {
    if (!rules.includes(demand.rule)) return [];
    if (demand.requireReason && reason === undefined) return [`not for ${demand.rule}, which asks for a reason`];
    return [`${hold.counted[i] ?? 0} of ${demand.quorum} for ${demand.rule}`];
  });
  return `Counted: ${parts.join('; ')}.`;
}

/** End the session a card came from: for admins, and for whoever may decide about that hold. */
export function receiveKill(book: Book, click: KillOf): Promise<Receipt> {
  const hold = book.find(click.hold);
  if (!hold) return Promise.resolve(refused(click, 'that request has ended; its session is not known here any more'));
  const known = hold.receipts.get(click.id);
  if (known) return known;
  return remember(hold, click, () => kill(book, hold, click));
}

async function kill(book: Book, hold: Hold, click: KillOf): Promise<Receipt> {
  const { deps } = book;
  let { voter } = click;
  if (isStale(voter, click.clickedAt, deps.clock.now())) {
    const fresh = await attestAgain(book, hold, voter);
    if (!fresh) return refused(click, 'it took too long to ask Slack about you; click again');
    voter = fresh;
  }
  await knowApprovers(book, hold);
  await book.loadOidc(hold);
  const [first] = hold.demands;
  const admins = first ? [{ ...first, rule: 'admins', approvers: deps.admins() }] : [];
  const entitled = entitlement(voter, hold.operation.principal, [...hold.demands, ...admins], book.authority(hold));
  const user = { user: voter.user, team: voter.team, vote: click.id };
  if (!entitled.ok) {
    book.record(hold, 'kill', { ...user, counted: false, why: entitled.why });
    return refused(click, entitled.why);
  }
  if (!book.record(hold, 'kill', { ...user, counted: true }))
    return refused(click, 'the audit trail cannot be written');
  const ended = deps.endSession(hold.operation.session, `${voter.name} ended this session from Slack`);
  return receipt(click, ended, ended ? 'The session was ended.' : 'Not counted: that session has ended already.');
}
