/** What the target still owes: one entry for every message that is answered, matched as the protocol orders them. */
import { GatewayError } from '../../../errors.ts';
import type { Scrubbed } from '../mask/errors.ts';
import {
  type Column,
  parseCommandComplete,
  parseParameterStatus,
  parseReadyForQuery,
  parseServerMessage,
  type ServerMessage,
  type TransactionStatus,
} from '../messages.ts';
import type { StatementFacts } from '../types.ts';
import type { Frame } from '../wire.ts';
import type { Passage } from './commit.ts';
import type { Portal, Statement } from './names.ts';
import { endsOwn, isConfirming, isLimited, isStopped, mustBeConfirmed, saysWhy } from './own.ts';
import type { Run } from './run.ts';
import type { Mask, Results } from './shield.ts';

type Common = {
  /** The gateway's own message: its answers are not the client's, but for an error of a Describe, which its Execute would have met. */
  readonly own?: boolean;
  /** Shown to the client in place of the error this was sent to provoke, or that stopping it will. */
  substitute?: Buffer;
};

type Showing = {
  /** Its result was stopped: nothing of it goes to the client any more but this. */
  stopped?: GatewayError;
  /** What its rows go through; undefined until the first of a result has come. */
  mask?: Mask | 'none' | undefined;
};

export type Reply = Common &
  (
    | {
        readonly kind: 'parse';
        readonly name: string;
        readonly statement: Statement | undefined;
        readonly run?: Run | undefined;
      }
    | { readonly kind: 'bind'; readonly name: string; readonly portal: Portal | undefined }
    | {
        readonly kind: 'describe';
        readonly statement?: Statement | undefined;
        readonly portal?: Portal | undefined;
      }
    | { readonly kind: 'close'; readonly of: 'S' | 'P'; readonly name: string }
    | (Showing & {
        readonly kind: 'execute';
        readonly portal: Portal | undefined;
        readonly facts: StatementFacts | undefined;
        readonly run: Run | undefined;
        /** COPY FROM STDIN that may still start in it. */
        copies: number;
        /** Whole rows, one or several, or a piece of a long one. */
        readonly collect?: (piece: Buffer, last: boolean) => void;
      })
    | (Showing & {
        readonly kind: 'query';
        readonly statements: readonly StatementFacts[];
        /** What the results of each go through. */
        readonly results: readonly Results[];
        /** The description of the result that is under way. */
        columns?: readonly Column[] | undefined;
        readonly run: Run | undefined;
        copies: number;
        /** Statements complete so far. */
        done: number;
        /** Part of a transaction of the gateway's own (commit.ts): the client hears of no other part than `statement`. */
        readonly stage?: 'begin' | 'statement' | 'commit' | 'rollback';
      })
    | { readonly kind: 'sync' }
  );

export type ReplyOf<K extends Reply['kind']> = Extract<Reply, { kind: K }>;

export type ReplyEvents = {
  /** A frame, or a piece of one, that is the client's. */
  relay(bytes: Buffer): void;
  completed(reply: Exclude<Reply, { kind: 'execute' | 'query' | 'sync' }>): void;
  /** One statement of it is done. `tag` is empty for an empty query. */
  statementDone(reply: ReplyOf<'execute'> | ReplyOf<'query'>, tag: string): void;
  suspended(reply: ReplyOf<'execute'>): void;
  /** `reply` is what failed, undefined for an error out of turn; `skipped` never ran because of it. */
  failed(reply: Reply | undefined, error: ServerMessage, skipped: readonly Reply[]): void;
  ready(reply: ReplyOf<'sync'> | ReplyOf<'query'>, status: TransactionStatus): void;
  copyIn(reply: ReplyOf<'execute'> | ReplyOf<'query'>, binary: boolean): void;
  parameter(name: string, value: string): void;
  /** A RowDescription came, or NoData. */
  described(reply: ReplyOf<'query'> | ReplyOf<'describe'>, frame: Frame): void;
  /** What the rows of the result now beginning go through. @throws GatewayError where nobody can say */
  mask(reply: ReplyOf<'execute'> | ReplyOf<'query'>, copy: boolean): Mask | 'none';
  /** An error or notice as the client may see it, where it may not see all of it. */
  report(frame: Frame): Scrubbed | undefined;
};

