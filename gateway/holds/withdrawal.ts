/** Why a waiting operation was given up, from the signal that ended it. Pure. */
import type { Ending } from '../ending.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { Operation } from '../operation.ts';
import { untouched } from './words.ts';

export function withdrawal(signal: Ending): { readonly code: ErrorCode; readonly reason: string } {
  const reason: unknown = signal.reason;
  if (reason instanceof GatewayError) return { code: reason.code, reason: reason.message };
  if (typeof reason === 'string' && reason !== '') return { code: 'WITHDRAWN', reason };
  if (reason instanceof Error && reason.name !== 'AbortError') return { code: 'WITHDRAWN', reason: reason.message };
  return { code: 'WITHDRAWN', reason: 'the requester withdrew it' };
}

export function withdrawnBy(signal: Ending, operation: Operation): GatewayError {
  const { code, reason } = withdrawal(signal);
  return new GatewayError(code, reason, { hint: untouched(operation) });
}
