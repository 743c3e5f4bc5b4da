/** From enough votes to the permit: attest again, check again, record, and only then let go. */
import { asGatewayError, GatewayError } from '../errors.ts';
import type { Permit } from '../gate.ts';
import { type Outcome, principalKey } from '../operation.ts';
import type { Book } from './book.ts';
import { namesOf } from './glass.ts';
import type { Hold } from './hold.ts';
import type { HoldEvent } from './lifecycle.ts';
import { refreshTerminal, standAlone } from './linked-voter.ts';
import { learnPartial, partial } from './partial.ts';
import { outcomeFields } from './record.ts';
import { withdrawal } from './withdrawal.ts';
import { heldText, rulesOf, untouched } from './words.ts';

const ATTESTED_MS = 5_000; // how old the attestation of the click that completes the votes may be
const ANSWER_MS = [8_000, 15_000, 30_000]; // for the first, second and every later question

/**
 * Begin to release what has enough votes. Returns at once; ends by itself when the votes do not suffice any more.
 * `arrived` is whose click came just now: everybody else is asked about once more, however short ago they clicked.
 */
export function confirm(book: Book, hold: Hold, arrived: string): void {
  if (hold.confirming) return;
  hold.confirming = true;
  attestAndRelease(book, hold, arrived)
    .catch((thrown) => giveUp(book, hold, asGatewayError(thrown)))
    .finally(() => {
      hold.confirming = false;
    });
}

function giveUp(book: Book, hold: Hold, error: GatewayError): void {
  const { code, message: reason } = error;
  book.deps.log('a release failed', { hold: hold.id, code });
  if (book.apply(hold, { kind: 'withdraw', at: book.deps.clock.now(), code, reason })) return;
  // It failed behind the point where nobody may say any more that nothing was run.
  settle(book, hold, { kind: 'unknown', reason, ms: 0 });
  hold.reject(error);
}

async function attestAndRelease(book: Book, hold: Hold, arrived: string): Promise<void> {
  const began = book.deps.clock.monotonic();
  for (let round = 0; ; round++) {
    for (const { user, why } of refreshTerminal(book, hold)) voidVote(book, hold, user, why);
    if (hold.phase.kind !== 'open' || !recountAndVoid(book, hold)) return;
    const young = book.deps.clock.monotonic() - ATTESTED_MS;
    // Who may not vote, under whatever Slack account; what was voted at terminals is of people linked by configuration.
    const known = hold.partialEmails !== undefined || standAlone(hold);
    const fresh = [...hold.votes.values()].every(
      ({ user, attestedAt }) => attestedAt >= young && (attestedAt >= began || user === arrived),
    );
    if (known && fresh) return release(book, hold);
    book.show(hold);
    if (round > 0) book.tell(hold, 'waiting', heldText(hold, 'approved; asking Slack once more who approved'));
    await attestAll(book, hold, ANSWER_MS[Math.min(round, ANSWER_MS.length - 1)] ?? 0);
    await book.loadOidc(hold);
  }
}

/** Ask about everybody who voted, in one question; who is not in the answer is not known any more. */
async function attestAll(book: Book, hold: Hold, ms: number): Promise<void> {
  const { clock, log } = book.deps;
  const asked = new Map([...hold.votes].filter(([, { terminal }]) => !terminal));
  const users = [...new Set([...partial(book, hold), ...asked.keys()])].slice(0, 50);
  const { revision } = hold;
  let people: Awaited<ReturnType<Book['attestor']['ask']>>;
  try {
    people = await book.attestor.ask(hold.id, users, namesOf(book.deps.breakGlass(), hold), ms);
  } catch (error) {
    log('voters could not be attested', { hold: hold.id, error: String(error) });
    await new Promise<void>((resolve) => void clock.after(1_000, resolve));
    return;
  }
  if (!people || hold.phase.kind !== 'open' || hold.revision !== revision) return;
  learnPartial(book, hold, people);
  for (const [user, vote] of asked) {
    const person = people.find((candidate) => candidate.user === user && candidate.team === vote.voter.team);
    if (person) {
      vote.voter = person;
      vote.attestedAt = clock.monotonic();
    } else voidVote(book, hold, user, 'Slack does not know this voter any more');
  }
}

/** Count; votes of people no longer entitled are void. True when the rest suffices. */
function recountAndVoid(book: Book, hold: Hold): boolean {
  const { met, voided } = book.recount(hold);
  for (const { user, why } of voided) voidVote(book, hold, user, why);
  if (voided.length === 0) return met;
  const still = book.recount(hold).met;
  book.show(hold);
  if (!still) book.tell(hold, 'changed', heldText(hold, 'a vote does not count any more; still asking'));
  return still;
}

function voidVote(book: Book, hold: Hold, user: string, why: string): void {
  hold.votes.delete(user);
  book.ledger.record(hold, 'hold.vote', { user, counted: false, why: `void at release: ${why}` });
}