/** Rows as the client gets them: whole ones, one behind the other, or a piece of a long one. */
export type Rows = Pick<Frame, 'bytes' | 'first' | 'last' | 'count'>;

/** What limits results. `keeps`: rows stand still, and the frame with them; the others: budget.ts. */
export type ResultBudget = {
  completes(reply: ReplyOf<'execute'> | ReplyOf<'query'>, frame: Frame): Passage;
  keeps(frame: Frame): boolean;
  spend(reply: ReplyOf<'execute'> | ReplyOf<'query'>, rows: Rows): Buffer | undefined;
  ranToEnd(reply: ReplyOf<'execute'>): void;
  withholds(reply: ReplyOf<'sync'> | ReplyOf<'query'>, status: TransactionStatus): boolean;
  undo(): void;
};

export class Replies {
  readonly #events: ReplyEvents;
  #queue: Reply[] = [];
  #first = 0;
  #boundaries = 0;
  /** COPY FROM STDIN that may still start in what is owed: counted, because it is asked for with every message. */
  #copies = 0;
  #failing = false;
  /** Executions whose results are limited, unanswered. */
  #limited = 0;
  /** Executions that may not commit before what they touched is known, unanswered. */
  #confirming = 0;
  readonly #budget: ResultBudget | undefined;
  #waiting: (() => void)[] = [];
  /** A large frame to the client has begun and not ended. */
  midFrame = false;
  /** The last frame was an error that ends the target's session. */
  doomed = false;

  /** `budget`: limits what results may bring. */
  constructor(events: ReplyEvents, budget?: ResultBudget) {
    this.#events = events;
    this.#budget = budget;
  }

  push(reply: Reply): void {
    if (reply.kind === 'sync' || reply.kind === 'query') this.#boundaries++;
    if (reply.kind === 'execute' || reply.kind === 'query') this.#copies += reply.copies;
    if (isLimited(reply)) this.#limited++;
    if (isConfirming(reply)) this.#confirming++;
    this.#queue.push(reply);
  }

  get empty(): boolean {
    return this.#first === this.#queue.length;
  }

  /** What the target answers now. */
  get next(): Reply | undefined {
    return this.#queue[this.#first];
  }

  /** A Sync or Query is unanswered: what follows starts anew, and from a state that is not known yet. */
  get boundary(): boolean {
    return this.#boundaries > 0;
  }

  /** Something sent may still ask for COPY data. */
  get mayCopyIn(): boolean {
    return this.#copies > 0;
  }

  /** The result of an execution that is upstream may be stopped: nothing may run behind it that would not have. */
  get limited(): boolean {
    return this.#limited > 0;
  }

  /** Nothing may follow an execution that is upstream before what it touched is known, a Sync least of all. */
  get confirming(): boolean {
    return this.#confirming > 0;
  }

  /** Operations that are upstream and have no outcome. */
  *running(): Generator<Run> {
    for (let i = this.#first; i < this.#queue.length; i++) {
      const reply = this.#queue[i]!;
      const run = reply.kind === 'bind' ? reply.portal?.run : 'run' in reply ? reply.run : undefined;
      if (run) yield run;
    }
  }

  /** Resolves at the next answer that changes what is owed. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The target is gone or dismissed: wake whoever waits. */
  abandon(): void {
    this.#queue = [];
    this.#first = 0;
    this.#boundaries = 0;
    this.#copies = 0;
    this.#limited = 0;
    this.#confirming = 0;
    this.#wake();
  }

