/** A share of the corpus against the gateway: files of their own run side by side. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Attack } from './attack.ts';
import { ATTACKS } from './attacks/all.ts';
import { Harness, type Played } from './harness.ts';
import { openRoute, type Route } from './route.ts';

const SHARES = 3;
/** Oracles are counted, not stopped: of them one in so many shows that they get an answer and leave the lab as it was. */
const ORACLES = 4;
const TECHNIQUES = [...new Set(ATTACKS.map(({ technique }) => technique))];

export const described = ({ attack, verdict, found, evidence, spoilt }: Played): string =>
  `${attack.technique}, ${attack.id}: ${verdict}${spoilt ? ', left the lab changed' : ''} ${found.map(({ canary, length, how }) => `${canary.where} ${length} by ${how}`)} ${evidence.errors.map(({ M }) => M)}`;

/** Plays each through the gateway; describes those that gave a value away, got no answer, or left the lab changed. */
export async function leaked(harness: Harness, attacks: readonly Attack[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const attack of attacks) {
    const played = await harness.play(attack);
    const counted = attack.oracle || attack.race;
    const gave = !counted && (played.verdict === 'recovered' || played.verdict === 'partial');
    if (gave || played.verdict === 'silent' || played.spoilt) wrong.push(described(played));
  }
  return wrong;
}

/** Every third technique, from this one on. */
export function attacked(share: number): void {
  describe('masked values through the gateway', () => {
    let route: Route;
    let harness: Harness;
    before(async () => {
      route = await openRoute('gateway');
      harness = await Harness.open(route);
    });
    after(async () => {
      await harness?.close();
      await route?.close();
    });

    for (const technique of TECHNIQUES.filter((_, at) => at % SHARES === share)) {
      it(`are not given away by ${technique}`, async () => {
        const all = ATTACKS.filter((one) => one.technique === technique);
        const attacks = all.filter(({ oracle }, at) => !oracle || at % ORACLES === 0);
        assert.deepEqual(await leaked(harness, attacks), []);
      });
    }
  });
}
