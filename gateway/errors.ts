/** The gateway's one error class and its closed list of codes. README.md says what an operator does about each. */

/**
 * Every way the gateway says no. Codes are never reused or renamed; `sqlstate` is what a PostgreSQL client sees.
 * DENIED and the codes of a hold's end carry a message written for the client; the others name cause and remedy.
 */
export const ERROR_CODES = {
  /** A rule or an approver refused the operation. */
  DENIED: { sqlstate: '42501' },
  /** An admin froze the connection, the principal, or everything: nothing of it passes until that is lifted. */
  FROZEN: { sqlstate: '42501' },
  /** Nobody decided before the hold's deadline. */
  EXPIRED: { sqlstate: '42501' },
  /** The client cancelled, left, overflowed its pipeline, or its session or target went away while held. */
  WITHDRAWN: { sqlstate: '57014' },
  /** Requester and sponsor set aside, fewer people are left than the quorum asks for. */
  NO_APPROVER: { sqlstate: '42501' },
  /** Redis, lease, rules or queue are not there: what needs a hold cannot be asked for. */
  UNAVAILABLE: { sqlstate: '57P03' },
  /** The audit trail cannot be written, or lags: nothing passes unrecorded. */
  AUDIT: { sqlstate: '58030' },
  /** The text does not parse, or killed the parser: what cannot be read cannot be judged. */
  UNPARSEABLE: { sqlstate: '42601' },
  /** Longer than a person can review, or longer than the configured limit. */
  TOO_LONG: { sqlstate: '54000' },
  /** A part of the protocol the gateway does not let through (FunctionCall, replication, COPY both, …). */
  UNSUPPORTED: { sqlstate: '0A000' },
  /** The message breaks the protocol: lengths, order, encoding. */
  PROTOCOL: { sqlstate: '08P01' },
  /** A setting that keeps parser and server in agreement would change. */
  SESSION_FRAME: { sqlstate: '42501' },
  /** A prepared statement, portal or cursor the gateway has not seen confirmed. */
  UNKNOWN_NAME: { sqlstate: '26000' },
  /** Too many sessions, open holds, or pipelined bytes. */
  LIMIT: { sqlstate: '53400' },
  /** The token is missing, invalid, expired, revoked, or cannot be verified now. */
  AUTH: { sqlstate: '28P01' },
  /** A password would have crossed a network in the clear. */
  AUTH_NEEDS_TLS: { sqlstate: '28000' },
  /** The principal may not use this connection, or there is no such connection. */
  ACCESS: { sqlstate: '28000' },
  /** The token ended, the principal was revoked, or an admin ended the session. */
  SESSION_ENDED: { sqlstate: '57P01' },
  /** The gateway is stopping. */
  SHUTDOWN: { sqlstate: '57P01' },
  /** The target cannot be reached or refused the gateway's own credentials. */
  UPSTREAM: { sqlstate: '08006' },
  /** The target's TLS is missing or does not verify. */
  UPSTREAM_TLS: { sqlstate: '08006' },
  /** The target went away in mid-session. */
  UPSTREAM_GONE: { sqlstate: '08006' },
  /** The configuration, a rule set or a key is unusable. */
  CONFIG: { sqlstate: 'F0000' },
  /** A recording cannot be read: changed, torn, or its key is not at hand. */
  RECORDING: { sqlstate: '58030' },
  /** A signature, version or shape of a payload or stored state does not verify. */
  FORGED: { sqlstate: '58000' },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  /** A second line for whoever must act: an agent, an engineer, an operator. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  get sqlstate(): string {
    return ERROR_CODES[this.code].sqlstate;
  }
}

/** What was thrown, as a GatewayError; anything unforeseen becomes UNAVAILABLE, never a pass. */
export function asGatewayError(thrown: unknown, fallback: ErrorCode = 'UNAVAILABLE'): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new GatewayError(fallback, reason, { cause: thrown });
}
