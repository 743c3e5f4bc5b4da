/** What an approval covers, as one SHA-256 over length-prefixed fields. Pure. */
import { createHash } from 'node:crypto';
import type { Operation } from '../operation.ts';
import { principalKey } from '../operation.ts';
import type { Demand } from '../policy/policy.ts';

export const SALT_BYTES = 32; // a hold's own, so that low-entropy values cannot be guessed from its digest

export type Covered = {
  readonly hold: string;
  readonly salt: Uint8Array;
  readonly operation: Operation;
  readonly demands: readonly Demand[];
  readonly policyVersion: string;
};

/**
 * 64 hex characters. Binds hold, connection, principal, session, frame, statement bytes, parameters (format, null or
 * bytes), what is left of a stopped result, caps, the demands and the version of the rules they came from.
 */
export function digestOf({ hold, salt, operation, demands, policyVersion }: Covered): string {
  const hash = createHash('sha256');
  const field = (value: Uint8Array | string) => {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(bytes.length));
    hash.update(length).update(bytes);
  };
  const count = (n: number) => field(String(n));

  field('countersign/approval/1');
  field(salt);
  field(hold);
  field(operation.protocol);
  field(operation.connection);
  field(operation.environment);
  field(principalKey(operation.principal));
  field(operation.session);
  field(operation.id);
  field(operation.frame);
  field(operation.inTransaction ? 'in transaction' : 'alone');
  field(operation.text);
  count(operation.parameters.length);
  for (const { format, value } of operation.parameters) {
    field(format);
    field(value === null ? 'null' : 'value');
    if (value !== null) field(value);
  }
  const { stopped } = operation;
  const { touched } = stopped ?? {};
  if (touched) field(`the commit of ${touched.rows ?? 'uncounted'} rows, estimated ${touched.estimate ?? 'by nobody'}`);
  field(
    stopped
      ? `the rest after ${stopped.rows} rows, ${stopped.bytes} bytes: ${stopped.usedUp?.join(', ') ?? ''}`
      : 'whole',
  );
  field(operation.caps ? `${operation.caps.rows} rows, ${operation.caps.bytes} bytes` : 'no caps');
  field(policyVersion);
  count(demands.length);
  for (const demand of demands) {
    field(demand.rule);
    field(demand.why);
    count(demand.approvers.length);
    for (const approver of demand.approvers) field(approver);
    count(demand.quorum);
    field(demand.requireReason ? 'reason' : 'no reason');
  }
  return hash.digest('hex');
}
