/** The gate and the holds, counted and timed on the way through. Changes nothing they decide. */
import { GatewayError } from '../errors.ts';
import type { Gate, Permit } from '../gate.ts';
import type { Holds } from '../holds/broker.ts';
import type { Operation } from '../operation.ts';
import type { Metrics } from '../web/metrics.ts';

export function metered(
  metrics: Metrics,
  build: (holds: Pick<Holds, 'open'>) => Gate,
  holds: Pick<Holds, 'open'>,
  noticed: (operation: Operation) => void = () => {},
): Gate {
  const held = new WeakSet<Operation>();
  const count = (verdict: 'allow' | 'hold' | 'deny' | 'refused', { protocol, connection }: Operation) =>
    metrics.operation(verdict, protocol, connection);
  const gate = build({
    open: (operation, verdict, context) => {
      held.add(operation);
      count('hold', operation);
      return holds.open(operation, verdict, context);
    },
  });

  const passed = (permit: Permit, startedAt: number): Permit => {
    if (permit.hold !== undefined) return permit; // counted as held
    count('allow', permit.operation);
    metrics.added(permit.operation.protocol, performance.now() - startedAt);
    return permit;
  };
  const refused = (operation: Operation, error: unknown): void => {
    if (held.has(operation)) return;
    count(error instanceof GatewayError && error.code === 'DENIED' ? 'deny' : 'refused', operation);
  };
  return {
    preview: (operation) => gate.preview(operation),
    exceed: (permit, excess, context) => gate.exceed(permit, excess, context),
    confirm: (permit, rows, context) => gate.confirm(permit, rows, context),
    admit: (operation, context) => {
      const startedAt = performance.now();
      noticed(operation);
      for (const { kind } of operation.predicates ?? []) metrics.predicate(operation.connection, kind);
      try {
        const admitted = gate.admit(operation, context);
        if (!(admitted instanceof Promise)) return passed(admitted, startedAt);
        return admitted.then(
          (permit) => passed(permit, startedAt),
          (error: unknown) => {
            refused(operation, error);
            throw error;
          },
        );
      } catch (error) {
        refused(operation, error);
        throw error;
      }
    },
  };
}

/** How a hold ended, in the words of the metrics. */
export const endOf = (state: string): string => (state === 'done' || state === 'unknown' ? 'approved' : state);
