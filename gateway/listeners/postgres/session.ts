/** One client's stay on one PostgreSQL connection: sockets, waiting, cancel, and every way it can end. */
import { asGatewayError, GatewayError } from '../../errors.ts';
import type { LiveSession } from '../listener.ts';
import { Ask, type AskDeps } from './session/ask.ts';
import { Budget } from './session/budget.ts';
import { cancelRunning, cancelUntil } from './session/cancelling.ts';
import { Confirm } from './session/confirm.ts';
import type { PostgresSession, SessionDeps } from './session/contract.ts';
import { Departure } from './session/departure.ts';
import { IdleClock } from './session/idle.ts';
import type { Wait } from './session/judge.ts';
import { listen } from './session/listen.ts';
import { Outbox } from './session/outbox.ts';
import { Pipeline } from './session/pipeline.ts';
import { reachIn } from './session/reaching.ts';
import { cancelled, greeting, notice, sentence } from './session/refusal.ts';
import { Replies } from './session/replies.ts';
import { DEFAULT_LIMITS, Stay } from './session/stay.ts';
import { Taping } from './session/taping.ts';
import { flushThisTurn } from './session/turn.ts';
import { backendDecoder, type Frame, frontendDecoder } from './wire.ts';

export type { PostgresSession } from './session/contract.ts';
export type { SessionLimits } from './session/stay.ts';

const FRAME_COST = 64; // bytes a waiting message counts besides its own: a megabyte of Syncs would take 34
const MAX_UNSENT_FOR_NOTICE = 256 * 1024; // bytes: a client that reads nothing is told nothing

export const createSession = (deps: SessionDeps): PostgresSession => new Session(deps);

class Session implements PostgresSession {
  readonly info: LiveSession;
  readonly #deps: SessionDeps;
  readonly #stay: Stay;
  readonly #ask: Ask;
  readonly #budget: Budget;
  readonly #pipeline: Pipeline;
  readonly #replies: Replies;
  readonly #departure: Departure;
  readonly #fromClient = frontendDecoder();
  readonly #fromTarget = backendDecoder({ coalesce: true });
  #inbox: Frame[] = [];
  #next = 0;
  #inboxBytes = 0;
  #busy = false;
  #pumping = false;
  /** The target's socket, or the client's, is full. */
  #targetFull = false;
  #clientFull = false;
  #readPaused = false;
  /** The client will send nothing more, or is gone altogether. */
  #clientEnded = false;
  #clientGone = false;
  #targetGone = false;
  #draining: GatewayError | undefined;
  readonly #idle: IdleClock;

