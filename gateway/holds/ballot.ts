/** One click: checked, attested, recorded, counted; always answered with a receipt. */
import type { Attestation, Receipt, VoteMessage } from '../../queue/votes.ts';
import { forget } from './alarm.ts';
import type { Book } from './book.ts';
import { FRESH_MS } from './directory.ts';
import { breakingOf, glassBroken, glassDemand, objection } from './glass.ts';
import { type Hold, needsDetails, type TerminalVoter } from './hold.ts';
import { entitlement, groupNames, isSameHuman } from './quorum.ts';
import { confirm } from './release.ts';
import { lateText, untouched } from './words.ts';

const MAX_RECEIPTS = 200; // remembered per hold, to answer redeliveries alike
const MAX_CLICKS = 30; // by one person on one hold; nobody needs more to approve or deny
const MAX_VOTERS = 50; // as many as a card has room for
const ATTEST_MS = 8_000; // the clicker sees nothing meanwhile
const DIRECTORY_MS = 5_000;
const TOO_LONG = 'it took too long to ask Slack about you; click again';
const TOO_OFTEN = 'you have clicked too often on this request';

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
export function receiveVote(book: Book, click: VoteOf, terminal?: TerminalVoter): Promise<Receipt> {
  const hold = book.find(click.hold);
  const receipts = (hold ?? book.remembered(click.hold))?.receipts;
  const known = receipts?.get(click.id);
  if (known) return known;
  if (!hold) {
    const ended = book.remembered(click.hold);
    const why = ended ? lateText(ended) : 'this is not waiting here any more';
    book.ledger.note({ kind: 'hold.vote', hold: click.hold, ...seen(book, click, click.voter), counted: false, why });
    return Promise.resolve(refused(click, why));
  }
  return remember(book, hold, click, () => count(book, hold, click, terminal));
}

function remember(book: Book, hold: Hold, click: Click, judge: () => Promise<Receipt>): Promise<Receipt> {
  const { user } = click.voter;
  hold.clicks ??= new Map();
  const clicks = (hold.clicks.get(user) ?? 0) + 1;
  hold.clicks.set(user, clicks);
  if (clicks > MAX_CLICKS) return Promise.resolve(refuse(book, hold, click, click.voter, TOO_OFTEN));
  const judged = judge();
  hold.receipts ??= new Map();
  hold.receipts.set(click.id, judged);
  const oldest = hold.receipts.keys().next().value;
  if (hold.receipts.size > MAX_RECEIPTS && oldest !== undefined) hold.receipts.delete(oldest);
  return judged;
}

async function count(book: Book, hold: Hold, click: VoteOf, terminal: TerminalVoter | undefined): Promise<Receipt> {
  const early = mismatch(hold, click);
  if (early) return refuse(book, hold, click, click.voter, early);

  const { clock } = book.deps;
  let { voter } = click;
  let attestedAt = clock.monotonic() - Math.abs(clock.now() - voter.readAt);
  if (isStale(voter, click.clickedAt, clock.now())) {
    attestedAt = clock.monotonic();
    const fresh = await attestAgain(book, hold, voter);
    if (!fresh) return refuse(book, hold, click, voter, TOO_LONG);
    voter = fresh;
  }
  await knowApprovers(book, hold);
  await book.loadOidc(hold);

  // Time has passed, more than was waited for where the process stood still: from here on nothing waits.
  if (clock.monotonic() - attestedAt > FRESH_MS) return refuse(book, hold, click, voter, TOO_LONG);
  const late = mismatch(hold, click);
  if (late) return refuse(book, hold, click, voter, late);
  if (click.decision === 'undo') return takeBack(book, hold, click, voter);
  if (click.decision === 'break') return breakGlass(book, hold, click, voter);
  const entitled = entitlement(voter, hold.operation.principal, hold.demands, book.authority(hold));
  if (!entitled.ok) return refuse(book, hold, click, voter, entitled.why);

  const again = hold.votes.get(voter.user);
  const addsReason = again?.reason === undefined && click.reason !== undefined;
  const addsGrant = again?.grantMinutes === undefined && click.grantMinutes !== undefined;
  if (click.decision === 'approve') {
    const other = [...hold.votes.values()].find(
      (vote) => vote.user !== voter.user && isSameHuman(vote.voter, voter, book.authority(hold)),
    );
    if (other) return refuse(book, hold, click, voter, 'you have voted already, from another account');
    if (again && !addsReason && !addsGrant) return refuse(book, hold, click, voter, 'you have approved this already');
    if (!again && hold.votes.size >= MAX_VOTERS) return refuse(book, hold, click, voter, 'it has enough votes already');
  }
  const remark = terminal ? 'at a terminal' : book.directory.remark(voter.user, groupNames(hold.demands));
  const recorded = book.ledger.record(hold, 'hold.vote', {
    ...seen(book, click, voter),
    counted: true,
    rules: entitled.rules,
    ...(remark === undefined ? {} : { remark }),
  });
  if (!recorded) return unrecorded(click);
  hold.names ??= new Map();
  hold.names.set(voter.user, voter.name);

  if (click.decision === 'deny') {
    book.apply(hold, { kind: 'deny', at: clock.now(), by: voter.user, reason: click.reason ?? '' });
    return receipt(click, true, `Denied. ${untouched(hold.operation)}`);
  }
  const { grantMinutes } = click;
  const reason = click.reason ?? again?.reason;
  const at = clock.now();
  hold.votes.set(voter.user, {
    user: voter.user,
    reason,
    at,
    remark,
    voter,
    attestedAt,
    estimated: hold.reach?.rows,
    ...(terminal ? { terminal } : {}),
    ...(grantMinutes === undefined ? {} : { grantMinutes }),
  });
  const { met } = book.recount(hold);
  book.followers.tell('voted', hold);
  const answer = receipt(click, true, countedText(hold, entitled.rules, reason));
  if (met) confirm(book, hold, voter.user);
  else book.show(hold);
  return answer;
}

