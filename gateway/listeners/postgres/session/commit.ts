/**
 * A write whose rows are to be confirmed: it has run, and nothing that commits it is sent before they were expected or
 * somebody confirmed them. A simple Query outside of a transaction runs in one of the gateway's own.
 */
import { asGatewayError, GatewayError } from '../../../errors.ts';
import * as build from '../builders.ts';
import { parseCommandComplete, type TransactionStatus } from '../messages.ts';
import type { Frame } from '../wire.ts';
import type { Ask } from './ask.ts';
import { touchedBy } from './confirmable.ts';
import { refusal } from './refusal.ts';
import type { ReplyOf } from './replies.ts';
import type { Run } from './run.ts';
import type { Stay } from './stay.ts';

/** What is said of it where its COMMIT is the client's. */
export const CONFIRMED_ONLY = 'confirmed in its transaction';

type Showing = ReplyOf<'execute'> | ReplyOf<'query'>;
type Query = ReplyOf<'query'>;

export type CommitDeps = {
  readonly stay: Stay;
  readonly ask: Ask;
  /** The frame waits, and all behind it. */
  readonly stand: (reply: Showing, frame: Frame) => void;
  /** Does it still wait? */
  readonly stands: (reply: Showing) => boolean;
  readonly goOn: () => void;
};

/** `wait`: it stands still; `later`: it is the target's answer, and not for the client yet. */
export type Passage = 'now' | 'later' | 'wait';

export class Commit {
  readonly #deps: CommitDeps;
  /** What the client is told once the gateway's own transaction has ended. */
  #held: Buffer | undefined;
  /** A transaction of the gateway's own, whose statement is done with. */
  #due: { readonly reply: Query; readonly failed: boolean } | undefined;

  constructor(deps: CommitDeps) {
    this.#deps = deps;
  }

  /** An end of one of the gateway's own transactions has to be sent. */
  get due(): boolean {
    return this.#due !== undefined;
  }

  /** The target is done with it, or with as many rows of it as were asked for. */
  completes(reply: Showing, frame: Frame): Passage {
    const { stay, ask } = this.#deps;
    const { run } = reply;
    const stage = reply.kind === 'query' ? reply.stage : undefined;
    if (stage === 'commit' || stage === 'rollback') {
      if (this.#held) stay.toClient.add(this.#held);
      this.#held = undefined;
      return 'now';
    }
    if (!run?.confirms || reply.stopped) return 'now';
    if (!run.passed) {
      if (stay.over) {
        this.refuse(reply, run, new GatewayError('WITHDRAWN', 'the session ended before it was committed'));
        return 'now';
      }
      let answer: Promise<void> | undefined;
      try {
        const tag = frame.type === 0x43 ? parseCommandComplete(frame) : '';
        answer = ask.confirm(run.permit, touchedBy(tag, run.permit.operation));
      } catch (error) {
        this.refuse(reply, run, asGatewayError(error));
        return 'now';
      }
      if (answer) {
        this.#deps.stand(reply, frame);
        void this.#decide(reply, run, answer);
        return 'wait';
      }
      run.passed = true;
    }
    if (stage !== 'statement') {
      run.uncommitted = false;
      return 'now';
    }
    this.#held = frame.bytes;
    return 'later';
  }

  async #decide(reply: Showing, run: Run, answer: Promise<void>): Promise<void> {
    const { stay, stands, goOn } = this.#deps;
    const since = performance.now();
    let refused: GatewayError | undefined;
    try {
      await answer;
    } catch (error) {
      refused = asGatewayError(error);
      await stay.cancelling; // it must not hit what undoes this
    }
    if (!stands(reply) || stay.over) return;
    run.waited(performance.now() - since);
    if (refused) {
      this.refuse(reply, run, refused);
    } else {
      run.passed = true;
      run.note = stay.status === 'T' && !isOwn(reply) ? CONFIRMED_ONLY : 'committed after confirmation';
    }
    goOn();
  }

  /** It is undone: by the end of the gateway's own transaction, or by making the client's fail. */
  refuse(reply: Showing, run: Run, error: GatewayError): void {
    reply.stopped = error;
    reply.substitute = refusal(error);
    run.failedHere(error.sqlstate, `rolled back: not confirmed: ${error.message}`);
  }

  /** The target is ready again after one of a transaction of the gateway's own; true where that has to be ended first. */
  withholds(reply: Query, status: TransactionStatus): boolean {
    if (reply.stage === 'statement' || (reply.stage === 'rollback' && status !== 'I')) {
      if (status !== 'I') {
        this.#due = { reply, failed: status === 'E' };
        return true;
      }
      // Its transaction has ended without the gateway: what it says is all there is.
      if (this.#held) this.#deps.stay.toClient.add(this.#held);
      this.#held = undefined;
      reply.run?.done();
    }
    if (reply.stage === 'commit') this.#held = undefined; // where it failed, its error went out instead
    return false;
  }

  /** End it: COMMIT where all is well, ROLLBACK otherwise. */
  end(): void {
    const { stay } = this.#deps;
    const due = this.#due;
    this.#due = undefined;
    if (!due) return;
    const { reply, failed } = due;
    const { run } = reply;
    if (stay.over) {
      run?.failedHere('57P01', 'rolled back: the session ended before it was committed');
      return;
    }
    const commit = reply.stage === 'statement' && !failed && !reply.stopped;
    if (reply.stage === 'statement' && failed)
      this.#held = undefined; // its error went out
    else if (reply.stage === 'statement' && reply.stopped) this.#held = refusal(reply.stopped);
    if (commit && run) run.uncommitted = false;
    else if (reply.stopped) run?.failedHere(reply.stopped.sqlstate, `rolled back: ${reply.stopped.message}`);
    stay.open = true;
    stay.toTarget.add(build.query(commit ? 'COMMIT' : 'ROLLBACK'));
    stay.replies.push(ownQuery(commit ? 'commit' : 'rollback', commit ? run : undefined));
    stay.toTarget.flush();
  }
}

const isOwn = (reply: Showing): boolean => reply.kind === 'query' && reply.stage !== undefined;

const ownQuery = (stage: NonNullable<Query['stage']>, run: Run | undefined): Query & { readonly own: true } => ({
  kind: 'query',
  own: true,
  stage,
  statements: [],
  results: [],
  run,
  copies: 0,
  done: 0,
});

/** Begin a transaction of the gateway's own, and `send` in it. */
export async function inOwnTransaction(stay: Stay, run: Run, send: () => void): Promise<void> {
  const { replies, toTarget, toClient } = stay;
  stay.open = true;
  toTarget.add(build.query('BEGIN'));
  replies.push(ownQuery('begin', undefined));
  toTarget.flush();
  while (!replies.empty && !stay.over) await replies.changed();
  if (stay.over) {
    run.failedHere('57014', 'not sent to the target: the session ended');
    return;
  }
  if (stay.status !== 'T') {
    run.failedHere('25000', 'not sent to the target: no transaction could be begun');
    toClient.add(build.readyForQuery(stay.status));
    toClient.flush();
    return;
  }
  send();
  toTarget.flush();
}
