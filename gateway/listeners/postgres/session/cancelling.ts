/** Cancelling what runs on the target. A late cancel must never hit the next statement. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Upstream } from '../types.ts';
import type { Stay } from './stay.ts';

const AGAIN_MS = 250; // a cancel that overtakes its statement does nothing

/** Cancel if anything runs; nothing goes upstream until the target has dealt with it. Never rejects. */
export async function cancelRunning(stay: Stay, upstream: Upstream): Promise<void> {
  if (!stay.cancelling && !stay.replies.running().next().done) {
    stay.cancelling = upstream
      .cancel()
      .catch(() => undefined)
      .then(() => {
        stay.cancelling = undefined;
      });
  }
  await stay.cancelling;
}

/** The session has ended: cancel what is left of it until it is `over`. */
export async function cancelUntil(over: () => boolean, stay: Stay, upstream: Upstream): Promise<void> {
  while (!over()) {
    await cancelRunning(stay, upstream);
    await pause(AGAIN_MS, undefined, { ref: false });
  }
}
