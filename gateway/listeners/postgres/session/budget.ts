/** Where a result has come to the end of its budgets: it stands still, somebody is asked, and it flows on or is stopped. */
import { randomUUID } from 'node:crypto';
import { asGatewayError, GatewayError } from '../../../errors.ts';
import { type Excess, Reading, type Tell } from '../../../gate.ts';
import * as build from '../builders.ts';
import type { TransactionStatus } from '../messages.ts';
import type { Upstream } from '../types.ts';
import type { Frame } from '../wire.ts';
import { Ask, type AskDeps } from './ask.ts';
import { cancelRunning } from './cancelling.ts';
import { Commit, type Passage } from './commit.ts';
import type { Portal } from './names.ts';
import { onlyReads } from './operation.ts';
import { Preview } from './preview.ts';
import { FAILING_STATEMENT, refusal } from './refusal.ts';
import type { ReplyOf, ResultBudget, Rows } from './replies.ts';
import type { Run } from './run.ts';
import type { Stay } from './stay.ts';

type Showing = ReplyOf<'execute'> | ReplyOf<'query'>;

export type BudgetDeps = AskDeps & {
  readonly stay: Stay;
  readonly upstream: Upstream;
  /** Take nothing more from the target. */
  readonly pause: () => void;
  /** What stood still goes its way: `again` first, then more from the target. */
  readonly resume: (again: () => void) => void;
};

/** Stopped, when the target had it behind itself already. */
type Late = { readonly run: Run; readonly error: GatewayError };

export class Budget implements ResultBudget {
  readonly #deps: BudgetDeps;
  readonly #ask: Ask;
  readonly #cursors = new WeakMap<Portal, Reading>();
  /** The result whose rows were counted last, and which statement's of a string. */
  #counting: { readonly reply: Showing; readonly done: number } | undefined;
  /** What stands still: rows that may not go yet, and what came behind them. */
  #standing: { readonly reply: Showing; readonly rows: Rows | undefined; readonly frames: Frame[] } | undefined;
  readonly #commit: Commit;
  #withdrawn: GatewayError | undefined;
  /** It was stopped too late to be cancelled: refused when the target is ready again. */
  #late: Late | undefined;

