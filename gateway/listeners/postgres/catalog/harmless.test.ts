import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isHarmless } from './harmless.ts';
import { constantParts, treeReferences } from './nodetree.ts';

describe('functions of extensions', () => {
  const fn = {
    name: 'f',
    schema: 'public',
    builtin: false,
    kind: 'f',
    volatility: 'i',
    extension: 'hstore',
    language: '13',
  };

  it('are harmless when they are compiled, and of a known extension', () => {
    assert.equal(isHarmless(fn, false), true);
    assert.equal(isHarmless({ ...fn, extension: 'unheard' }, false), false);
  });

  it('are code when somebody may have put them there: in SQL or a procedural language', () => {
    for (const language of ['14', '16384']) assert.equal(isHarmless({ ...fn, language }, false), false);
  });
});

describe('what an administrator answers for', () => {
  const own = {
    name: 'f',
    schema: 'public',
    builtin: false,
    kind: 'f',
    volatility: 'v',
    extension: undefined,
    language: '14',
  };
  const vouched = { functions: new Set(['public.f']), extensions: new Set(['postgis']) };

  it('is harmless by its full name, and nothing of the same name elsewhere', () => {
    assert.equal(isHarmless(own, false, vouched), true);
    assert.equal(isHarmless({ ...own, schema: 'other' }, false, vouched), false);
    assert.equal(isHarmless({ ...own, kind: 'p' }, false, vouched), false, 'a procedure is never a read');
    assert.equal(isHarmless({ ...own, name: 'pg_sleep', builtin: true }, false, vouched), false);
  });

  it('includes extensions, but for what is volatile or not compiled in them', () => {
    const fn = { ...own, name: 'st_area', volatility: 'i', extension: 'postgis', language: '13' };
    assert.equal(isHarmless(fn, false, vouched), true);
    assert.equal(isHarmless({ ...fn, volatility: 'v' }, false, vouched), false);
    assert.equal(isHarmless({ ...fn, language: '14' }, false, vouched), false);
  });
});

describe('stored expressions', () => {
  const constant = '{FUNCEXPR :funcid 70001 :args ({CONST :consttype 23 :constvalue 4 [ 5 0 0 0 ]})}';
  const column = '{FUNCEXPR :funcid 70002 :args ({VAR :varno 1 :varattno 1})}';
  const both = `{OPEXPR :opno 551 :opfuncid 177 :args (${column} ${constant})}`;

  it('are worked out by the planner as far as they look at no column', () => {
    assert.deepEqual(treeReferences(constantParts(both)).functions, ['70001']);
    assert.deepEqual(treeReferences(constantParts(column)).functions, []);
  });

  it('name the types that JSON functions return and that XMLTABLE has columns of', () => {
    const tree = '{JSONEXPR :returning {JSONRETURNING :typid 70003 :typmod -1}} {TABLEFUNC :coltypes (o 23 70004)}';
    assert.deepEqual(treeReferences(tree).types, ['70003', '23', '70004']);
  });
});
