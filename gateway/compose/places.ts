/** Limits on open holds that count for all processes of one gateway; alone, the holds count for themselves. */
import type { Audit } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { Holds } from '../holds/broker.ts';
import { untouched } from '../holds/words.ts';
import type { Places } from '../listeners/listener.ts';
import { type Operation, principalKey } from '../operation.ts';

/** `holds` as they are without `places`; else each has a place from before it is opened until it ends or runs. */
export function counted(
  holds: Pick<Holds, 'open'>,
  deps: {
    readonly places: Places | undefined;
    readonly limits: () => { readonly openPerPrincipal: number; readonly openPerConnection: number };
    readonly audit: Audit;
  },
): Pick<Holds, 'open'> {
  const { places } = deps;
  if (!places) return holds;
  return {
    open: async (operation, verdict, context) => {
      const { openPerPrincipal, openPerConnection } = deps.limits();
      const { principal, connection } = operation;
      const here = `holds on ${connection}`;
      const taken = await places.take([
        { key: `holds of ${principalKey(principal)}`, most: openPerPrincipal },
        { key: here, most: openPerConnection },
      ]);
      if (typeof taken !== 'function') {
        const whose = taken.full === here ? connection : principal.name;
        throw refused(operation, `${whose} has ${taken.count} operations waiting for approval already`, deps.audit);
      }
      try {
        return await holds.open(operation, verdict, context);
      } finally {
        taken();
      }
    },
  };
}

/** @throws GatewayError AUDIT where not even the refusal can be recorded */
function refused(operation: Operation, why: string, audit: Audit): GatewayError {
  const { id, session, connection, principal } = operation;
  const who = { operation: id, session, connection, principal: principalKey(principal) };
  audit.append({ kind: 'operation', ...who, verdict: 'refused', code: 'LIMIT', why });
  return new GatewayError('LIMIT', why, {
    hint: `Wait until those are decided, or withdraw them. ${untouched(operation)}`,
  });
}
