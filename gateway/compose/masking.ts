/** What is masked for whom: the masking room tied to the configuration in force, for every listener's sessions. */
import { hkdfSync } from 'node:crypto';
import { signingKey } from '../../queue/sign.ts';
import type { Config } from '../config.ts';
import type { Masker, Tally } from '../listeners/postgres/mask/rows.ts';
import { type Masking, UNMASKED } from '../listeners/postgres/session/shield.ts';
import { createDetection } from '../masking/detection.ts';
import { createFormatter, type Formatter } from '../masking/formats.ts';
import { Pace } from '../masking/pace.ts';
import type { Profile } from '../masking/profile.ts';
import { createProfiles, type Profiles } from '../masking/profiles.ts';
import { type Principal, principalKey } from '../operation.ts';

export type MaskingDeps = {
  /** Values were masked in results of a connection, by why. */
  readonly onMasked: (connection: string, tally: Tally) => void;
};

/** One of a process: profiles and what they mask with are shared by its sessions. */
export class MaskingBook {
  readonly #deps: MaskingDeps;
  readonly #pace = new Pace(() => performance.now());
  #profiles: Profiles;
  #formatter: Formatter;
  /** By profile: a new configuration makes new ones. */
  #maskers = new WeakMap<Profile, Masker>();
  #known = new WeakMap<Principal, Map<string, Masking>>();

  constructor(config: Config, deps: MaskingDeps) {
    this.#deps = deps;
    this.#formatter = formatterOf(config);
    this.#profiles = createProfiles(config);
  }

  /** Take up a new configuration: it holds for the next statement of every session. */
  update(config: Config): void {
    this.#formatter = formatterOf(config);
    this.#profiles = createProfiles(config);
    this.#maskers = new WeakMap();
    this.#known = new WeakMap();
  }

  /** The same object until the configuration changes, for the same connection and principal. */
  readonly maskingOf = (connection: string, principal: Principal): Masking => {
    const byConnection = this.#known.get(principal) ?? new Map<string, Masking>();
    this.#known.set(principal, byConnection);
    let masking = byConnection.get(connection);
    if (!masking) {
      masking = this.#make(connection, principal);
      byConnection.set(connection, masking);
    }
    return masking;
  };

  #make(connection: string, principal: Principal): Masking {
    const profile = this.#profiles.profileFor(connection, principal);
    if (!profile) return UNMASKED;
    const who = `${connection} ${principalKey(principal)}`;
    return {
      profile,
      masker: this.#maskerOf(profile),
      mayAsk: (uses) => this.#pace.take(who, uses),
      onMasked: (tally) => this.#deps.onMasked(connection, tally),
    };
  }

  #maskerOf(profile: Profile): Masker {
    let masker = this.#maskers.get(profile);
    if (!masker) {
      const formatter = this.#formatter;
      masker = {
        mask: (format, typeOid, wire, value) => formatter.maskTyped(format, typeOid, wire, value),
        scanner: profile.detection && createDetection(profile.detection, formatter),
      };
      this.#maskers.set(profile, masker);
    }
    return masker;
  }
}

/**
 * Equal values stay equal under `hash`, on every connection of every gateway with the same `keys.masking`; without one, of
 * this gateway alone. Nobody without the key can try values out.
 */
const formatterOf = ({ keys }: Pick<Config, 'keys'>): Formatter =>
  createFormatter(
    Buffer.from(hkdfSync('sha256', (keys.masking ?? keys.own).reveal(), '', 'countersign masking hash', 32)),
  );

/** Said where several gateways would give the same value different hashes; undefined where they would not. */
export function hashesDiffer({ keys, masking }: Pick<Config, 'keys' | 'masking'>): string | undefined {
  const own = signingKey(keys.own.reveal()).public;
  const alone = keys.gateways.every((key) => key === own);
  if (keys.masking || alone || masking.every(({ as }) => as.kind !== 'hash')) return undefined;
  return 'masking as hash: every gateway hashes with its own key, so that equal values differ from one to the other; give all of them the same keys.masking (countersign keygen)';
}
