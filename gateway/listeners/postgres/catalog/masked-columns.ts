/** Masked columns by snapshot and profile, worked out once for each pair that is in use. */
import type { Profile } from '../../../masking/profile.ts';
import type { Masked } from '../lineage/plan.ts';
import { maskedOf } from './masked.ts';
import type { Snapshot } from './snapshot.ts';

/** What a statement is held against for somebody with masked columns. */
export type Guard = { readonly masked: Masked; readonly predicates: Profile['predicates'] };

export class MaskedColumns {
  readonly #bySnapshot = new WeakMap<Snapshot, Map<string, Masked>>();

  of(snapshot: Snapshot, profile: Profile): Masked {
    const byProfile = this.#bySnapshot.get(snapshot) ?? new Map<string, Masked>();
    this.#bySnapshot.set(snapshot, byProfile);
    let masked = byProfile.get(profile.id);
    if (!masked) {
      masked = maskedOf(snapshot, profile);
      byProfile.set(profile.id, masked);
    }
    return masked;
  }

  /** Undefined: nothing is masked by column for this principal. */
  guardOf(snapshot: Snapshot, profile: Profile | undefined): Guard | undefined {
    return profile?.hasColumns ? { masked: this.of(snapshot, profile), predicates: profile.predicates } : undefined;
  }
}
