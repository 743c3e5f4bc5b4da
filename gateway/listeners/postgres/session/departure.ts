/** How a stay ends: the farewell, what still runs heard out, every permit settled, both sockets closed. */
import type { Duplex } from 'node:stream';
import type { GatewayError } from '../../../errors.ts';
import { copyFail, terminate } from '../builders.ts';
import { farewell } from './refusal.ts';
import type { Stay } from './stay.ts';

const GOODBYE_MS = 1_000; // for a target that takes no more bytes
const FAREWELL_MS = 5_000; // for a client that does not read why it ended

export type DepartureDeps = {
  readonly stay: Stay;
  readonly client: Duplex;
  readonly target: Duplex;
  /** Whether all that the client sent, and so all that was forwarded, are whole messages. */
  readonly wholeMessages: () => boolean;
  /** Stop listening. */
  readonly leave: () => void;
};

export class Departure {
  readonly done: Promise<{ readonly reason: string }>;
  readonly #deps: DepartureDeps;
  #resolve: (end: { reason: string }) => void = () => undefined;
  #reason = '';
  #lingerTimer: NodeJS.Timeout | undefined;
  /** Everything is settled; only sockets are still closing. */
  over = false;

  constructor(deps: DepartureDeps) {
    this.#deps = deps;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Nothing goes upstream any more; the client gets `error` as a FATAL, where it can still be said. */
  begin(reason: string, error: GatewayError | undefined, clientGone: boolean): void {
    const { stay, client, target } = this.#deps;
    stay.over = true;
    this.#reason = reason;
    if (error && !stay.replies.midFrame) stay.toClient.add(farewell(error));
    stay.toClient.flush();
    if (clientGone) client.destroy();
    else client.end();
    if (!client.destroyed) {
      const hard = setTimeout(() => client.destroy(), Math.min(stay.limits.lingerMs, FAREWELL_MS));
      client.once('close', () => clearTimeout(hard));
      client.resume();
    }
    // In the middle of a message nothing can be said: the target sees a broken connection, and undoes the COPY.
    if (stay.copying && !this.#deps.wholeMessages()) {
      this.#finish(false);
      return;
    }
    if (stay.copying) stay.toTarget.add(copyFail('the client went away'));
    stay.copying = undefined;
    stay.toTarget.flush();
    target.resume();
    this.#lingerTimer = setTimeout(() => this.#finish(false), stay.limits.lingerMs);
  }

  /** What runs may still report its outcome; when nothing is owed, or the target is gone, it is over. */
  look(targetGone: boolean): void {
    if (targetGone || !this.#outcomesOwed()) this.#finish(!targetGone);
  }

  #outcomesOwed(): boolean {
    const { stay } = this.#deps;
    if (stay.finished.length > 0 && !stay.replies.empty) return true; // else no Sync is on its way to commit it
    for (const _running of stay.replies.running()) return true;
    return false;
  }

  #finish(targetListens: boolean): void {
    if (this.over) return;
    this.over = true;
    const { stay, target } = this.#deps;
    clearTimeout(this.#lingerTimer);
    const why = `${this.#reason} before the target reported an outcome`;
    for (const run of stay.replies.running()) run.unknown(why);
    for (const run of stay.finished) run.unknown(why);
    for (const [, { run, state }] of stay.names.portals.entries())
      run?.done(state === 'suspended' ? 'SUSPENDED' : 'BIND');
    stay.replies.abandon();
    this.#deps.leave();
    target.on('error', () => undefined);
    target.resume();
    const closed = () => {
      target.destroy();
      this.#resolve({ reason: this.#reason });
    };
    if (!targetListens || !target.writable || !this.#deps.wholeMessages()) {
      closed();
      return;
    }
    const late = setTimeout(closed, GOODBYE_MS);
    target.end(terminate(), () => {
      clearTimeout(late);
      closed();
    });
  }
}