  /** @throws GatewayError UPSTREAM_GONE when the frame answers nothing that was asked. */
  handle(frame: Frame): void {
    if (this.#budget?.keeps(frame)) return;
    const { type, bytes } = frame;
    const reply = this.#queue[this.#first];
    // DataRow and CopyData first: nearly all frames are these, and only these come in pieces.
    if (type === 0x44 || type === 0x64) {
      if (!reply || (reply.kind !== 'execute' && reply.kind !== 'query')) throw unexpected(type, reply);
      if (frame.first && reply.run) reply.run.rowsSent += frame.count ?? 1;
      if (!reply.own) this.#row(frame, reply);
      else if (reply.kind === 'execute') reply.collect?.(bytes, frame.last);
      return;
    }
    switch (String.fromCharCode(type)) {
      case 'N':
        this.#events.relay(this.#events.report(frame)?.bytes ?? bytes);
        return;
      case 'A': // notification
        this.#events.relay(bytes);
        return;
      case 'S': {
        const { name, value } = parseParameterStatus(frame);
        this.#events.relay(bytes);
        this.#events.parameter(name, value);
        return;
      }
      case 'E':
        this.#error(frame, reply);
        return;
      case 'Z':
        this.#ready(frame, reply);
        return;
      default: {
        if (!reply || this.#failing) throw unexpected(type, reply);
        const passage = mustBeConfirmed(type, reply) ? this.#budget?.completes(reply, frame) : 'now';
        if (passage === 'wait') return;
        if (!reply.own && passage !== 'later' && !isStopped(reply)) this.#events.relay(bytes);
        this.#answer(frame, reply);
      }
    }
  }

  #row(frame: Frame, reply: ReplyOf<'execute'> | ReplyOf<'query'>): void {
    if (reply.stopped) return;
    reply.mask ??= this.#events.mask(reply, frame.type === 0x64);
    const { mask } = reply;
    if (mask === 'none') {
      this.rows(reply, frame);
      return;
    }
    // A row in pieces is collected: between them the client is at the end of a whole message.
    const whole = frame.first && frame.last;
    const shown = whole ? mask.rows(frame.bytes) : mask.piece(frame.bytes, frame.last);
    if (shown && shown.length > 0) this.rows(reply, { bytes: shown, first: true, last: true, count: frame.count });
  }

  /** Rows as the client shall see them go to it, as far as their budget lets them. */
  rows(reply: ReplyOf<'execute'> | ReplyOf<'query'>, rows: Rows): void {
    const passing = reply.run?.permit.budget ? this.#budget?.spend(reply, rows) : rows.bytes;
    if (!passing) return;
    this.midFrame = !rows.last;
    this.#events.relay(passing);
  }

  #answer(frame: Frame, reply: Reply): void {
    if (!this.#fits(String.fromCharCode(frame.type), frame, reply)) throw unexpected(frame.type, reply);
  }

  /** Take it in, if it is an answer to that. */
  #fits(type: string, frame: Frame, reply: Reply): boolean {
    switch (reply.kind) {
      case 'parse':
        return type === '1' && this.#complete(reply);
      case 'bind':
        return type === '2' && this.#complete(reply);
      case 'close':
        return type === '3' && this.#complete(reply);
      case 'describe':
        if (type === 'T' || type === 'n') this.#events.described(reply, frame);
        return type === 't' || ((type === 'T' || type === 'n') && this.#complete(reply));
      case 'execute':
        if (type === 's' || type === 'C' || type === 'I') {
          // Read first: what cannot be is no answer, and its operation is still owed an outcome.
          const tag = type === 'C' ? parseCommandComplete(frame) : '';
          this.#shift();
          if (type === 's') this.#events.suspended(reply);
          else this.#events.statementDone(reply, tag);
          if (reply.stopped) this.#budget?.ranToEnd(reply);
          this.#wake();
          return true;
        }
        return this.#copy(frame, type, reply);
      case 'query':
        if (type === 'T') {
          reply.mask = undefined;
          this.#events.described(reply, frame);
          return true;
        }
        if (type === 'C' || type === 'I') {
          this.#events.statementDone(reply, type === 'C' ? parseCommandComplete(frame) : '');
          reply.mask = undefined;
          reply.columns = undefined;
          reply.done++;
          return true;
        }
        return this.#copy(frame, type, reply);
      case 'sync':
        return false;
      default:
        return reply satisfies never;
    }
  }

  #copy(frame: Frame, type: string, reply: ReplyOf<'execute'> | ReplyOf<'query'>): boolean {
    if (type === 'H' || type === 'c') return true;
    if (type !== 'G') return false;
    if (reply.copies <= 0) return false; // the parser saw no COPY FROM STDIN: it and the server disagree
    reply.copies--;
    this.#copies--;
    this.#events.copyIn(reply, frame.bytes[5] === 1);
    this.#wake();
    return true;
  }

