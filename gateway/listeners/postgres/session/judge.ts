/** Between a message understood and a message forwarded: the question to the gate, and the refusal that tells the truth. */
import { randomUUID } from 'node:crypto';
import { asGatewayError, GatewayError } from '../../../errors.ts';
import type { Operation } from '../../../operation.ts';
import * as build from '../builders.ts';
import type { StatementFacts } from '../types.ts';
import type { Frame } from '../wire.ts';
import type { Ask } from './ask.ts';
import { type Asker, changesItsOwnGround, leavesTransaction, operationOf, type Subject } from './operation.ts';
import { FAILING_STATEMENT, refusal } from './refusal.ts';
import type { Run } from './run.ts';
import type { Stay } from './stay.ts';

/** Nothing where a step was done at once: the usual path makes no promise. */
export type Wait = Promise<void> | undefined;

export type Style = 'simple' | 'extended';

export type JudgeDeps = {
  readonly stay: Stay;
  readonly ask: Ask;
  readonly asker: Asker;
  /** A refusal that the gate does not know of, for the audit trail. */
  readonly refused: (error: GatewayError, bytes: number) => void;
};

const MAX_NAME_BYTES = 63; // the server's NAMEDATALEN, less its closing zero

export class Judge {
  readonly #stay: Stay;
  readonly #ask: Ask;
  readonly #deps: JudgeDeps;

  constructor(deps: JudgeDeps) {
    this.#deps = deps;
    this.#stay = deps.stay;
    this.#ask = deps.ask;
  }

  /** Everything forwarded so far is answered; `closing` ends the target's transaction too, if nothing ran in it. */
  async settleEarlier(closing: boolean): Promise<void> {
    const stay = this.#stay;
    const { replies } = stay;
    if (replies.empty && !(closing && stay.open && !stay.dirty)) return;
    if (!replies.boundary) {
      if (closing) stay.finishSegment();
      else stay.toTarget.add(build.flush());
    }
    stay.toTarget.flush();
    while (!replies.empty && !stay.over) await replies.changed();
  }

  /** Ask the gate, after the results of what came before if somebody may have to be asked; then `go`, or refuse. */
  ask(
    subject: Subject,
    statements: readonly StatementFacts[],
    frame: Frame,
    style: Style,
    go: (run: Run) => Wait,
  ): Wait {
    const stay = this.#stay;
    const operation = operationOf(subject, this.#deps.asker, {
      id: randomUUID(),
      frame: stay.frame.text,
      inTransaction: stay.inTransaction,
      unsynced: style === 'simple' && stay.dirty,
      shadowed:
        stay.shadowed || (stay.schemaChanged && !leavesTransaction(statements)) || changesItsOwnGround(statements),
      foreign: stay.foreignEncoding,
      caps: stay.limits.copy,
      guarded: stay.shield.profile?.hasColumns === true,
      tooOften: !stay.shield.mayAsk(subject.predicates),
      reveal: statements.length === 1 ? stay.reveal : undefined, // for one statement: of several, none is shown
      shape: () => stay.inspector.shape(subject.text, subject, stay.frame.context),
    });
    if (operation.reveal) stay.reveal = undefined; // for one statement, whatever becomes of it
    // Results of what came before are awaited only if somebody may have to be asked.
    const first = !stay.open && stay.replies.empty;
    if (!first && this.#ask.preview(operation) !== 'allow') return this.#judgeAlone(operation, frame, style, go);
    return this.#admit(operation, frame, style, go);
  }

  async #judgeAlone(operation: Operation, frame: Frame, style: Style, go: (run: Run) => Wait): Promise<void> {
    this.#ask.begin();
    await this.settleEarlier(true);
    const withdrawn = this.#ask.end();
    if (this.#stay.over || this.#stay.skipping) return;
    if (withdrawn) return this.refuse(withdrawn, frame, style, { audited: false });
    return this.#admit(operation, frame, style, go);
  }

