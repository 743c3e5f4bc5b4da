/** The last fifty rule sets, each signed under its own version in Redis: what a change can be taken back to. */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Rule } from '../policy/policy.ts';
import type { SignedStore } from './signed.ts';
import type { HistoryRecord } from './versioned.ts';

export const HISTORY_KEY = 'countersign:rules:history'; // hash: version → record, sealed for its own field
export const KEPT = 50;
const MOST_RULES = 1_000;

/** How a version came about, beside who made it. */
export type Made = {
  /** Slack user ids of those who had to agree, where somebody had to. */
  readonly approvedBy: readonly string[];
  /** The ask's id; absent where it came from a terminal. */
  readonly ask?: string | undefined;
};

export type KeptSet = Made & {
  readonly v: 1;
  readonly version: number;
  readonly rules: readonly Rule[];
  readonly by: string;
  readonly at: number;
};

const context = (version: number): string => `${HISTORY_KEY}:${version}`;

/** The record of a new version, to be written together with it. */
export const recordOf = (store: SignedStore, set: KeptSet): HistoryRecord => ({
  key: HISTORY_KEY,
  kept: KEPT,
  sealed: store.sealed(set, context(set.version)),
});

export class RulesHistory {
  readonly #store: SignedStore;
  readonly #schema: z.ZodType<KeptSet>;

  /** `rule`: the policy room's schema of one rule. */
  constructor(store: SignedStore, rule: z.ZodType<Rule>) {
    this.#store = store;
    this.#schema = z.strictObject({
      v: z.literal(1),
      version: z.number().int().min(1),
      rules: z.array(rule).max(MOST_RULES),
      by: z.string().max(64),
      at: z.number(),
      approvedBy: z.array(z.string().max(64)).max(50),
      ask: z.string().max(120).optional(),
    });
  }

  /**
   * The rules as that version had them; before the first there were none. Undefined where it is no longer kept.
   * @throws GatewayError FORGED | UNAVAILABLE
   */
  async rules(version: number): Promise<readonly Rule[] | undefined> {
    return version === 0 ? [] : (await this.read(version))?.rules;
  }

  /** @throws GatewayError FORGED | UNAVAILABLE */
  async read(version: number): Promise<KeptSet | undefined> {
    const raw = await this.#asked((redis) => redis.hget(HISTORY_KEY, String(version)));
    return raw === null ? undefined : this.#store.open(raw, context(version), this.#schema);
  }

  /** The newest first, at most `most`; what was not written by a gateway is left out. @throws GatewayError UNAVAILABLE */
  async recent(most: number): Promise<KeptSet[]> {
    const versions = (await this.#asked((redis) => redis.hkeys(HISTORY_KEY)))
      .map(Number)
      .filter((version) => Number.isSafeInteger(version) && version > 0)
      .sort((a, b) => b - a)
      .slice(0, most);
    const found = await Promise.all(versions.map((version) => this.read(version).catch(unlessGone)));
    return found.filter((record) => record !== undefined);
  }

  async #asked<T>(ask: (redis: SignedStore['redis']) => Promise<T>): Promise<T> {
    try {
      return await ask(this.#store.redis);
    } catch (cause) {
      throw new GatewayError('UNAVAILABLE', 'Redis is not reachable: earlier rules cannot be read', { cause });
    }
  }
}

function unlessGone(error: unknown): undefined {
  if (error instanceof GatewayError && error.code === 'FORGED') return undefined;
  throw error;
}
