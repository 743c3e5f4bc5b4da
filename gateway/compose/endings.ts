/** Sessions that an admin ends on a page: on record, then ended, by whichever gateway has them. */
import { randomUUID } from 'node:crypto';
import type { Audit } from '../audit/entry.ts';
import { systemClock } from '../holds/clock.ts';
import type { SessionRegistry } from '../listeners/listener.ts';
import { principalKey } from '../operation.ts';
import { createEndRelay, type Ended, type EndRelay, type EndWish } from '../state/endings.ts';
import type { Say } from './log.ts';
import type { Shared } from './shared.ts';

export type EndingsDeps = {
  readonly gateway: string;
  readonly registry: Pick<SessionRegistry, 'get'>;
  readonly audit: Pick<Audit, 'commit'>;
  readonly shared: Pick<Shared, 'store' | 'subscriber'>;
  readonly log: Say;
};

export function createEndings({ gateway, registry, audit, shared, log }: EndingsDeps): EndRelay {
  const endOwn = async ({ session, by, name, reason }: EndWish): Promise<Ended> => {
    const live = registry.get(session);
    if (!live) return 'gone';
    const { principal, connection } = live;
    const whose = { session, principal: principalKey(principal), connection };
    try {
      await audit.commit({ kind: 'kill', ...whose, by, name, reason, counted: true });
    } catch (cause) {
      log('the end of a session could not be recorded, and was refused', { reason: String(cause) });
      return 'unrecorded';
    }
    live.end(`${name} ended this session: ${reason}`);
    return 'ended';
  };
  const { store, subscriber } = shared;
  return createEndRelay({ store, subscriber, clock: systemClock, newId: randomUUID, gateway, endOwn, log });
}
