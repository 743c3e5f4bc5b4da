/** What has to be known before the next verdict: names, settings and catalogue as they will be when it runs. */
import type { GatewayError } from '../../../errors.ts';
import { readFrame } from './probe.ts';
import type { Stay } from './stay.ts';

export class Learning {
  readonly #stay: Stay;
  #asking = false;
  #cancelled: GatewayError | undefined;

  constructor(stay: Stay) {
    this.#stay = stay;
  }

  get done(): boolean {
    const stay = this.#stay;
    return !stay.unsettled && (!stay.frame.stale || stay.status === 'E') && !stay.refreshing;
  }

  /** Ask the target for what is not known. Resolves to what the client cancelled the statement at hand with meanwhile. */
  async learn(): Promise<GatewayError | undefined> {
    const stay = this.#stay;
    this.#asking = true;
    stay.unsettled = false;
    if (stay.refreshing) await stay.refreshing;
    if (stay.frame.stale && stay.status !== 'E') await readFrame(stay);
    const cancelled = this.#cancelled;
    this.#asking = false;
    this.#cancelled = undefined;
    return cancelled;
  }

  /** A cancel is for what the client waits for; while nothing of that is upstream, it is this. */
  cancel(error: GatewayError): void {
    if (this.#asking) this.#cancelled ??= error;
  }
}
