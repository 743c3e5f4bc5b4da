/** Opens holds and takes in what bots say of them. The book keeps them; votes: ballot.ts; release: release.ts. */
import { randomBytes } from 'node:crypto';
import { type Card, cardJob, cardSchema } from '../../queue/cards.ts';
import type { Receipt, VoteMessage } from '../../queue/votes.ts';
import { asGatewayError, type ErrorCode, GatewayError } from '../errors.ts';
import type { AdmitContext, Permit } from '../gate.ts';
import { type Operation, principalKey } from '../operation.ts';
import type { Demand, Verdict } from '../policy/policy.ts';
import { receiveKill, receiveVote } from './ballot.ts';
import { Book, type HoldsDeps } from './book.ts';
import { receiveDenyAll } from './deny-all.ts';
import { digestOf, SALT_BYTES } from './digest.ts';
import { glassDemand } from './glass.ts';
import type { Hold } from './hold.ts';
import type { Person } from './linked-voter.ts';
import { askPartial } from './partial.ts';
import { type People, peopleOf } from './people.ts';
import { mayRead, receiveTerminal, type TerminalVote } from './terminal.ts';
import { withdrawal, withdrawnBy } from './withdrawal.ts';
import { heldText, oneLine, untouched } from './words.ts';

/** More than this nobody reviews: statement and parameters together, bytes. */
const MAX_REVIEWED_BYTES = 48 * 1024;
const MAX_PARAMETERS = 200;
const MAX_DEMANDS = 50;
const NO_GROUPS: Hold['oidc'] = new Map();

export type Holds = {
  /** Read what is known of approver groups and keep it fresh. Never fails: without Redis or bots it tries again. */
  start(): Promise<void>;
  /** Ask, wait, release. @throws GatewayError as in `Gate.admit`. */
  open(operation: Operation, verdict: Verdict & { kind: 'hold' }, context: AdmitContext): Promise<Permit>;
  /** What `consumeVotes` hands over. Never throws for what it does not like: the receipt says so. */
  receive(message: VoteMessage): Promise<Receipt | undefined>;
  /** A vote from a signed-in terminal; the receipt says whether it counted. */
  receiveTerminal(vote: TerminalVote): Promise<Receipt>;
  /** May this person, whom a verified token named, see what waits there? */
  mayRead(card: Card, person: Person): Promise<boolean>;
  /** The policy changed: judge every open hold again. */
  rulesChanged(): void;
  /** Redis is back: what it may have lost is written again. */
  republish(): void;
  /** End every open hold. */
  withdrawAll(code: ErrorCode, reason: string): void;
  /** End those open holds for which `why` has a reason; answers how many. */
  withdrawWhere(code: ErrorCode, why: (operation: Operation) => string | undefined): number;
  /** Send its card as it is now, over or not. */
  show(hold: Hold): void;
  /** What waits for people now, oldest first. */
  list(): readonly OpenHold[];
  readonly people: People;
  /** Open holds and how long the oldest has waited, ms. */
  stats(): { readonly open: number; readonly oldestMs: number };
  /** Withdraw what is open and wait up to `ms` until the cards are in Redis. */
  stop(ms: number): Promise<void>;
};

export type OpenHold = Pick<
  Hold,
  'id' | 'shortId' | 'operation' | 'openedAt' | 'deadline' | 'demands' | 'counted' | 'votes' | 'posted' | 'unseen'
>;

type PostedMessage = Extract<VoteMessage, { kind: 'posted' }>;

export const createHolds = (deps: HoldsDeps): Holds => new Broker(deps);

class Broker implements Holds {
  readonly people: People;
  readonly #book: Book;
  #stopped = false;