/** Everything that must still be true, asked in the very tick in which it becomes `approved`. */
function obstacle(book: Book, hold: Hold): HoldEvent | 'changed' | undefined {
  const { clock, lease } = book.deps;
  const at = clock.now();
  const { signal } = hold.context;
  if (signal.aborted) return { kind: 'withdraw', at, ...withdrawal(signal) };
  const frozen = book.deps.frozen?.(hold.operation);
  if (frozen !== undefined) return { kind: 'withdraw', at, code: 'FROZEN', reason: frozen };
  if (!hold.context.alive()) {
    return { kind: 'withdraw', at, code: 'WITHDRAWN', reason: 'the session it was held on is gone' };
  }
  if (!lease.unbrokenSince(hold.term)) {
    return {
      kind: 'withdraw',
      at,
      code: 'UNAVAILABLE',
      reason: 'this gateway has lost its lease: Redis is not reachable',
    };
  }
  if (book.judgeAgain(hold) !== 'same') return 'changed';
  book.armDeadline(hold); // expires it when its time is up, although the timer has not fired yet
  return hold.phase.kind === 'open' ? undefined : 'changed';
}

async function release(book: Book, hold: Hold): Promise<void> {
  const { audit, clock, lease } = book.deps;
  const hindrance = obstacle(book, hold);
  if (hindrance === 'changed') return;
  if (hindrance) return void book.apply(hold, hindrance);
  if (!book.apply(hold, { kind: 'approve', at: clock.now() })) return;

  const { operation } = hold;
  const approvers = [...hold.votes.keys()];
  if (!book.ledger.record(hold, 'hold.settled', { state: 'approved', by: approvers, rules: rulesOf(hold) })) {
    throw new GatewayError('AUDIT', 'approved, and not released: the audit trail cannot be written');
  }
  const onDisk = audit.commit({
    kind: 'hold.released',
    hold: hold.id,
    operation: operation.id,
    session: operation.session,
    principal: principalKey(operation.principal),
    connection: operation.connection,
    digest: hold.digest,
    revision: hold.revision,
    by: approvers,
  });
  const at = clock.now();
  const early = afterThisTurn(() => {
    const record = lease.release(book.releasedCard(hold, at), hold.term);
    return { record, sequence: hold.sequence };
  });
  await onDisk;

  // On disk: from here on nobody may say that nothing was run.
  book.apply(hold, { kind: 'release', at });
  // Whatever was shown meanwhile is newer than what was sealed: then it is made anew.
  const sealed = await early;
  const record = sealed?.sequence === hold.sequence ? sealed.record : lease.release(book.card(hold), hold.term);
  const recorded = await record().catch((error) => {
    book.deps.log('a release could not be recorded in Redis', { hold: hold.id, error: String(error) });
    return false;
  });
  const gone = whyNotSent(hold, recorded);
  if (gone) {
    settle(book, hold, { kind: 'unknown', reason: gone.message, ms: 0 });
    hold.reject(gone);
    return;
  }
  hold.resolve(permitFor(book, hold));
  book.floods.released(hold);
  book.followers.tell('released', hold);
  // The statement first: it goes out before this turn is over, and may have ended by then.
  setImmediate(() => {
    if (hold.phase.kind === 'released') book.show(hold);
  });
}

/** Made while the disk works, which begins in this turn. Undefined where it failed: made again, it says why. */
function afterThisTurn<T>(make: () => T): Promise<T | undefined> {
  return new Promise((resolve) => {
    setImmediate(() => {
      try {
        resolve(make());
      } catch {
        resolve(undefined);
      }
    });
  });
}

function whyNotSent(hold: Hold, recorded: boolean): GatewayError | undefined {
  const { signal } = hold.context;
  const hint = `It was approved and released, but not sent.${hold.operation.stopped ? ` ${untouched(hold.operation)}` : ''}`;
  if (!recorded) {
    return new GatewayError('UNAVAILABLE', `released (${hold.shortId}) but not sent: Redis is not reachable`, { hint });
  }
  if (signal.aborted) {
    const { code, reason } = withdrawal(signal);
    return new GatewayError(code, `released (${hold.shortId}) but not sent: ${reason}`, { hint });
  }
  if (!hold.context.alive()) {
    return new GatewayError('WITHDRAWN', `released (${hold.shortId}) but not sent: its session is gone`, { hint });
  }
  return undefined;
}

function permitFor(book: Book, hold: Hold): Permit {
  const confirms = hold.demands.some(({ confirm }) => confirm === 'rows');
  return {
    operation: hold.operation,
    hold: hold.id,
    confirm: confirms && !hold.operation.stopped ? { estimate: seenEstimate(hold) } : undefined,
    settle: (outcome) => settle(book, hold, outcome),
  };
}

/** Rows that every voter was told of at least; undefined where one voted before anybody had counted. */
function seenEstimate({ votes }: Hold): number | undefined {
  const seen = [...votes.values()].map(({ estimated }) => estimated);
  return seen.length > 0 && seen.every((rows) => rows !== undefined) ? Math.min(...seen) : undefined;
}

/** Once; later calls change nothing. */
function settle(book: Book, hold: Hold, outcome: Outcome): void {
  if (hold.phase.kind !== 'released') return;
  book.ledger.record(hold, 'outcome', outcomeFields(outcome, book.deps.redact));
  book.apply(hold, { kind: 'settle', at: book.deps.clock.now(), outcome });
}
