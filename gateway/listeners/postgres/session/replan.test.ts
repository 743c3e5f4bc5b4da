/** A catalogue that changes while a statement runs: what its rows are shown as. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Profile } from '../../../masking/profile.ts';
import { type CatalogDescription, describedCatalog } from '../catalog/describe.ts';
import { createInspector } from '../inspect.ts';
import type { Column } from '../messages.ts';
import { Shield, showing, UNMASKED } from './shield.ts';

const profile: Profile = {
  id: 'p',
  maskOf: (_, table, column) => (table === 'people' && column === 'ssn' ? { kind: 'redact' } : undefined),
  hasColumns: true,
  detection: undefined,
  predicates: 'audit',
};
const context = { frame: 'f', searchPath: ['public'], profile };
const people = { 'public.people': ['id', 'ssn'] };
const before = describedCatalog({
  tables: people,
  views: { 'public.v': { columns: ['id'], reads: ['public.people'] } },
});
let snapshot = before;
const inspector = createInspector({
  serverMajor: 18,
  catalog: {
    ageMs: () => 0,
    current: () => ({ snapshot, fresh: true }),
    refresh: async () => snapshot,
    close: async () => {},
  },
  maskLiteral: (text) => text,
  cacheEntries: 100,
  workerDeadlineMs: 5_000,
});
after(() => inspector.close());

const computed: Column = { tableOid: 0, column: 0, typeOid: 25, format: 0 } as Column;

/** Is a computed column of the text masked, when the catalogue becomes `then` between its verdict and its rows? */
async function masks(text: string, then: CatalogDescription, of: 'itself' | 'inner' = 'itself'): Promise<boolean> {
  snapshot = before;
  const [facts = assert.fail()] = await inspector.inspect(text, context);
  const shown = of === 'inner' && facts.session.kind === 'prepare' ? facts.session.inner : facts;
  const { guarded = assert.fail() } = shown;
  const shield = new Shield(() => ({ ...UNMASKED, profile }), inspector);
  assert.equal(shield.rows({ guarded }, [computed], showing(false)), undefined, 'nothing is masked before the change');
  snapshot = describedCatalog(then);
  return shield.rows({ guarded }, [computed], showing(false)) !== undefined;
}

describe('rows of a statement that ran while the catalogue changed', () => {
  const another = {
    tables: { ...people, 'public.another': ['x'] },
    views: { 'public.v': { columns: ['id'], reads: ['public.people'] } },
  };

  it('are shown as before, where the statement comes out the same', async () => {
    assert.equal(await masks('SELECT count(*) FROM people', another), false);
    assert.equal(await masks('SELECT $1::int AS n', another), false);
    assert.equal(await masks('PREPARE q AS SELECT count(*) FROM people', another, 'inner'), false);
  });

  it('are masked, where it may let through something else', async () => {
    assert.equal(await masks('SELECT max(id) FROM v', { tables: people }), true);
    const joined = { columns: ['id'], reads: ['public.people', 'public.orders'] };
    const now = { tables: { ...people, 'public.orders': ['id'] }, views: { 'public.v': joined } };
    assert.equal(await masks('SELECT max(id) FROM v', now), true);
  });

  it('are masked, where the text is too long to be read again at once', async () => {
    const long = `SELECT count(*) FROM people WHERE id IN (${Array.from({ length: 2_500 }, (_, n) => n).join(', ')})`;
    assert.equal(await masks(long, another), true);
    assert.equal(await masks('SELECT count(*) FROM people WHERE id IN (1, 2, 3)', another), false);
  });
});
