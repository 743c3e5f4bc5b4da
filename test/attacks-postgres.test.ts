/** What a statement's names and values may hide from the PostgreSQL gate: it must never pass as a read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as build from '../gateway/listeners/postgres/builders.ts';
import { ask, attackStage, bound, direct, inspector, state, UNTOUCHED, world } from './support/attack-stage.ts';
import { brief } from './support/session.ts';

attackStage();

describe('7/9 names: what a name stands for', () => {
  const NAME = 'n'.repeat(63);

  it('a protocol name beyond 63 bytes is refused: the server would cut it, and run another statement by it', async () => {
    const client = await world.raw();
    const long = `${NAME}x`;
    const parsed = brief(await client.send(build.parse(long, 'select 1'), build.sync()).until('Z'));
    await ask(client, `deallocate ${NAME}`);
    await ask(client, `prepare ${NAME} as delete from t`);
    const ran = brief(
      await client.send(build.bind('', long), build.execute(''), build.close('S', long), build.sync()).until('Z'),
    );
    assert.match(parsed, /^E/);
    assert.match(ran, /^E/);
    assert.equal(await state(), UNTOUCHED);
  });

  it('SQL names are cut where the server cuts them', async () => {
    const client = await world.raw();
    for (const [made, other] of [
      [`${NAME}x`, `${NAME}y`],
      [`"${'n'.repeat(62)}é"`, `"${'n'.repeat(62)}è"`],
      [`"${'ß'.repeat(40)}"`, `"${'ß'.repeat(31)}"`],
      ['"É"', '"É"'],
    ]) {
      await ask(client, 'deallocate all');
      assert.match(await ask(client, `prepare ${made} as delete from t`), /C\(PREPARE\)/);
      assert.match(await ask(client, `execute ${other}`), /^E\(42501\)/, other);
    }
    assert.match(await ask(client, 'execute É'), /^E/);
    assert.equal(await state(), UNTOUCHED);
  });

  it('a name that failing code gave another meaning is not trusted', async () => {
    const client = await world.raw();
    await ask(client, 'prepare p as select 1');
    await ask(client, 'select 1/(meddle() - 1) /*approved*/');
    assert.match(await ask(client, 'execute p'), /^E/);
    assert.equal(await state(), UNTOUCHED);
  });

  it('FETCH of a portal that runs EXECUTE counts as what the prepared statement does', async () => {
    const client = await world.raw();
    await ask(client, 'prepare q as delete from t returning id');
    await ask(client, 'begin');
    await client.send(build.parse('s', 'execute q /*approved*/'), build.bind('x', 's'), build.sync()).until('Z');
    assert.match(await ask(client, 'fetch all from x'), /^E\(42501\)/);
    await ask(client, 'rollback');
  });
});

