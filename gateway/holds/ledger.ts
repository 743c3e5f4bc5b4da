/** What is put on record of a hold: its opening once, every click, its end. */
import type { Audit, AuditEntry } from '../audit/entry.ts';
import { asGatewayError } from '../errors.ts';
import { principalKey } from '../operation.ts';
import type { Hold } from './hold.ts';
import { stoppedFields } from './record.ts';

export type LedgerDeps = {
  readonly audit: Audit;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
};

export class Ledger {
  readonly #audit: Audit;
  readonly #log: LedgerDeps['log'];

  constructor({ audit, log }: LedgerDeps) {
    this.#audit = audit;
    this.#log = log;
  }

  /** Put its opening on record, once. @throws GatewayError AUDIT */
  opened(hold: Hold): void {
    if (hold.opened) return;
    const { digest, rules } = hold;
    this.#audit.append({
      kind: 'hold.open',
      ...about(hold),
      rules,
      digest,
      ...stoppedFields(hold.operation.stopped),
    });
    hold.opened = true;
  }

  /** It ends before anybody was asked: its end shall not stand alone in the trail. */
  neverOpened(hold: Hold): void {
    try {
      this.opened(hold);
    } catch (error) {
      this.#log('the audit trail cannot be written', { hold: hold.id, error: asGatewayError(error).message });
    }
  }

  /** Append to the audit trail where a failure changes nothing any more. False when it failed. */
  record(
    hold: Hold,
    kind: 'hold.settled' | 'hold.vote' | 'outcome' | 'kill',
    fields: Record<string, unknown>,
  ): boolean {
    try {
      this.#audit.append({ kind, ...about(hold), ...fields });
      const { seq, hash } = this.#audit.head();
      if (kind === 'hold.settled') hold.auditHead = `${seq}:${hash.slice(0, 12)}`;
      return true;
    } catch (error) {
      this.#log('the audit trail cannot be written', { hold: hold.id, kind, error: asGatewayError(error).message });
      return false;
    }
  }

  /** Record what concerns no hold of this gateway any more. */
  note(entry: AuditEntry): void {
    try {
      this.#audit.append(entry);
    } catch (error) {
      this.#log('the audit trail cannot be written', { kind: entry.kind, error: asGatewayError(error).message });
    }
  }
}

function about({ id, operation }: Hold) {
  const { session, connection } = operation;
  return { hold: id, operation: operation.id, session, principal: principalKey(operation.principal), connection };
}
