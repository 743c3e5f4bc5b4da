/** Plans at the web door: who asks, on which connection, and what their statements would do. */

import { GatewayError } from '../errors.ts';
import type { Plans } from '../holds/plans.ts';
import type { GatewayAuthenticator } from '../identity/authenticator.ts';
import { type Principal, principalKey } from '../operation.ts';
import type { PlanDoor } from '../web/plans.ts';
import type { Door } from './postgres.ts';

export function createPlanDoor({
  plans,
  door,
  authenticator,
  closed,
}: {
  readonly plans: Plans;
  readonly door: () => Pick<Door, 'planned'>;
  readonly authenticator: Pick<GatewayAuthenticator, 'authenticate'>;
  /** Why nothing may pass now; undefined when all is well. */
  readonly closed: () => string | undefined;
}): PlanDoor {
  const known = async (token: string): Promise<{ principal: Principal; endsAt: number }> => {
    const live = await authenticator.authenticate(token);
    try {
      return { principal: live.principal, endsAt: live.expiresAt() };
    } finally {
      live.release();
    }
  };
  return {
    propose: async (token, { connection, statements, reason }) => {
      const { principal, endsAt } = await known(token);
      const why = closed();
      if (why !== undefined) throw new GatewayError('UNAVAILABLE', why);
      const { operations, frame } = await door().planned(connection, principal, statements);
      const [first, ...more] = operations;
      if (!first) throw new GatewayError('CONFIG', 'the plan has no statements');
      const status = await plans.propose({ operations: [first, ...more], frame, reason, credentialEndsAt: endsAt });
      return status ?? { status: 'approved', statements: statements.length, asks: 0, used: 0 };
    },
    status: async (token, id) => {
      const { principal } = await known(token);
      try {
        return await plans.status(id, principalKey(principal));
      } catch (cause) {
        if (cause instanceof GatewayError) throw cause;
        throw new GatewayError('UNAVAILABLE', 'Redis is not reachable, so nobody can say', { cause });
      }
    },
  };
}