describe('12 reads that run code', () => {
  const oids = async (type: string): Promise<number> =>
    (await direct.query('select $1::regtype::oid::int oid', [type])).rows[0].oid;

  it('a parameter of a type whose values are checked by code', async () => {
    const client = await world.raw();
    for (const type of ['checked', 'pair', 'checked[]']) {
      const value = type === 'pair' ? '(1)' : type === 'checked' ? '1' : '{1}';
      const sent = [build.parse('', 'select $1', [await oids(type)]), build.bind('', '', [value])];
      assert.match(brief(await client.send(...sent, build.execute(''), build.sync()).until('Z')), /E\(42501\)/, type);
    }
    for (const type of ['plain', 'mood', 'int4']) {
      const value = type === 'mood' ? 'ok' : '1';
      const sent = [build.parse('', 'select $1', [await oids(type)]), build.bind('', '', [value])];
      assert.match(brief(await client.send(...sent, build.execute(''), build.sync()).until('Z')), /^1 2 D C/, type);
    }
    assert.equal(await state(), UNTOUCHED);
  });

  it('PREPARE with such a type, then EXECUTE', async () => {
    const client = await world.raw();
    await ask(client, 'prepare p (checked) as select $1');
    assert.match(await ask(client, 'execute p (1)'), /^E\(42501\)/);
    assert.equal(await state(), UNTOUCHED);
  });

  it('a literal that is made into such a value by being parsed, named or by comparison', async () => {
    const client = await world.raw();
    for (const sql of [
      "select '(1)'::pair",
      "select from pairs where p = '(1)'",
      "select from pairs where list = '{1}'",
      "select array_append(list, '1') from pairs",
    ]) {
      assert.doesNotMatch(brief(await client.send(bound(sql)).until('Z')), /C\(/, sql);
      assert.equal(await state(), UNTOUCHED, sql);
      assert.match(await ask(client, sql), /^E\(42501\)/, sql);
      assert.equal(await state(), UNTOUCHED, sql);
    }
  });

  it('a cast that JSON functions and whole rows look up by themselves', async () => {
    const client = await world.raw();
    for (const sql of [
      'select to_json(s) from shapes',
      'select to_jsonb(shapes) from shapes',
      "select rows_cast || 'x' from rows_cast",
      'select upper(r) from rows_cast r',
    ]) {
      assert.match(await ask(client, sql), /^E\(42501\)/, sql);
      assert.equal(await state(), UNTOUCHED, sql);
    }
  });

  it('a setting changed through pg_settings is code, and the frame is read again', async () => {
    const client = await world.raw();
    const update = "update pg_settings set setting = 'pg_temp' where name = 'search_path' /*approved*/";
    await ask(client, update);
    assert.ok(world.gate.admitted.at(-1)?.effects.some(({ action }) => action === 'call'));
    await ask(client, 'select 1');
    assert.match(world.gate.admitted.at(-1)!.frame, /pg_temp/);
  });
});

describe('17 state drift: what a transaction has changed and the catalogue cannot see', () => {
  const READS = [
    'select * from v',
    'copy (select * from v) to stdout',
    'copy v to stdout',
    'execute p',
    'explain analyze execute p',
    'declare c cursor for select * from v',
    'select * from v; select 1',
    'with x as (select * from v) select * from x',
    'insert into ledger select x from v',
  ];

  it('no road leads through a view replaced in the same transaction', async () => {
    const client = await world.raw();
    await ask(client, 'prepare p as select * from v');
    for (const sql of READS) {
      await ask(client, 'begin');
      assert.match(await ask(client, 'create or replace view v as select evil() as x /*approved*/'), /^C/);
      world.gate.admitted.length = 0;
      await ask(client, sql);
      const actions = world.gate.admitted.flatMap(({ effects }) => effects.map(({ action }) => action));
      assert.ok(actions.includes('call'), `${sql}: ${actions}`);
      await ask(client, 'rollback');
    }
    assert.equal(await state(), UNTOUCHED);
  });

  it('nor through one replaced in the same string', async () => {
    const client = await world.raw();
    await ask(client, 'create or replace view v as select evil() as x; select * from v; rollback /*held?*/');
    const { effects } = world.gate.admitted[0]!;
    assert.ok(effects.some(({ action }) => action === 'call'));
    await ask(client, 'begin; alter table t add column if not exists w int; select * from t');
    assert.ok(world.gate.admitted[1]!.effects.some(({ action, object }) => action === 'call' && object === ''));
  });

  it('"$user" and names out of reach mean something else under another role', async () => {
    await direct.query('create role other superuser; create schema other; create view other.t as select evil() as id');
    try {
      await inspector.refresh();
      const client = await world.raw();
      await ask(client, 'set search_path = "$user", public /*approved*/');
      await ask(client, 'set role other /*approved*/');
      assert.match(await ask(client, 'select * from t'), /^E\(42501\)/);
      assert.equal(await state(), UNTOUCHED);
    } finally {
      await direct.query('drop schema other cascade; drop role other');
    }
  });
});

describe('11 literals', () => {
  it('settings that change what a literal means are part of what an approval covers', async () => {
    const client = await world.raw();
    await ask(client, 'select 1');
    await ask(client, "set datestyle = 'German, DMY'");
    await ask(client, "set timezone = 'Asia/Tokyo'");
    await ask(client, "set intervalstyle = 'sql_standard'");
    await ask(client, 'select 1');
    const [first, , , , last] = world.gate.admitted;
    assert.notEqual(first!.frame, last!.frame);
    for (const word of ['German', 'Tokyo', 'sql_standard']) assert.ok(last!.frame.includes(word), word);
  });
});

describe('11/12 names that mean something else to the server', () => {
  it('cut, folded, escaped, quoted: code behind such a view never passes as a read', async () => {
    const odd = [
      'É',
      'a b',
      'a.b',
      '"',
      "'; drop",
      'select',
      'ﬁ',
      'x'.repeat(63),
      `${'x'.repeat(62)}`,
      'ß'.repeat(31),
      '$1',
      '\u202e',
    ];
    const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
    for (const name of odd) await direct.query(`create view ${quoted(name)} as select evil() as x`);
    await direct.query('create table é (x int); create table "x" (x int)');
    await inspector.refresh();
    try {
      const client = await world.raw();
      const asked = [
        ...odd.map(quoted),
        'É',
        `"${'x'.repeat(70)}"`,
        'X'.repeat(70),
        `"${'ß'.repeat(40)}"`,
        `"${'x'.repeat(62)}é"`,
        'U&"\\00c9"',
        'U&"!0061 b" uescape \'!\'',
        'public . "a.b"',
        'postgres.public."select"',
        'only "a b"',
        '(select * from "a b") as "É"',
      ];
      for (const name of asked) {
        assert.match(await ask(client, `select * from ${name}`), /E\((42501|42P01|42601)\)/, name);
        await client.send(bound(`table ${name}`)).until('Z');
        assert.equal(await state(), UNTOUCHED, name);
      }
    } finally {
      for (const name of odd) await direct.query(`drop view ${quoted(name)}`);
      await direct.query('drop table é, "x"');
    }
  });

  it('attribute notation, operators, casts, defaults, lateral, filters, samples', async () => {
    const client = await world.raw();
    await direct.query(`create table o (a int); insert into o values (1);
      create function touch(o) returns int language sql as 'select evil()';
      create function plus(int, int) returns int language plpgsql as $$ begin return evil(); end $$;
      create operator <+> (leftarg = int, rightarg = int, function = plus);
      create function std() returns int begin atomic select evil(); end;
      create function dflt(a int default evil()) returns int language sql as 'select a';
      create aggregate agg(int) (sfunc = plus, stype = int, initcond = '0');
      create table secured (a int); insert into secured values (1); alter table secured enable row level security;
      alter table secured force row level security;
      create policy p on secured using (evil() = 1);`);
    await inspector.refresh();
    try {
      for (const sql of [
        'select o.touch from o',
        'select (o).touch from o',
        'select (r).touch from (select o as r from o) s',
        'select 1 <+> 1',
        'select 1 operator(public.<+>) 1',
        'select std()',
        'select dflt()',
        'select agg(a) from o',
        'select agg(a) filter (where true) over () from o',
        'select * from o, lateral (select evil()) l',
        'select a from o group by grouping sets ((a), (evil()))',
        'select * from o order by evil()',
        'select * from o limit evil()',
        'select case when true then evil() end',
        'values (evil())',
        'table secured',
        "select xmltable.* from xmltable('/a' passing xmlparse(document '<a/>') columns x int default evil())",
        "select * from json_table('[1]', '$[*]' columns (x int path '$' default evil() on empty))",
        "select '1'::checked",
        "select cast('{1}' as checked[])",
        'select * from jsonb_to_record(\'{"a":1}\') as x(a checked)',
        "select query_to_xml('select evil()', true, true, '')",
        "select set_config('search_path', 'pg_temp', false)",
        "select 'evil'::regproc, evil(1)",
        'explain (verbose) select evil()',
        'select * from rows from (evil()) as f',
        'with recursive r as (select evil() union select 1) select * from r',
        'select row_number() over (partition by evil()) from o',
        'select exists (select evil())',
        'select array(select evil())',
        'listen x; select evil()',
      ]) {
        assert.match(await ask(client, sql), /E\(42501\)/, sql);
        await client.send(bound(sql)).until('Z');
        assert.equal(await state(), UNTOUCHED, sql);
      }
    } finally {
      await direct.query(`drop table secured; drop aggregate agg(int); drop function std(), dflt(int), touch(o);
        drop operator <+> (int, int); drop function plus(int, int); drop table o`);
    }
  });
});
