/** What any gateway may take is done by one of them, once: claimed in Redis before, its answer kept there after. */
import { type Answer, answerSchema } from '../../queue/asks.ts';
import { GatewayError } from '../errors.ts';
import type { Clock } from '../holds/clock.ts';
import type { SignedStore } from '../state/signed.ts';
import type { Said } from './asks.ts';

const CLAIM_MS = 3_600_000; // far longer than any queue repeats a job
const WAIT_MS = 20_000;
const LOOK_MS = 200;

const claimKey = (ask: string): string => `countersign:ask:${ask}`;
const answerKey = (ask: string): string => `countersign:answer:${ask}`;

/** Do it, unless it was done or begun already: then what came of that is the answer. */
export type Once = (ask: string, work: () => Promise<Answer>, say: (said: Said) => Answer) => Promise<Answer>;

export function onceIn(store: SignedStore, gateway: string, clock: Clock): Once {
  const read = (ask: string) => store.read(answerKey(ask), answerSchema);

  const others = async (ask: string, say: (said: Said) => Answer): Promise<Answer> => {
    const until = clock.monotonic() + WAIT_MS;
    do {
      const answer = await read(ask);
      if (answer) return { ...answer, gateway };
      await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve));
    } while (clock.monotonic() < until);
    const text = 'Another gateway took this and did not say what came of it. Look before you ask again.';
    return say({ ok: false, text });
  };

  return async (ask, work, say) => {
    let mine: boolean;
    try {
      mine = (await store.redis.set(claimKey(ask), gateway, 'PX', CLAIM_MS, 'NX')) === 'OK';
      if (!mine) return await others(ask, say);
    } catch (cause) {
      if (cause instanceof GatewayError) throw cause;
      return say({ ok: false, text: 'Redis does not answer: nothing was changed. Ask again in a moment.' });
    }
    const answer = await work();
    await store.write(answerKey(ask), answer, { ttlMs: CLAIM_MS }).catch(() => {}); // whoever repeats it is told less
    return answer;
  };
}
