/** What a session needs and what can be done to it: the contract of session.ts. Types only. */
import type { GatewayError } from '../../../errors.ts';
import type { Gate } from '../../../gate.ts';
import type { LiveSession, Tape } from '../../listener.ts';
import type { Reacher } from '../reach/reach.ts';
import type { Downstream, Inspector, Upstream } from '../types.ts';
import type { Masking } from './shield.ts';
import type { SessionLimits } from './stay.ts';

export type SessionDeps = {
  readonly id: string;
  readonly downstream: Downstream;
  readonly upstream: Upstream;
  readonly inspector: Inspector;
  readonly gate: Gate;
  /** Looks at what an operation would touch; absent: nobody does. */
  readonly reach?: Reacher | undefined;
  /** What applies to this principal's results now; asked for each statement. */
  readonly masking: () => Masking;
  readonly limits?: Partial<SessionLimits>;
  /** Keeps what the client is given; absent: nobody does. */
  readonly tape?: Tape | undefined;
  /** A refusal the gate was never asked about. `bytes`: length of the message. May throw AUDIT: the session ends. */
  readonly onRefused?: (error: GatewayError, bytes: number) => void;
};

export type PostgresSession = {
  /** Greet the client and serve it; resolves, never rejects, when both sockets are done with. */
  run(): Promise<{ readonly reason: string }>;
  /**
   * The client's CancelRequest: withdraws what is held, else cancels what runs, else does nothing. Resolves when the
   * target has dealt with it.
   */
  cancel(): Promise<void>;
  /** End it now with a native FATAL that gives the reason; what runs is cancelled. */
  end(reason: string): void;
  /** Withdraw what is held, let what runs finish, then end with a native FATAL. */
  drain(reason: string): void;
  readonly info: LiveSession;
};
