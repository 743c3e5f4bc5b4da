/** One permitted execution on its way: settled exactly once, whatever happens to the session. */
import { amount } from '../../../amount.ts';
import type { GatewayError } from '../../../errors.ts';
import type { Permit } from '../../../gate.ts';
import type { Outcome } from '../../../operation.ts';
import { rowsOf, touchesRows } from './confirmable.ts';
import { onlyReads } from './operation.ts';
import type { Preview } from './preview.ts';
import { maskedIn, type Showing, showing } from './shield.ts';
import { afterFlush } from './turn.ts';

const MAX_TAG = 200; // characters: a multi-statement string has a tag each

export class Run {
  readonly permit: Permit;
  /** Rows the target sent for it so far. */
  rowsSent = 0;
  /** What it touched is to be confirmed before it commits. */
  readonly confirms: boolean;
  /** That was looked at: it may. */
  passed = false;
  /** Nothing that could commit it has been sent. */
  uncommitted: boolean;
  /** What its outcome says besides. */
  note: string | undefined;
  /** Its first rows, where its result is limited. */
  preview: Preview | undefined;
  readonly #startedAt = performance.now();
  #tag = '';
  #rows: number | undefined;
  /** Rows that were sent by the time its last complete statement was. */
  #sentBefore = 0;
  #settled = false;
  /** Time in which nobody but people had anything to do, ms. */
  #waited = 0;
  #stopped: { readonly sqlstate: string; readonly message: string; readonly here: true } | undefined;
  #showing: Showing | undefined;

  constructor(permit: Permit) {
    this.permit = permit;
    this.confirms = permit.confirm !== undefined && touchesRows(permit.operation);
    this.uncommitted = this.confirms;
  }

  /** How its results are shown; made when there is something to show. */
  get showing(): Showing {
    this.#showing ??= showing(this.permit.operation.reveal !== undefined);
    return this.#showing;
  }

  /** One statement of it is complete; a simple Query may have several. */
  statementDone(tag: string): void {
    const rows = rowsOf(tag);
    if (rows !== undefined) this.#rows = (this.#rows ?? 0) + rows;
    // A header and a trailer of COPY came like rows, and are none.
    if (rows !== undefined && tag.startsWith('COPY ')) this.rowsSent = Math.min(this.rowsSent, this.#sentBefore + rows);
    this.#sentBefore = this.rowsSent;
    if (this.#tag.length < MAX_TAG) this.#tag = this.#tag === '' ? tag : `${this.#tag}; ${tag}`;
  }

  /** Its result stood still for so long, ms. */
  waited(ms: number): void {
    this.#waited += ms;
  }

  /** Its result was stopped: that is how it ended, unless it did more than read and was done with that. */
  stopped(error: GatewayError): void {
    const rows = amount('rows', this.permit.budget?.passed.rows ?? 0);
    this.#stopped = { sqlstate: error.sqlstate, message: `stopped after ${rows}: ${error.message}`, here: true };
  }

  /** Everything asked for was done; `tag` where no CommandComplete said so. Where nobody was asked, the client's answer goes first. */
  done(tag?: string): void {
    if (this.#settled) return;
    if (this.#stopped && onlyReads(this.permit.operation.effects)) {
      this.failed(this.#stopped.sqlstate, this.#stopped.message);
      return;
    }
    this.#settled = true;
    // The tag of a portal read in parts counts its last part only.
    const rows = this.rowsSent > (this.#rows ?? 0) ? this.rowsSent : this.#rows;
    const masked = this.#showing && maskedIn(this.#showing);
    const outcome: Outcome = {
      kind: 'done',
      tag: this.#tag || (tag ?? ''),
      rows,
      ms: this.#ms(),
      ...(masked && { masked }),
      ...(this.note !== undefined && { note: this.note }),
    };
    const { permit } = this;
    if (permit.hold === undefined) afterFlush(() => permit.settle(outcome));
    else permit.settle(outcome); // people wait for this one
  }

  failed(sqlstate: string, message: string): void {
    this.#failed({ sqlstate, message });
  }

  /** By the gateway: not sent, or not let be committed. */
  failedHere(sqlstate: string, message: string): void {
    this.#failed({ sqlstate, message, here: true });
  }

  #failed(how: { readonly sqlstate: string; readonly message: string; readonly here?: true }): void {
    if (this.#settled) return;
    this.#settled = true;
    this.permit.settle({ kind: 'failed', ...how, ...this.#stopped, ms: this.#ms() });
  }

  unknown(reason: string): void {
    if (this.#settled) return;
    if (this.uncommitted) {
      this.failedHere('08006', `rolled back, for it was never committed: ${reason}`);
      return;
    }
    this.#settled = true;
    this.permit.settle({ kind: 'unknown', reason, ms: this.#ms() });
  }

  #ms(): number {
    return Math.round((performance.now() - this.#startedAt - this.#waited) * 1000) / 1000;
  }
}
