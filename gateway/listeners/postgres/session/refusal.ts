/** What the gateway itself says to a client, in PostgreSQL's own words: the greeting, notices, errors drivers understand. */
import { type ErrorCode, GatewayError } from '../../../errors.ts';
import type { Principal } from '../../../operation.ts';
import * as build from '../builders.ts';
import type { Downstream, Upstream } from '../types.ts';

/** Fails to parse on every server: sent where the target's transaction must really be aborted. */
export const FAILING_STATEMENT = 'refused by countersign';

/** A statement refused for a reason that PostgreSQL itself has a code for. */
export class NativeError extends GatewayError {
  readonly #sqlstate: string;

  constructor(code: ErrorCode, sqlstate: string, message: string, options: { hint?: string } = {}) {
    super(code, message, options);
    this.#sqlstate = sqlstate;
  }

  override get sqlstate(): string {
    return this.#sqlstate;
  }
}

export const refusal = (error: GatewayError): Buffer => report('ERROR', error);
export const farewell = (error: GatewayError): Buffer => report('FATAL', error);

function report(severity: 'ERROR' | 'FATAL', error: GatewayError): Buffer {
  const { sqlstate, message, hint } = error;
  return build.errorResponse({ severity, sqlstate, message, hint });
}

/** What ends a start-up: authenticated, the target's settings, our cancel key, ready. */
export function greeting({ cancelKey }: Downstream, { parameters }: Upstream): Buffer {
  return Buffer.concat([
    build.authenticationOk(),
    ...[...parameters].map(([name, value]) => build.parameterStatus(name, value)),
    build.backendKeyData(cancelKey.pid, cancelKey.secret),
    build.readyForQuery('I'),
  ]);
}

export const notice = (text: string): Buffer =>
  build.noticeResponse({ severity: 'NOTICE', sqlstate: '00000', message: text });

export const cancelled = (): GatewayError =>
  new NativeError('WITHDRAWN', '57014', 'canceling statement due to user request');

export const transactionFailed = (): GatewayError =>
  new NativeError('DENIED', '25P02', 'current transaction is aborted, commands ignored until end of transaction block');

export const tooManySessions = ({ name }: Principal): GatewayError =>
  new GatewayError('LIMIT', `${name} has as many sessions as are allowed`, {
    hint: 'Close one, or use a smaller pool.',
  });

export const unknownPortal = (name: string, what: 'portal' | 'cursor'): GatewayError =>
  new NativeError('UNKNOWN_NAME', '34000', `${what} "${name}" does not exist`);

/** An abort's reason in words. */
export const sentence = (reason: unknown): string => (reason instanceof Error ? reason.message : String(reason));