  /** In the extended protocol the server now skips to the next Sync; a failed Query is followed by its ReadyForQuery. */
  #error(frame: Frame, reply: Reply | undefined): void {
    const said = parseServerMessage(frame);
    const scrubbed = this.#events.report(frame);
    const error = scrubbed ? { ...said, ...scrubbed, detail: undefined, hint: undefined } : said;
    const fatal = error.severity === 'FATAL' || error.severity === 'PANIC';
    if (!reply && !fatal) throw unexpected(frame.type, reply);
    if (fatal) this.doomed = true;
    if (reply?.substitute && !fatal) this.#events.relay(reply.substitute);
    else if (!reply?.own || reply.kind === 'describe' || fatal || saysWhy(reply))
      this.#events.relay(scrubbed?.bytes ?? frame.bytes);
    const skipped: Reply[] = [];
    if (reply && reply.kind !== 'query' && reply.kind !== 'sync') {
      this.#shift();
      while (!this.empty && this.#queue[this.#first]!.kind !== 'sync') {
        skipped.push(this.#queue[this.#first]!);
        this.#shift();
      }
    } else if (reply) {
      if (reply.kind === 'query') this.#noCopy(reply);
      this.#failing = true;
    }
    this.#events.failed(reply, error, skipped);
    this.#wake();
  }

  #ready(frame: Frame, reply: Reply | undefined): void {
    if (reply?.kind !== 'sync' && reply?.kind !== 'query') throw unexpected(frame.type, reply);
    const status = parseReadyForQuery(frame);
    this.#failing = false;
    this.#shift();
    const withheld = this.#budget?.withholds(reply, status) ?? false;
    if ((!reply.own || endsOwn(reply)) && !withheld) this.#events.relay(frame.bytes);
    this.#events.ready(reply, status);
    if (withheld) this.#budget?.undo();
    this.#wake();
  }

  #complete(reply: Exclude<Reply, { kind: 'execute' | 'query' | 'sync' }>): true {
    this.#shift();
    this.#events.completed(reply);
    this.#wake();
    return true;
  }

  #shift(): void {
    const reply = this.#queue[this.#first++];
    if (reply?.kind === 'sync' || reply?.kind === 'query') this.#boundaries--;
    if (reply?.kind === 'execute' || reply?.kind === 'query') this.#noCopy(reply);
    if (reply && isLimited(reply)) this.#limited--;
    if (reply && isConfirming(reply)) this.#confirming--;
    if (this.empty) {
      this.#queue = [];
      this.#first = 0;
    }
  }

  #noCopy(reply: ReplyOf<'execute'> | ReplyOf<'query'>): void {
    this.#copies -= reply.copies;
    reply.copies = 0;
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function unexpected(type: number, reply: Reply | undefined): GatewayError {
  const letter = String.fromCharCode(type);
  return new GatewayError(
    'UPSTREAM_GONE',
    `the target sent "${letter}" where ${reply ? `an answer to ${reply.kind}` : 'nothing'} was due`,
  );
}
