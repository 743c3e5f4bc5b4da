/** A share of the corpus against the gateway: files of their own run side by side. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ATTACKS } from './attacks/all.ts';
import { Harness, type Played } from './harness.ts';
import { openRoute, type Route } from './route.ts';

const SHARES = 3;
const TECHNIQUES = [...new Set(ATTACKS.map(({ technique }) => technique))];

export const described = ({ attack, verdict, found, evidence, spoilt }: Played): string =>
  `${attack.technique}, ${attack.id}: ${verdict}${spoilt ? ', left the lab changed' : ''} ${found.map(({ canary, length, how }) => `${canary.where} ${length} by ${how}`)} ${evidence.errors.map(({ M }) => M)}`;

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
        const wrong: string[] = [];
        for (const attack of ATTACKS.filter((one) => one.technique === technique)) {
          const played = await harness.play(attack);
          const counted = attack.oracle || attack.race;
          const leaked = !counted && (played.verdict === 'recovered' || played.verdict === 'partial');
          if (leaked || played.verdict === 'silent' || played.spoilt) wrong.push(described(played));
        }
        assert.deepEqual(wrong, []);
      });
    }
  });
}
