/**
 * Sessions whose recordings must not go, however old: said in Redis, signed, and by a mark beside the recording, so that
 * neither an emptied Redis nor a lost mark lets go of it alone.
 */
import { z } from 'zod';
import type { SignedStore } from '../state/signed.ts';
import { HOLD, type Store } from './store.ts';
import { RECORDING_FILE } from './summary.ts';

const holdSchema = z.strictObject({
  v: z.literal(1),
  session: z.uuid(),
  file: z.string().regex(RECORDING_FILE),
  why: z.string().min(1).max(500),
  by: z.string().max(100),
  at: z.number(),
});

export type LegalHold = z.infer<typeof holdSchema>;

const keyOf = (session: string) => `countersign:legal-hold:${session}`;

export class LegalHolds {
  readonly #store: SignedStore;

  constructor(store: SignedStore) {
    this.#store = store;
  }

  /** What cannot be verified holds as well: doubt removes nothing. @throws while Redis is away */
  async held(session: string): Promise<boolean> {
    return (await this.#store.redis.exists(keyOf(session))) === 1;
  }

  /** @throws GatewayError FORGED, or while Redis is away */
  read(session: string): Promise<LegalHold | undefined> {
    return this.#store.read(keyOf(session), holdSchema);
  }

  /** Holds once it resolves. `places`: wherever its recording may lie. */
  async hold(hold: LegalHold, places: readonly Pick<Store, 'putText'>[]): Promise<void> {
    await this.#store.write(keyOf(hold.session), hold);
    for (const place of places) await place.putText(`${hold.file}${HOLD}`, `${JSON.stringify(hold)}\n`);
  }

  /** Until all of it is done, it holds. */
  async release(session: string, file: string, places: readonly Pick<Store, 'remove'>[]): Promise<void> {
    for (const place of places) await place.remove(`${file}${HOLD}`);
    await this.#store.redis.del(keyOf(session));
  }
}