/** Nobody has to be entitled to want less. Until it is settled; a release under way looks again before it lets go. */
function takeBack(book: Book, hold: Hold, click: VoteOf, voter: Attestation): Receipt {
  const vote = hold.votes.get(voter.user);
  if (vote?.voter.team !== voter.team) return refuse(book, hold, click, voter, 'you have no vote here to take back');
  if (!book.ledger.record(hold, 'hold.vote', { ...seen(book, click, voter), counted: true })) return unrecorded(click);
  hold.votes.delete(voter.user);
  book.recount(hold);
  book.show(hold);
  book.followers.tell('voted', hold);
  return receipt(click, true, 'Taken back: your approval does not count any more.');
}

/** One word at a time: there is one review of a hold, and whoever comes second must not replace it or take it away. */
async function breakGlass(book: Book, hold: Hold, click: VoteOf, attested: Attestation): Promise<Receipt> {
  if (hold.glass === 'breaking' || breakingOf(hold))
    return refuse(
      book,
      hold,
      click,
      attested,
      'somebody is breaking this glass already; click again if it still waits in a moment',
    );
  const before = hold.glass; // of a word that was taken back, say
  hold.glass = 'breaking';
  try {
    return await breakAlone(book, hold, click, attested);
  } finally {
    if (hold.glass === 'breaking') hold.glass = before;
  }
}

/** Attested for the groups of the glass, which its card does not name. Remembered for review before it can count. */
async function breakAlone(book: Book, hold: Hold, click: VoteOf, attested: Attestation): Promise<Receipt> {
  const { clock, reviews, log, redact } = book.deps;
  const glass = glassDemand(book.deps.breakGlass(), hold);
  const no = (voter: Attestation) =>
    mismatch(hold, click) ?? objection(glass, hold, click, voter, book.authority(hold));
  if (!glass) return refuse(book, hold, click, attested, 'this cannot be released by one person alone');
  const attestedAt = clock.monotonic();
  const voter = await attestAgain(book, hold, attested, [glass]);
  if (!voter || clock.monotonic() - attestedAt > FRESH_MS) return refuse(book, hold, click, attested, TOO_LONG);
  const reason = redact(click.reason ?? '');
  const early = no(voter);
  if (early) return refuse(book, hold, click, voter, early);
  try {
    await reviews.open(glassBroken(hold, voter, reason, clock.now()));
  } catch (error) {
    log('a review could not be remembered', { hold: hold.id, error: String(error) });
    return refuse(book, hold, click, voter, 'it cannot be remembered for review now; click again');
  }
  const late = no(voter);
  const recorded =
    late === undefined &&
    book.ledger.record(hold, 'hold.vote', { ...seen(book, click, voter), counted: true, rules: [glass.rule] });
  if (!recorded) {
    forget(reviews, hold.id, clock, log);
    return late === undefined ? unrecorded(click) : refuse(book, hold, click, voter, late);
  }
  hold.glass = 'remembered';
  hold.names ??= new Map();
  hold.names.set(voter.user, voter.name);
  const remark = 'broke the glass';
  hold.votes.set(voter.user, {
    user: voter.user,
    reason,
    at: clock.now(),
    remark,
    voter,
    attestedAt,
    estimated: hold.reach?.rows,
    breaks: true,
  });
  book.followers.tell('voted', hold);
  if (book.recount(hold).met) confirm(book, hold, voter.user);
  return receipt(
    click,
    true,
    'Counted: released on your word alone. The channel is told, and another admin reviews it.',
  );
}