  constructor(deps: SessionDeps) {
    const { downstream, upstream, inspector, gate, id } = deps;
    const { connection, credential } = downstream;
    this.#deps = deps;
    this.#stay = new Stay({
      upstream,
      searchPath: connection.searchPath,
      inspector,
      masking: deps.masking,
      limits: { ...DEFAULT_LIMITS, ...deps.limits },
      toClient: new Outbox(downstream.socket, deps.tape && new Taping(deps.tape, () => this.#replies.next)),
      taped: deps.tape !== undefined,
      toTarget: new Outbox(upstream.socket),
    });
    const asking: AskDeps = {
      gate,
      tell: ({ text }) => this.#tell(text),
      credentialEndsAt: () => credential.expiresAt(),
      alive: () => this.#alive(),
      reach: reachIn(deps, () => this.#stay.frame.searchPath),
    };
    this.#budget = new Budget({
      ...asking,
      stay: this.#stay,
      upstream,
      pause: () => upstream.socket.pause(),
      resume: (again) => this.#goOn(again),
    });
    this.#replies = new Replies(new Confirm(this.#stay, { fatal: (error) => this.#fatal(error) }), this.#budget);
    this.#stay.replies = this.#replies;
    this.#departure = new Departure({
      stay: this.#stay,
      client: downstream.socket,
      target: upstream.socket,
      wholeMessages: () => this.#fromClient.atBoundary,
      leave: () => {
        credential.ended.removeEventListener('abort', this.#onCredentialEnded);
        upstream.socket.off('data', this.#onTargetData);
      },
    });
    const { idleMs } = this.#stay.limits;
    this.#idle = new IdleClock(idleMs, {
      busy: () => this.#busy || !this.#replies.empty,
      expired: () =>
        this.#fatal(new GatewayError('SESSION_ENDED', `nothing happened for ${Math.round(idleMs / 1000)} s`)),
    });
    this.#ask = new Ask(asking);
    this.#pipeline = new Pipeline({
      stay: this.#stay,
      ask: this.#ask,
      asker: {
        connection: connection.name,
        environment: connection.environment,
        principal: credential.principal,
        session: id,
      },
      refused: (error, bytes) => deps.onRefused?.(error, bytes),
      terminate: () => this.#close('the client left', undefined),
    });
    this.info = {
      id,
      connection: connection.name,
      protocol: 'postgres',
      principal: credential.principal,
      startedAt: Date.now(),
      lastOperationAt: Date.now(),
      lastHeadline: undefined,
      end: (reason) => this.end(reason),
    };
  }

  run(): Promise<{ readonly reason: string }> {
    const { downstream, upstream } = this.#deps;
    listen(downstream.socket, {
      data: this.#onClientData,
      drain: this.#onClientDrain,
      end: this.#onClientEnd,
      gone: this.#onClientGone,
    });
    const gone = this.#onTargetGone;
    listen(upstream.socket, { data: this.#onTargetData, drain: this.#onTargetDrain, end: gone, gone });
    this.#stay.toClient.add(greeting(downstream, upstream));
    this.#flushClient();
    const { ended } = downstream.credential;
    if (ended.aborted) this.end(sentence(ended.reason));
    else ended.addEventListener('abort', this.#onCredentialEnded, { once: true });
    this.#idle.start();
    if (upstream.leftover.length > 0) this.#onTargetData(upstream.leftover);
    if (downstream.leftover.length > 0) this.#onClientData(downstream.leftover);
    upstream.socket.resume();
    downstream.socket.resume();
    return this.#departure.done;
  }

  async cancel(): Promise<void> {
    if (!this.#withdraw(cancelled())) this.#pipeline.cancelLearning(cancelled());
    await cancelRunning(this.#stay, this.#deps.upstream);
  }

  end(reason: string): void {
    this.#fatal(new GatewayError('SESSION_ENDED', reason));
    void cancelUntil(() => this.#departure.over, this.#stay, this.#deps.upstream);
  }

  drain(reason: string): void {
    this.#draining ??= new GatewayError('SHUTDOWN', reason, { hint: 'Connect again.' });
    this.#withdraw(this.#draining);
    this.#drainIfQuiet();
  }

  /** Of what is asked about and of what is asked about the rest of a result. */
  #withdraw(error: GatewayError): boolean {
    const rest = this.#budget.withdraw(error);
    return this.#ask.withdraw(error) || rest;
  }

  get #held(): boolean {
    return this.#ask.held || this.#budget.held;
  }

  flush(): void {
    this.#flushTarget();
    this.#flushClient();
  }

  #flushSoon(): void {
    flushThisTurn(this);
    if (this.#draining || this.#clientEnded) this.#drainIfQuiet();
  }

  readonly #onClientData = (chunk: Buffer): void => {
    if (this.#stay.over || this.#clientEnded) return;
    this.#idle.active();
    this.info.lastOperationAt = Date.now();
    try {
      const frames = this.#fromClient.push(chunk);
      this.#pipeline.nextTurn();
      for (const frame of frames) {
        this.#inbox.push(frame);
        this.#inboxBytes += frame.bytes.length + FRAME_COST;
      }
    } catch (error) {
      this.#fatal(asGatewayError(error, 'PROTOCOL'));
      return;
    }
    this.#pump();
    this.#boundInbox();
  };

  /** Read on while somebody is asked, to see the client leave; only so much may pile up behind. */
  #boundInbox(): void {
    if (this.#stay.over) return;
    const { pipelinedBytes } = this.#stay.limits;
    const full = this.#inboxBytes + (this.#busy ? this.#fromClient.pending : 0) > pipelinedBytes;
    if (full && this.#held) {
      this.#withdraw(
        new GatewayError('LIMIT', `withdrawn: more than ${pipelinedBytes} bytes were sent behind a held statement`, {
          hint: 'Wait for the answer before you send more.',
        }),
      );
    }
    this.#pauseReading((full && !this.#held) || this.#targetFull);
  }

  #pauseReading(pause: boolean): void {
    if (pause === this.#readPaused) return;
    this.#readPaused = pause;
    if (pause) this.#deps.downstream.socket.pause();
    else this.#deps.downstream.socket.resume();
  }

  /** Take the client's messages in order, as far as nothing has to be waited for. */
  #pump(): void {
    if (this.#busy || this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#next < this.#inbox.length && !this.#stay.over && !this.#targetFull) {
        const frame = this.#inbox[this.#next++]!;
        const wait: Wait = this.#pipeline.step(frame);
        if (wait) {
          this.#busy = true;
          this.flush();
          wait.then(
            () => this.#resume(frame),
            (error) => this.#fatal(asGatewayError(error)),
          );
          break;
        }
        this.#inboxBytes -= frame.bytes.length + FRAME_COST;
      }
    } catch (error) {
      this.#fatal(asGatewayError(error));
    } finally {
      this.#pumping = false;
    }
    if (this.#next === this.#inbox.length && this.#next > 0) {
      this.#inbox = [];
      this.#next = 0;
    }
    this.#flushSoon();
  }

  #resume(frame: Frame): void {
    this.#busy = false;
    this.#inboxBytes -= frame.bytes.length + FRAME_COST;
    this.#pipeline.nextTurn();
    this.#pump();
    this.#boundInbox();
  }

  readonly #onClientEnd = (): void => {
    if (this.#clientEnded) return;
    this.#clientEnded = true;
    const left = new GatewayError('WITHDRAWN', 'the client left while this was waiting');
    if (this.#ask.waiting || this.#budget.waiting || this.#draining || this.#stay.copying) {
      this.#withdraw(left);
      this.#close('the client left', undefined);
    } else {
      this.#drainIfQuiet();
    }
  };

  readonly #onClientGone = (): void => {
    this.#clientEnded = true;
    this.#clientGone = true;
    this.#withdraw(new GatewayError('WITHDRAWN', 'the client left while this was waiting'));
    this.#close('the client left', undefined);
  };

  #flushClient(): void {
    const { toClient } = this.#stay;
    if ((toClient.flush() && !toClient.full(this.#onClientDrain)) || this.#clientFull || this.#clientGone) return;
    this.#clientFull = true;
    this.#deps.upstream.socket.pause();
  }

  readonly #onClientDrain = (): void => {
    this.#clientFull = false;
    if (!this.#budget.stands) this.#deps.upstream.socket.resume();
  };

  #tell(text: string): void {
    const { toClient } = this.#stay;
    if (this.#stay.over || this.#replies.midFrame || toClient.unsent > MAX_UNSENT_FOR_NOTICE) return;
    toClient.add(notice(text));
    this.#flushClient();
    this.#boundInbox();
  }

  readonly #onTargetData = (chunk: Buffer): void => {
    if (this.#departure.over) return;
    this.#idle.active();
    this.#take(() => {
      for (const frame of this.#fromTarget.push(chunk)) this.#replies.handle(frame);
    });
  };

  /** What stood still goes on its way, and more may come. */
  #goOn(again: () => void): void {
    if (!this.#clientFull) this.#deps.upstream.socket.resume();
    this.#take(again);
  }

  #take(handle: () => void): void {
    if (this.#departure.over) return;
    try {
      handle();
    } catch (error) {
      const { message } = asGatewayError(error);
      this.#targetGone = true; // what follows cannot be understood
      this.#fatal(new GatewayError('UPSTREAM_GONE', `the target broke the protocol: ${message}`));
      return;
    }
    if (this.#stay.over) {
      this.#stay.toClient.flush(); // its socket is ended: what was relayed is dropped
      this.#departure.look(this.#targetGone);
      return;
    }
    this.#flushSoon();
  }

  readonly #onTargetDrain = (): void => {
    this.#targetFull = false;
    this.#pump();
    this.#boundInbox();
  };

  #flushTarget(): void {
    if (this.#stay.toTarget.flush()) return;
    this.#targetFull = true;
    this.#pauseReading(true);
  }

  readonly #onTargetGone = (): void => {
    if (this.#targetGone) return;
    this.#targetGone = true;
    if (this.#replies.doomed && !this.#stay.over) {
      // Its own FATAL has been relayed: that is the client's answer.
      this.#withdraw(new GatewayError('UPSTREAM_GONE', 'the target ended the session while this was waiting'));
      this.#close('the target ended the session', undefined);
      return;
    }
    this.#fatal(new GatewayError('UPSTREAM_GONE', 'the target closed the connection', { hint: 'Connect again.' }));
  };

  #alive(): boolean {
    const { socket } = this.#deps.upstream;
    return (
      !this.#stay.over &&
      !this.#clientEnded &&
      !this.#targetGone &&
      !this.#replies.doomed &&
      socket.writable &&
      !socket.destroyed
    );
  }

  readonly #onCredentialEnded = (): void => this.end(sentence(this.#deps.downstream.credential.ended.reason));

  #drainIfQuiet(): void {
    if (this.#stay.over || this.#busy || this.#next < this.#inbox.length) return;
    if (!this.#replies.empty && !(this.#stay.copying && this.#clientEnded)) this.#stay.askForAnswers();
    else if (this.#clientEnded) this.#close('the client left', undefined);
    else if (this.#draining && !this.#stay.copying) this.#fatal(this.#draining);
  }

  #fatal(error: GatewayError): void {
    this.#withdraw(error);
    this.#close(error.message, error);
  }

  #close(reason: string, error: GatewayError | undefined): void {
    if (!this.#stay.over) {
      this.#inbox = [];
      this.#next = 0;
      this.#idle.stop();
      this.#clientFull = false;
      this.#departure.begin(reason, error, this.#clientGone);
      this.#budget.abandon();
    }
    this.#departure.look(this.#targetGone);
  }
}
