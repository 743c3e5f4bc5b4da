import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MaskFormat } from '../../../masking/profile.ts';
import { describedCatalog } from './describe.ts';
import { maskedOf } from './masked.ts';
import type { Snapshot } from './snapshot.ts';

/** `schema.table.column` → how. */
const profileOf = (rules: Readonly<Record<string, MaskFormat['kind']>>) => ({
  hasColumns: Object.keys(rules).length > 0,
  maskOf: (schema: string, table: string, column: string) => {
    const kind = rules[`${schema}.${table}.${column}`];
    return kind && kind !== 'fixed' ? { kind } : undefined;
  },
});

function found(snapshot: Snapshot, rules: Readonly<Record<string, MaskFormat['kind']>>): Record<string, string> {
  const masked = maskedOf(snapshot, profileOf(rules));
  return Object.fromEntries(
    snapshot.all.flatMap(({ oid, schema, name, columns }) =>
      [...(columns?.values() ?? [])].flatMap((column) => {
        const format = masked.of(oid)?.get(column.number);
        return format ? [[`${schema}.${name}.${column.name}`, format.kind]] : [];
      }),
    ),
  );
}

describe('masked columns of a described catalogue', () => {
  it('a view’s namesake takes the format, any other column of it is redacted', () => {
    const snapshot = describedCatalog({
      tables: { users: ['id', 'card!'], orders: ['id', 'total'] },
      views: {
        over: { columns: ['card', 'hash'], reads: ['v'] },
        v: { columns: ['id', 'card', 'brand'], reads: ['users'] },
        clean: { columns: ['id', 'sum'], reads: ['orders'] },
        joined: { columns: ['id', 'card'], reads: ['orders', 'users'] },
        run: { columns: ['x'], reads: ['orders'], runs: ['public.f'] },
      },
    });
    assert.deepEqual(found(snapshot, { 'public.users.card': 'last4' }), {
      'public.users.card': 'last4',
      'public.over.card': 'last4',
      'public.over.hash': 'redact',
      'public.v.card': 'last4',
      'public.v.brand': 'redact',
      'public.joined.id': 'redact',
      'public.joined.card': 'redact',
      'public.run.x': 'redact',
    });
  });

  it('the rule that names a column decides how, whatever its source says', () => {
    const snapshot = describedCatalog({
      tables: { users: ['card'] },
      views: { v: { columns: ['card'], reads: ['users'] } },
    });
    const rules = { 'public.users.card': 'redact', 'public.v.card': 'last4' } as const;
    assert.deepEqual(found(snapshot, rules), rules);
  });

  it('partitions, both ways', () => {
    const snapshot = describedCatalog({
      tables: { all: ['id', 'card'], one: ['card', 'id'], two: ['id', 'card'] },
      partitions: { one: 'all', two: 'all' },
    });
    assert.deepEqual(found(snapshot, { 'public.one.card': 'hash' }), {
      'public.all.card': 'hash',
      'public.one.card': 'hash',
      'public.two.card': 'hash',
    });
  });

  it('temporary tables are in pg_temp, whichever session made them', () => {
    const snapshot = describedCatalog({ tables: { 'pg_temp_7.t': ['card'] } });
    assert.deepEqual(found(snapshot, { 'pg_temp.t.card': 'null' }), { 'pg_temp_7.t.card': 'null' });
  });

  it('nothing is masked for a profile without columns', () => {
    const snapshot = describedCatalog({ tables: { users: ['card'] } });
    const masked = maskedOf(snapshot, profileOf({}));
    assert.equal(masked.any, false);
    assert.equal(masked.of(1_000_000), undefined);
    assert.equal(masked.knows(1_000_000), true);
    assert.equal(masked.knows(999_999), false);
  });

  it('functions of PostgreSQL that return sets say so', () => {
    const snapshot = describedCatalog({});
    assert.equal(snapshot.functions('generate_series')[0]?.set, true);
    assert.equal(snapshot.functions('upper')[0]?.set, false);
  });
});