const unrecorded = (click: Click): Receipt =>
  refused(click, 'the audit trail cannot be written; nothing passes unrecorded');

/** Why this click does not fit the hold as it is now. */
function mismatch(hold: Hold, click: VoteOf): string | undefined {
  if (hold.phase.kind !== 'open') return lateText({ ...hold, stopped: hold.operation.stopped });
  if (click.revision !== hold.revision) {
    return 'the request has changed since that card was shown; look at it again and click again';
  }
  if (click.digest !== hold.digest) return 'that card shows something other than what is waiting';
  if (
    (click.decision === 'approve' || click.decision === 'break') &&
    click.from !== 'details' &&
    needsDetails(hold.operation)
  ) {
    return 'this text is long or hides something; open Details, read to the last page and approve there';
  }
  if (click.grantMinutes !== undefined && !hold.extra?.grants?.includes(click.grantMinutes)) {
    return 'no more than this one request can be approved here; approve it alone';
  }
  return undefined;
}

/** Travelled longer than a minute, or clocks disagree by more: either way it says too little about now. */
function isStale(voter: Attestation, clickedAt: number, now: number): boolean {
  const times = [clickedAt, voter.readAt, ...voter.groups.map(({ readAt }) => readAt)];
  return times.some((time) => Math.abs(now - time) > FRESH_MS);
}

async function attestAgain(
  book: Book,
  hold: Hold,
  voter: Attestation,
  demands = hold.demands,
): Promise<Attestation | undefined> {
  const names = groupNames(demands);
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
function refuse(book: Book, hold: Hold, click: Click, voter: Attestation, why: string): Receipt {
  const kind = click.kind === 'vote' ? 'hold.vote' : 'kill';
  book.ledger.record(hold, kind, { ...seen(book, click, voter), counted: false, why });
  return refused(click, why);
}

function seen(book: Book, click: Click, { team, user, name }: Attestation): Record<string, unknown> {
  const who = { vote: click.id, team, user, name };
  if (click.kind === 'kill') return who;
  const { decision, revision, reason, grantMinutes } = click;
  const more = grantMinutes === undefined ? {} : { grantMinutes };
  return { ...who, decision, revision, ...more, ...(reason === undefined ? {} : { reason: book.deps.redact(reason) }) };
}

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
  if (!hold) {
    const why = 'that request has ended; its session is not known here any more';
    book.ledger.note({ kind: 'kill', hold: click.hold, ...seen(book, click, click.voter), counted: false, why });
    return Promise.resolve(refused(click, why));
  }
  const known = hold.receipts?.get(click.id);
  if (known) return known;
  return remember(book, hold, click, () => kill(book, hold, click));
}

/** What is only planned, and a change of the gateway itself: no session of a client asks for them. */
const hasNoSession = ({ operation: { plan, protocol } }: Hold): boolean => plan === true || protocol === 'gate';

async function kill(book: Book, hold: Hold, click: KillOf): Promise<Receipt> {
  const { deps } = book;
  if (hasNoSession(hold)) return refuse(book, hold, click, click.voter, 'this has no session that could be ended');
  const [first] = hold.demands;
  const admins = first ? [{ ...first, rule: 'admins', approvers: deps.admins() }] : [];
  const demands = [...hold.demands, ...admins];
  let { voter } = click;
  if (isStale(voter, click.clickedAt, deps.clock.now())) {
    const fresh = await attestAgain(book, hold, voter, demands);
    if (!fresh) return refuse(book, hold, click, voter, TOO_LONG);
    voter = fresh;
  }
  await knowApprovers(book, hold);
  await book.loadOidc(hold);
  let entitled = entitlement(voter, hold.operation.principal, demands, book.authority(hold));
  if (!entitled.ok && groupNames(admins).length > 0) {
    // The bot attested what the card names; groups of admins are asked about here.
    const fresh = await attestAgain(book, hold, voter, demands);
    if (!fresh) return refuse(book, hold, click, voter, TOO_LONG);
    voter = fresh;
    entitled = entitlement(voter, hold.operation.principal, demands, book.authority(hold));
  }
  if (!entitled.ok) return refuse(book, hold, click, voter, entitled.why);
  if (!book.ledger.record(hold, 'kill', { ...seen(book, click, voter), counted: true }))
    return refused(click, 'the audit trail cannot be written');
  const ended = deps.endSession(hold.operation.session, `${voter.name} ended this session from Slack`);
  return receipt(click, ended, ended ? 'The session was ended.' : 'Not counted: that session has ended already.');
}
