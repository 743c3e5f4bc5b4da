/** What a dead gateway left open: its end is put on record by one that lives, once. Its cards are the bots' to settle. */
import type { Card } from '../../queue/cards.ts';
import type { LeaseWatch } from '../../queue/leases.ts';
import type { Audit } from '../audit/entry.ts';
import { principalKey } from '../operation.ts';
import type { Clock } from './clock.ts';

const LOOK_MS = 5_000;

export type HeirDeps = {
  /** This gateway's own id: nobody inherits from themselves. */
  readonly gateway: string;
  readonly leases: Pick<LeaseWatch, 'dead' | 'claim' | 'recorded'>;
  readonly audit: Audit;
  readonly clock: Clock;
  /** Before the end of this one goes on record; where it fails, all of it is tried again. */
  readonly inherit: (card: Card) => Promise<void>;
  readonly onTrouble: (error: unknown) => void;
  /** For tests. */
  readonly lookMs?: number;
};

/** Looks for dead gateways until it is stopped. */
export function watchDeadGateways(deps: HeirDeps): { stop(): void } {
  let stopped = false;
  let cancel = () => {};
  const again = () => {
    cancel = deps.clock.after(deps.lookMs ?? LOOK_MS, () => {
      inherit(deps)
        .catch(deps.onTrouble)
        .finally(() => {
          if (!stopped) again();
        });
    });
  };
  again();
  return {
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}

async function inherit({ gateway, leases, audit, clock, inherit: take }: HeirDeps): Promise<void> {
  for (const dead of await leases.dead(clock.now())) {
    if (dead.gateway === gateway) continue;
    for (const card of dead.cards) {
      if (card.collects) {
        await leases.recorded(dead.gateway, card.hold); // it stood for holds that have ends of their own
        continue;
      }
      if (!(await leases.claim(dead.gateway, card.hold))) continue;
      await take(card);
      await audit.commit({ ...endOf(card), of: dead.gateway, inherited: true });
      await leases.recorded(dead.gateway, card.hold);
    }
  }
}

/** `lost` only of what was never released; what was released has been settled, and its outcome nobody knows. */
function endOf({ hold, state, connection, requester, settled, outcome }: Card) {
  const about = { hold, connection, principal: principalKey(requester) };
  if (state === 'unknown') return { kind: 'outcome', ...about, outcome: 'unknown', reason: outcome?.text } as const;
  return { kind: 'hold.settled', ...about, state, reason: settled?.reason } as const;
}
