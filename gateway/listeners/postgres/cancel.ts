/** Our own cancel keys: random, carrying the gateway that owns them, forgotten with their session. */
import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { GatewayError } from '../../errors.ts';

/** What a CancelRequest with a key of ours does; the requester's connection is closed when it is done. */
export type OnCancel = () => void | Promise<void>;

type CancelKey = {
  /** 15 bits of the owning gateway's id, then 16 random ones: positive, as a process id is. */
  readonly pid: number;
  readonly secret: Buffer;
  release(): void;
};

type CancelKeysOptions = {
  readonly gatewayId: string;
  /** Carries a key that is not ours towards its owner, which calls `handleOwn`. */
  readonly forwardCancel?: (pid: number, secret: Buffer) => void | Promise<void>;
};

const SLOT_BITS = 16;
const MAX_KEYS = 1 << 15; // half of the slots: a free one is found in two tries on average
const DECOY = randomBytes(32); // compared with where there is no such key, so that both answers take the same time

export class CancelKeys {
  readonly #keys = new Map<number, { readonly secret: Buffer; readonly onCancel: OnCancel }>();
  readonly #owner: number;
  readonly #forward: CancelKeysOptions['forwardCancel'];

  constructor({ gatewayId, forwardCancel }: CancelKeysOptions) {
    this.#owner = createHash('sha256').update(gatewayId).digest().readUInt16BE(0) >>> 1;
    this.#forward = forwardCancel;
  }

  get size(): number {
    return this.#keys.size;
  }

  /**
   * @param secretBytes 4, or 32 where the client speaks protocol 3.2
   * @throws GatewayError LIMIT when there are as many keys as one gateway keeps.
   */
  register(onCancel: OnCancel, secretBytes = 4): CancelKey {
    if (this.#keys.size >= MAX_KEYS) throw new GatewayError('LIMIT', `this gateway has ${MAX_KEYS} sessions already`);
    let pid: number;
    do pid = (this.#owner << SLOT_BITS) | randomInt(1 << SLOT_BITS);
    while (pid === 0 || this.#keys.has(pid));
    const entry = { secret: randomBytes(secretBytes), onCancel };
    this.#keys.set(pid, entry);
    return {
      pid,
      secret: entry.secret,
      release: () => {
        if (this.#keys.get(pid) === entry) this.#keys.delete(pid);
      },
    };
  }

  /** Was this given to a session here? */
  has(pid: number): boolean {
    return this.#keys.has(pid);
  }

  /** A CancelRequest of anyone at the door. A key nobody has does nothing, and nobody is told. */
  async handle(pid: number, secret: Buffer): Promise<void> {
    if (pid >>> SLOT_BITS === this.#owner) await this.handleOwn(pid, secret);
    else await this.#forward?.(pid, secret);
  }

  /** The same for one that another gateway passed on: it goes no further. True when it was ours. */
  async handleOwn(pid: number, secret: Buffer): Promise<boolean> {
    const entry = this.#keys.get(pid);
    const expected = entry?.secret ?? DECOY.subarray(0, secret.length);
    const fits = expected.length === secret.length && timingSafeEqual(expected, secret);
    if (!entry || !fits) return false;
    await entry.onCancel();
    return true;
  }
}