  constructor(deps: HoldsDeps) {
    this.#book = new Book(deps);
    this.people = peopleOf(this.#book);
  }

  async start(): Promise<void> {
    await this.#book.directory.load();
    this.#book.refresh();
  }

  async open(operation: Operation, verdict: Verdict & { kind: 'hold' }, context: AdmitContext): Promise<Permit> {
    const { clock, policy } = this.#book.deps;
    this.#refuseUnasked(operation, verdict, context);

    const { promise, hold } = this.#newHold(operation, verdict, policy().version, context);
    if (glassDemand(this.#book.deps.breakGlass(), hold)) hold.extra = { breakGlass: true };
    this.#book.add(hold); // counted against the limits from here on
    const onAbort = () => {
      if (hold.phase.kind === 'open') {
        this.#book.apply(hold, { kind: 'withdraw', at: clock.now(), ...withdrawal(context.signal) });
      }
    };
    context.signal.addEventListener('abort', onAbort, { once: true });
    hold.stopListening = () => context.signal.removeEventListener('abort', onAbort);
    try {
      await this.#book.loadOidc(hold);
      const nobody = this.#book.unmeetable(hold);
      if (nobody !== undefined) throw new GatewayError('NO_APPROVER', `nobody can approve this: ${nobody}`);
      this.#book.armDeadline(hold);
      this.#book.followers.tell('opening', hold);
      if (hold.phase.kind === 'open') await this.#publish(hold);
    } catch (thrown) {
      const { code, message: reason } = asGatewayError(thrown);
      this.#book.apply(hold, { kind: 'withdraw', at: clock.now(), code, reason });
    }
    if (hold.phase.kind === 'open') {
      this.#book.followers.tell('opened', hold);
      this.#book.tell(hold, 'held', heldText(hold));
      this.#book.remind(hold);
      this.#book.keepFresh(hold);
      void askPartial(this.#book, hold);
    }
    return promise;
  }

  async receive(message: VoteMessage): Promise<Receipt | undefined> {
    const { directory, attestor, deps } = this.#book;
    switch (message.kind) {
      case 'vote':
        return receiveVote(this.#book, message);
      case 'deny-all':
        return receiveDenyAll(this.#book, message);
      case 'kill':
        return receiveKill(this.#book, message);
      case 'attestation':
        attestor.receive(message);
        return undefined;
      case 'directory':
        await directory.receive(message);
        return undefined;
      case 'posted': {
        const unseen = message.error === undefined ? undefined : oneLine(message.error);
        if (unseen !== undefined) deps.log('a card could not be posted', { hold: message.hold, error: unseen });
        const hold = this.#book.find(message.hold);
        for (const one of hold ? [hold] : this.#book.floods.posted(message.hold, unseen))
          this.#posted(one, message, unseen);
        return undefined;
      }
    }
  }

  /** Whether anybody sees it, its own card or the one that stands for it; the client is told where that changed. */
  #posted(hold: Hold, { channel, ts, permalink }: PostedMessage, unseen: string | undefined): void {
    if (ts !== undefined) hold.posted = { channel, ts, permalink };
    const before = hold.unseen;
    hold.unseen = unseen;
    if (hold.phase.kind !== 'open' || unseen === before) return;
    this.#book.tell(hold, 'changed', heldText(hold, unseen === undefined ? 'the approvers see it now' : undefined));
  }

  receiveTerminal(vote: TerminalVote): Promise<Receipt> {
    return receiveTerminal(this.#book, vote);
  }

  mayRead(card: Card, person: Person): Promise<boolean> {
    return mayRead(this.#book, card, person);
  }

  rulesChanged(): void {
    for (const hold of this.#book.open()) {
      // One that nobody was asked about yet is judged again before anybody is.
      if (hold.phase.kind === 'open' && hold.opened) this.#book.judgeAgain(hold);
    }
  }

  republish(): void {
    for (const hold of this.#book.open()) if (hold.reached === 'queue') this.#book.show(hold);
  }

  withdrawAll(code: ErrorCode, reason: string): void {
    this.withdrawWhere(code, () => reason);
  }

  withdrawWhere(code: ErrorCode, why: (operation: Operation) => string | undefined): number {
    const at = this.#book.deps.clock.now();
    let ended = 0;
    for (const hold of this.#book.open()) {
      const reason = hold.phase.kind === 'open' ? why(hold.operation) : undefined;
      if (reason !== undefined && this.#book.apply(hold, { kind: 'withdraw', at, code, reason })) ended += 1;
    }
    return ended;
  }

  show(hold: Hold): void {
    this.#book.show(hold, { last: this.#book.find(hold.id) !== hold });
  }

  list(): readonly OpenHold[] {
    return this.#book.open().sort((a, b) => a.openedAt - b.openedAt);
  }

  stats(): { open: number; oldestMs: number } {
    const open = this.#book.open();
    const now = this.#book.deps.clock.monotonic();
    return { open: open.length, oldestMs: open.reduce((most, hold) => Math.max(most, now - hold.openedMonotonic), 0) };
  }

  async stop(ms: number): Promise<void> {
    this.#stopped = true;
    this.withdrawAll('SHUTDOWN', 'the gateway is stopping');
    await this.#book.close(ms);
  }

  /**
   * Index first, then the trail, then the queue: an opening on record and a card that people see are both of a hold that
   * a dead gateway's heirs can find.
   */
  async #publish(hold: Hold): Promise<void> {
    const { lease, publish } = this.#book.deps;
    try {
      const collectedBy = this.#book.floods.take(hold, () => this.#book.card(hold));
      if (collectedBy !== undefined) hold.extra = { ...hold.extra, collectedBy };
      const first = cardSchema.parse(this.#book.card(hold));
      hold.reached = 'index';
      await lease.note(first);
      if (hold.phase.kind !== 'open' || !this.#opens(hold)) return;
      hold.reached = 'queue';
      await publish.send(cardJob(first), `card-${hold.id}-${first.sequence}`);
    } catch (error) {
      const { code, message: reason } = nobodyToAsk(
        hold.demands.map(({ rule }) => rule),
        hold.operation,
      );
      this.#giveUp(hold, code, reason, error);
    }
  }

  /** Goes on record; false when that failed, or when it must be shown otherwise by now, or not at all. */
  #opens(hold: Hold): boolean {
    try {
      this.#book.ledger.opened(hold);
    } catch (error) {
      const { code, message } = asGatewayError(error);
      this.#giveUp(hold, code, message, error);
      return false;
    }
    return this.#book.judgeAgain(hold) === 'same';
  }

  #giveUp(hold: Hold, code: ErrorCode, reason: string, error: unknown): void {
    const { log, clock } = this.#book.deps;
    log('a hold could not be published', { hold: hold.id, error: asGatewayError(error).message });
    this.#book.apply(hold, { kind: 'withdraw', at: clock.now(), code, reason });
  }

  #newHold(
    operation: Operation,
    { demands, rules }: Verdict & { kind: 'hold' },
    policyVersion: string,
    context: AdmitContext,
  ): { hold: Hold; promise: Promise<Permit> } {
    const { clock, lease, newId } = this.#book.deps;
    const id = newId();
    const salt = randomBytes(SALT_BYTES);
    let settle: Pick<Hold, 'resolve' | 'reject'> | undefined;
    const promise = new Promise<Permit>((resolve, reject) => {
      settle = { resolve, reject };
    });
    promise.catch(() => {}); // it may be refused before anybody waits for it
    if (!settle) throw new Error('a promise runs its executor at once');
    const hold: Hold = {
      id,
      shortId: id.replaceAll('-', '').slice(0, 6),
      operation,
      context,
      salt,
      openedAt: clock.now(),
      openedMonotonic: clock.monotonic(),
      term: lease.term(),
      demands,
      policyVersion,
      digest: digestOf({ hold: id, salt, operation, demands, policyVersion }),
      revision: 1,
      sequence: 0,
      phase: { kind: 'open' },
      rules,
      opened: false,
      reached: 'nobody',
      releasedAt: undefined,
      votes: new Map(),
      names: undefined,
      clicks: undefined,
      receipts: undefined,
      counted: demands.map(() => 0),
      deadline: { at: 0, by: 'rule' },
      oidc: NO_GROUPS,
      partialEmails: undefined,
      confirming: false,
      glass: undefined,
      unseen: undefined,
      posted: undefined,
      auditHead: undefined,
      extra: undefined,
      reach: undefined,
      cancelDeadline: () => {},
      cancelReminder: () => {},
      stopListening: () => {},
      ...settle,
    };
    return { hold, promise };
  }

  /** What need not be asked, or cannot. Refused and recorded before anybody is bothered. */
  #refuseUnasked(operation: Operation, verdict: Verdict & { kind: 'hold' }, { signal }: AdmitContext): void {
    const { audit, lease } = this.#book.deps;
    try {
      if (this.#stopped) throw new GatewayError('SHUTDOWN', 'the gateway is stopping', { hint: untouched(operation) });
      refuseTooLong(operation, verdict.demands);
      this.#refuseTooMany(operation);
      if (!lease.valid()) throw nobodyToAsk(verdict.rules, operation);
      if (signal.aborted) throw withdrawnBy(signal, operation);
      const frozen = this.#book.deps.frozen?.(operation); // by somebody, while it waited for a place among the holds
      if (frozen !== undefined) throw new GatewayError('FROZEN', frozen, { hint: untouched(operation) });
    } catch (thrown) {
      const { code, message: why } = asGatewayError(thrown);
      const { id, session, connection, principal } = operation;
      const who = { operation: id, session, connection, principal: principalKey(principal) };
      audit.append({ kind: 'operation', ...who, verdict: 'refused', code, why });
      throw thrown;
    }
  }

  #refuseTooMany(operation: Operation): void {
    const { principal, connection } = operation;
    const { openPerPrincipal, openPerConnection } = this.#book.deps.limits();
    const { mine, here } = this.#book.waiting.beside(operation);
    if (mine < openPerPrincipal && here < openPerConnection) return;
    const which = mine >= openPerPrincipal ? `${principal.name} has ${mine}` : `${connection} has ${here}`;
    throw new GatewayError('LIMIT', `${which} operations waiting for approval already`, {
      hint: `Wait until those are decided, or withdraw them. ${untouched(operation)}`,
    });
  }
}

function refuseTooLong(operation: Operation, demands: readonly Demand[]): void {
  const parameterBytes = operation.parameters.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
  const bytes = Buffer.byteLength(operation.text) + parameterBytes;
  const shown = operation.shown.length > 60_000 || operation.parameters.length > MAX_PARAMETERS;
  if (bytes <= MAX_REVIEWED_BYTES && !shown && demands.length <= MAX_DEMANDS) return;
  throw new GatewayError(
    'TOO_LONG',
    `this needs approval (${demands
      .map(({ rule }) => rule)
      .slice(0, 5)
      .join(
        ', ',
      )}) and is too long for a person to review: ${bytes.toLocaleString('en-US')} bytes, ${operation.parameters.length} parameters`,
    {
      hint: `At most 48 KB and 200 parameters. Split it into statements that a person can read. ${untouched(operation)}`,
    },
  );
}

const nobodyToAsk = (rules: readonly string[], operation: Operation): GatewayError =>
  new GatewayError(
    'UNAVAILABLE',
    `this needs approval (${rules.slice(0, 5).join(', ')}), and nobody can be asked now: Redis is not reachable`,
    { hint: `Try again when the gateway is ready. ${untouched(operation)}` },
  );