  #admit(operation: Operation, frame: Frame, style: Style, go: (run: Run) => Wait): Wait {
    let run: Run | Promise<Run>;
    try {
      run = this.#ask.admit(operation);
    } catch (error) {
      return this.refuse(asGatewayError(error), frame, style);
    }
    return run instanceof Promise ? this.#admitLater(run, frame, style, go) : go(run);
  }

  async #admitLater(admitted: Promise<Run>, frame: Frame, style: Style, go: (run: Run) => Wait): Promise<void> {
    let run: Run;
    try {
      run = await admitted;
    } catch (error) {
      return this.refuse(asGatewayError(error), frame, style);
    }
    if (this.#stay.over) {
      run.failedHere('57014', 'not sent to the target: the session ended');
      return;
    }
    const wait = go(run);
    this.#stay.toTarget.flush();
    return wait;
  }

  /**
   * Answer a message with an error in the server's manner. Where a transaction is open, the target is made to fail
   * too, so that its ReadyForQuery tells the truth. `unnamed`: what was refused would have replaced the unnamed statement.
   */
  async refuse(
    error: GatewayError,
    frame: Frame,
    style: Style,
    { unnamed = false, audited = true }: { unnamed?: boolean; audited?: boolean } = {},
  ): Promise<void> {
    const stay = this.#stay;
    await this.settleEarlier(false);
    if (stay.over || stay.skipping) return; // something earlier failed first: the server would never have come to this
    if (!audited) this.#deps.refused(error, frame.bytes.length);
    const shown = refusal(error);
    if (style === 'simple') {
      if (stay.status === 'E' || (stay.status === 'I' && !stay.dirty)) {
        stay.toClient.add(shown);
        if (!stay.open) stay.toClient.add(build.readyForQuery(stay.status));
        else this.#syncSilently(); // a Parse left the server in the midst of a pipeline: its own word ends that
      } else {
        stay.toTarget.add(build.query(FAILING_STATEMENT));
        stay.replies.push({
          kind: 'query',
          statements: [],
          results: [],
          run: undefined,
          copies: 0,
          done: 0,
          substitute: shown,
        });
      }
    } else if (stay.status === 'T' || stay.dirty) {
      stay.open = true;
      if (unnamed) this.#dropUnnamed();
      const name = `countersign_${randomUUID()}`;
      stay.toTarget.add(build.parse(name, FAILING_STATEMENT));
      stay.replies.push({ kind: 'parse', name, statement: undefined, own: true, substitute: shown });
      stay.toTarget.flush();
      while (!stay.replies.empty && !stay.over) await stay.replies.changed();
    } else {
      if (unnamed) this.#dropUnnamed();
      stay.toClient.add(shown);
      stay.skipping = true;
    }
    stay.names.forgetOffers();
    stay.toTarget.flush();
    stay.toClient.flush();
  }

  /** A server lets go of the unnamed statement before it reads its successor, even one that fails. */
  #dropUnnamed(): void {
    const stay = this.#stay;
    if (!stay.names.statements.get('')) return;
    stay.open = true;
    stay.toTarget.add(build.close('S', ''));
    stay.replies.push({ kind: 'close', of: 'S', name: '', own: true });
  }

  #syncSilently(): void {
    this.#stay.toTarget.add(build.sync());
    this.#stay.replies.push({ kind: 'sync' });
  }

  tooLong(text: string): GatewayError | undefined {
    const { statementBytes } = this.#stay.limits;
    if (Buffer.byteLength(text) <= statementBytes) return undefined;
    return new GatewayError('TOO_LONG', `the statement is longer than ${statementBytes} bytes`, {
      hint: 'Send it in parts, or load data with COPY.',
    });
  }

  /** The server cuts a longer name without a word: it would stand for another statement than it does here. */
  tooLongName(name: string): GatewayError | undefined {
    if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return undefined;
    return new GatewayError('UNSUPPORTED', `names of statements and portals have at most ${MAX_NAME_BYTES} bytes`, {
      hint: 'The server would cut it; give it a shorter name.',
    });
  }

  tooMany(open: number, what: string): GatewayError | undefined {
    if (open < this.#stay.limits.names) return undefined;
    return new GatewayError('LIMIT', `the session has too many open ${what} (${open})`, {
      hint: 'Close those no longer needed: DEALLOCATE ALL, CLOSE ALL.',
    });
  }
}