  constructor(deps: BudgetDeps) {
    this.#deps = deps;
    this.#ask = new Ask({ ...deps, tell: (news) => this.#tell(news) });
    this.#commit = new Commit({
      stay: deps.stay,
      ask: this.#ask,
      stand: (reply, frame) => this.#stand(reply, undefined, [frame]),
      stands: (reply) => this.#standing?.reply === reply,
      goOn: () => this.#goOn(),
    });
  }

  /** People are asked about the rest of a result. */
  get held(): boolean {
    return this.#ask.held;
  }

  get waiting(): boolean {
    return this.#ask.waiting;
  }

  /** A result stands still: nothing is to be taken from the target. */
  get stands(): boolean {
    return this.#standing !== undefined;
  }

  /** As `Ask.withdraw`. */
  withdraw(error: GatewayError): boolean {
    if (this.stands) this.#withdrawn ??= error;
    return this.#ask.withdraw(error);
  }

  /** True where it came behind rows that stand still: it is kept, and its turn comes. At most one chunk's frames are. */
  keeps(frame: Frame): boolean {
    this.#standing?.frames.push(frame);
    return this.#standing !== undefined;
  }

  /** As `Commit.completes`. */
  completes(reply: Showing, frame: Frame): Passage {
    return this.#commit.completes(reply, frame);
  }

  /** As many of the rows as may go to the client now. Where not all may, the result stands still and somebody is asked. */
  spend(reply: Showing, rows: Rows): Buffer | undefined {
    const { run } = reply;
    const meter = run?.permit.budget;
    if (reply.stopped || this.#deps.stay.over) return undefined;
    const { bytes } = rows;
    if (!run || !meter || !rows.first) return bytes; // the length of a row was counted with its first piece
    if (this.#counting?.reply !== reply || this.#counting.done !== doneOf(reply)) this.#count(reply);
    run.preview ??= new Preview();
    const { preview } = run;
    const count = rows.count ?? 1;
    const length = count === 1 ? 1 + bytes.readUInt32BE(1) : bytes.length;
    if (count <= meter.rowsLeft && length <= meter.bytesLeft) {
      meter.count(count, length);
      preview.see(bytes);
      return bytes;
    }
    let at = 0;
    for (let passed = 0; at < bytes.length; passed++) {
      const row = 1 + bytes.readUInt32BE(at + 1);
      const budgets = meter.stopping(row);
      if (budgets.length > 0) {
        preview.see(bytes.subarray(0, at));
        this.#stand(reply, { ...rows, bytes: bytes.subarray(at), count: count - passed });
        // What may go goes first: the client is told behind it that it waits.
        const shown = run.permit.operation.reveal ? [] : preview.rows; // those it was approved for see it, no card does
        queueMicrotask(() => this.#askFor(reply, run, { budgets, preview: shown }));
        break;
      }
      meter.count(1, row);
      at += row;
    }
    if (!this.#standing) preview.see(bytes);
    return at === 0 ? undefined : bytes.subarray(0, at);
  }

  /** An execution that was stopped had come to its end on the target, or to the end of what was asked for. */
  ranToEnd(reply: ReplyOf<'execute'>): void {
    const { stay } = this.#deps;
    const { run, stopped: error } = reply;
    if (!run || !error) return;
    if (stay.replies.boundary) {
      this.#late = { run, error }; // its Sync is behind it: what the target says then decides
      return;
    }
    // Its transaction is still open: it is made to fail, and the client is told by that.
    run.failed(error.sqlstate, error.message);
    stay.open = true;
    const name = `countersign_${randomUUID()}`;
    stay.toTarget.add(build.parse(name, FAILING_STATEMENT));
    stay.toTarget.add(build.flush());
    stay.replies.push({ kind: 'parse', name, statement: undefined, own: true, substitute: refusal(error) });
    stay.toTarget.flush();
  }

  /** The target is ready again; true where its client must not hear of it, for what was stopped is undone first. */
  withholds(reply: ReplyOf<'sync'> | ReplyOf<'query'>, status: TransactionStatus): boolean {
    const { stay } = this.#deps;
    if (reply.kind === 'query' && reply.stage) return this.#commit.withholds(reply, status);
    if (reply.kind === 'query' && reply.stopped && reply.run && !stay.failed) {
      this.#late = { run: reply.run, error: reply.stopped };
    }
    if (!this.#late) return false;
    const { run, error } = this.#late;
    if (status === 'T') {
      run.failed(error.sqlstate, error.message);
      return true;
    }
    this.#late = undefined;
    stay.toClient.add(refusal(stands(run, error)));
    return false;
  }

  /** What `withholds` spoke of: the transaction is made to fail, and what the target says then is for the client. */
  undo(): void {
    if (this.#commit.due) {
      this.#commit.end();
      return;
    }
    const { stay } = this.#deps;
    const late = this.#late;
    if (!late) return;
    this.#late = undefined;
    stay.open = true;
    stay.toTarget.add(build.query(FAILING_STATEMENT));
    const substitute = refusal(late.error);
    stay.replies.push({ kind: 'query', statements: [], results: [], run: undefined, copies: 0, done: 0, substitute });
    stay.toTarget.flush();
  }

  /** The session is over: what stands still is stopped, and only heard out. */
  abandon(): void {
    const reply = this.#standing?.reply;
    const error = this.#withdrawn ?? new GatewayError('WITHDRAWN', 'the session ended');
    if (reply?.run && !this.#standing?.rows) this.#commit.refuse(reply, reply.run, error);
    else if (reply?.run) {
      this.#stop(reply, reply.run, error);
    }
    this.#goOn();
  }

  async #askFor(reply: Showing, run: Run, excess: Excess): Promise<void> {
    const since = performance.now();
    const standing = this.#standing;
    if (standing?.reply !== reply) return; // the session ended before anybody was asked
    let refused: GatewayError | undefined;
    try {
      await this.#ask.exceed(run.permit, excess);
    } catch (error) {
      refused = asGatewayError(error);
    }
    if (this.#standing !== standing || this.#deps.stay.over) return;
    run.waited(performance.now() - since);
    if (refused) this.#stop(reply, run, refused);
    this.#goOn();
  }

  /** The client gets an error where the next row would have been; what still comes of the result goes nowhere. */
  #stop(reply: Showing, run: Run, error: GatewayError): void {
    const { stay, upstream } = this.#deps;
    reply.stopped = error;
    reply.substitute = refusal(error);
    run.stopped(error);
    void cancelRunning(stay, upstream);
  }

  #stand(reply: Showing, rows: Rows | undefined, frames: Frame[] = []): void {
    this.#standing = { reply, rows, frames };
    this.#deps.pause();
  }

  #goOn(): void {
    const standing = this.#standing;
    if (!standing) return;
    this.#standing = undefined;
    this.#withdrawn = undefined;
    const { reply, rows, frames } = standing;
    this.#deps.resume(() => {
      const { replies } = this.#deps.stay;
      if (rows) replies.rows(reply, rows);
      for (const frame of frames) replies.handle(frame);
    });
  }

  /** A FETCH goes on where its cursor stopped; of several statements in one string each belongs to the whole, too. */
  #count(reply: Showing): void {
    const { run } = reply;
    const meter = run?.permit.budget;
    this.#counting = { reply, done: doneOf(reply) };
    if (!meter) return;
    const cursor = this.#cursorOf(reply);
    if (!cursor) meter.follow([meter.own]);
    else meter.follow(reply.kind === 'query' && reply.statements.length > 1 ? [meter.own, cursor] : [cursor]);
  }

  #cursorOf(reply: Showing): Reading | undefined {
    const facts = reply.kind === 'query' ? reply.statements[reply.done] : reply.facts;
    const { portals } = this.#deps.stay.names;
    const fetched = facts?.session.kind === 'fetch' ? portals.get(facts.session.name) : undefined;
    const portal = fetched ?? (reply.kind === 'execute' ? reply.portal : undefined); // FETCH reads those of Bind, too
    if (!portal) return undefined;
    const reading = this.#cursors.get(portal) ?? new Reading();
    this.#cursors.set(portal, reading);
    return reading;
  }

  /** Nothing is read from the target meanwhile: whether it is still there shows when it is sent something harmless. */
  #tell(news: Parameters<Tell>[0]): void {
    this.#deps.tell(news);
    const { toTarget } = this.#deps.stay;
    if (news.kind !== 'waiting' || this.#deps.stay.over) return;
    toTarget.add(build.flush());
    toTarget.flush();
  }
}

const doneOf = (reply: Showing): number => (reply.kind === 'query' ? reply.done : 0);

/** What the refusal says of one that had run to its end, and was not undone. */
function stands(run: Run, error: GatewayError): GatewayError {
  if (onlyReads(run.permit.operation.effects)) return error;
  const hint = `${error.hint ?? ''} It had run to its end on the target: what it wrote stands.`.trim();
  return new GatewayError(error.code, error.message, { cause: error, hint });
}
