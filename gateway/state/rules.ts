/** The rules made in Slack, signed and versioned in Redis. */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Rule } from '../policy/policy.ts';
import { type Made, recordOf } from './rules-history.ts';
import type { SignedStore } from './signed.ts';
import { type VersionedDeps, VersionedState } from './versioned.ts';

export const RULES_KEY = 'countersign:rules';
const MOST_RULES = 1_000; // as many as anybody reviews; long ones reach the megabyte that is ever sealed before

export type RuleSet = {
  readonly v: 1;
  readonly version: number;
  readonly rules: readonly Rule[];
  /** Who made this version (Slack user id), and when. */
  readonly by: string;
  readonly at: number;
};

export type RuleStoreDeps = Omit<VersionedDeps<RuleSet>, 'key' | 'noun' | 'schema' | 'empty'> & {
  /** The policy room's schema of one rule. */
  readonly rule: z.ZodType<Rule>;
};

export class RuleStore {
  readonly #state: VersionedState<RuleSet>;
  readonly #store: SignedStore;

  constructor({ rule, ...deps }: RuleStoreDeps) {
    this.#store = deps.store;
    const schema: z.ZodType<RuleSet> = z.strictObject({
      v: z.literal(1),
      version: z.number().int().min(1),
      rules: z.array(rule).max(MOST_RULES),
      by: z.string().max(64),
      at: z.number(),
    });
    const empty: RuleSet = { v: 1, version: 0, rules: [], by: '', at: 0 };
    this.#state = new VersionedState({ ...deps, key: RULES_KEY, noun: 'the rules', schema, empty });
  }

  /** Is there a verified set, and was Redis there since the start? Until then nothing is admitted. */
  ready(): boolean {
    return this.#state.ready();
  }

  trouble(): string | undefined {
    return this.#state.trouble();
  }

  current(): RuleSet {
    return this.#state.current();
  }

  /**
   * Take over what the file remembers, look at Redis once, then every second.
   * @throws GatewayError CONFIG when there is a file and it cannot be read: without its memory a restart could be fooled.
   */
  start(): Promise<void> {
    return this.#state.start();
  }

  stop(): void {
    this.#state.stop();
  }

  /** Look at Redis now. Never rejects: trouble is reported and the last verified set stays. */
  look(): Promise<void> {
    return this.#state.look();
  }

  /**
   * Make a new version from the newest; resolves with it once it is in Redis and on this gateway. `change` may be called
   * again, when others wrote meanwhile; what it throws is thrown.
   * @throws GatewayError FORGED | UNAVAILABLE | LIMIT | CONFIG (a rule that does not fit)
   */
  write(
    change: (rules: readonly Rule[]) => readonly Rule[],
    by: string,
    made: Made = { approvedBy: [] },
  ): Promise<RuleSet> {
    const next = ({ rules: now }: RuleSet) => {
      const rules = [...change(now)];
      if (rules.length > MOST_RULES) {
        throw new GatewayError('LIMIT', `more than ${MOST_RULES} rules; put lasting ones into the configuration file`);
      }
      return { rules };
    };
    return this.#state.write(next, by, (set) => recordOf(this.#store, { ...set, ...made }));
  }
}
