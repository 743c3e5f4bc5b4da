/** Whatever happens to a hold, in whatever order: one end, on record; sent at most once, and only with every vote there. */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { holdProperty } from '../../test/support/hold-model-run.ts';

const SEED = 20_261_123;

describe('a hold, whatever happens in whatever order', () => {
  it('ends once and on record, is sent at most once, and only when everybody asked has said yes', async () => {
    await fc.assert(holdProperty(40, {}), { seed: SEED, numRuns: 120, endOnFailure: true });
  });
});
