/** Attacks on the PostgreSQL gate that must fail, each with the real inspector, a real server, and all bytes recorded. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import pg from 'pg';
import * as build from '../gateway/listeners/postgres/builders.ts';
import { createCatalog } from '../gateway/listeners/postgres/catalog/catalog.ts';
import { createInspector } from '../gateway/listeners/postgres/inspect.ts';
import type { Inspector } from '../gateway/listeners/postgres/types.ts';
import { startPostgres, type TestPostgres } from './support/postgres.ts';
import { brief, type SessionWorld, sessionWorld } from './support/session.ts';

const SCHEMA = `
  create table ledger (id int, v text);
  create table t (id int primary key, v text);
  insert into t values (1, 'a'), (2, 'b');
  create function evil() returns int language plpgsql as $$ begin insert into ledger values (1); return 1; end $$;
  create function evil(anyelement) returns boolean language plpgsql as $$ begin perform evil(); return true; end $$;
  create view v as select 1 as x;
  create domain checked as int check (evil(value));
  create type pair as (a checked);
  create domain plain as int;
  create type mood as enum ('sad', 'ok');
  create table pairs (p pair, list checked[]);
  create type shape as (a int);
  create function shape_json(shape) returns json language plpgsql as
    $$ begin perform evil(); return '1'; end $$;
  create cast (shape as json) with function shape_json(shape);
  create table shapes (s shape);
  insert into shapes values (row(1));
  create table rows_cast (a int);
  insert into rows_cast values (1);
  create function row_text(rows_cast) returns text language plpgsql as
    $$ begin perform evil(); return 'x'; end $$;
  create cast (rows_cast as text) with function row_text(rows_cast) as implicit;
  create function meddle() returns int language plpgsql as
    $$ begin execute 'deallocate p'; execute 'prepare p as delete from t'; return 1; end $$;
`;
let postgres: TestPostgres;
let direct: pg.Client;
let inspector: Inspector;
let world: SessionWorld;
let baseline: number;

before(async () => {
  postgres = await startPostgres();
  direct = new pg.Client({ connectionString: postgres.url('postgres') });
  await direct.connect();
  await direct.query(SCHEMA);
  const catalog = createCatalog({
    connect: async () => {
      const client = new pg.Client({ connectionString: postgres.url('postgres') });
      client.on('error', () => undefined);
      await client.connect();
      return client;
    },
  });
  inspector = createInspector({
    serverMajor: 18,
    catalog,
    maskLiteral: (text) => text,
    cacheEntries: 100,
    workerDeadlineMs: 1_000,
  });
  await inspector.refresh();
  baseline = await backends();
});
after(async () => {
  await inspector.close();
  await direct.end();
  await postgres.stop();
});
beforeEach(async () => {
  await direct.query("truncate ledger, t; insert into t values (1, 'a'), (2, 'b')");
  await inspector.refresh();
  world = await sessionWorld(postgres, { inspector, limits: { lingerMs: 1_000 } });
  const harmless = new Set(['read', 'copy-out', 'session', 'transaction']);
  world.gate.decide = ({ text, effects }) => {
    if (text.includes('/*held*/')) return 'hold';
    if (text.includes('/*approved*/')) return 'allow';
    return effects.every(({ action }) => harmless.has(action)) ? 'allow' : 'deny';
  };
});
afterEach(async () => {
  await world.close();
  assert.equal(world.gate.settledTwice, 0, 'every permit is settled once');
  assert.equal(world.registry.size, 0, 'no session is left in the registry');
  while ((await backends()) > baseline) await new Promise((resolve) => setImmediate(resolve));
});

async function backends(): Promise<number> {
  const found = await direct.query(
    `select count(*)::int n from pg_stat_activity where backend_type = 'client backend'`,
  );
  return found.rows[0].n;
}

/** What must not change: rows of both tables, outside of the session's own transaction. */
async function state(): Promise<string> {
  const found = await direct.query(
    `select (select count(*) from ledger) || '/' || (select count(*) from t)
      || '/' || coalesce((select last_value::text from pg_sequences limit 1), '')`,
  );
  return Object.values(found.rows[0])[0] as string;
}

const UNTOUCHED = '0/2/';

type Client = Awaited<ReturnType<SessionWorld['raw']>>;
const ask = async (client: Client, text: string): Promise<string> =>
  brief(await client.send(build.query(text)).until('Z'));
const bound = (text: string, ...types: number[]): Buffer =>
  Buffer.concat([build.parse('', text, types), build.bind('', '', []), build.execute(''), build.sync()]);

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

describe('20 log-ins at once', () => {
  it('one principal connects to the target no more often at a time than it may have sessions', async () => {
    const few = await sessionWorld(postgres, { inspector, maxPerPrincipal: 3 });
    try {
      const clients = await Promise.allSettled(Array.from({ length: 20 }, () => few.driver()));
      assert.equal(clients.filter(({ status }) => status === 'fulfilled').length, 3);
      assert.equal(few.recorder.connections.length, 3);
      for (const client of clients) if (client.status === 'fulfilled') await client.value.end();
      while (few.registry.size > 0) await new Promise((resolve) => setImmediate(resolve));
      await (await few.driver()).end();
    } finally {
      await few.close();
    }
  });
});

describe('1/2 lengths, outer and inner, after the log-in', () => {
  const framed = (type: string, length: number, body = ''): Buffer => {
    const header = Buffer.alloc(5);
    header.write(type, 'latin1');
    header.writeUInt32BE(length >>> 0, 1);
    return Buffer.concat([header, Buffer.from(body, 'latin1')]);
  };
  const whole = (type: string, body: string): Buffer => framed(type, body.length + 4, body);

  it('end that session with a FATAL, take no memory, and nothing reaches the target', async () => {
    const hostile = [
      ...[...'QPBEDCSHFdcf'].flatMap((type) =>
        [0, 3, 0x7fffffff, 0x80000000, 0xffffffff]
          .filter((length) => type !== 'd' || length !== 0x7fffffff) // data may be long: it streams, and here it is dropped
          .map((length) => framed(type, length)),
      ),
      whole('P', '\0select 1\0\xff\xff'), // 65,535 types, none there
      whole('B', '\0\0\0\0\0\x01\xff\xff\xff\xfe'), // a parameter of -2 bytes
      whole('B', '\0\0\0\0\0\x01\x7f\xff\xff\xff'), // one longer than the message
      whole('B', '\0\0\0\0\xff\xff'),
      whole('Q', 'select 1'), // no end
      whole('Q', 'select 1\0; drop table t\0'),
      whole('Q', "select '\xc3\x28'\0"), // no UTF-8
      whole('E', '\0\0'),
      whole('D', 'Z\0'),
      whole('C', 'Z\0'),
      whole('S', 'x'),
      whole('~', ''),
    ];
    const before = process.memoryUsage().rss;
    for (const bytes of hostile) {
      const client = await world.raw();
      client.send(bytes);
      await client.end();
      await client.targetClosed();
      assert.match(client.sentTypes(), /^X?$/, bytes.toString('latin1'));
    }
    assert.ok(process.memoryUsage().rss - before < 200 << 20);
  });

  it('a parameter of -1 bytes is NULL and nothing else', async () => {
    const client = await world.raw();
    const sent = [build.parse('', 'select $1::int is null'), build.bind('', '', [null]), build.execute('')];
    assert.equal(brief(await client.send(...sent, build.sync()).until('Z')), '1 2 D C(SELECT 1) Z(I)');
  });
});

describe('7/13 every road to a DELETE', () => {
  const ROADS: readonly (readonly [string, ...Buffer[]])[] = [
    ['Query', build.query('delete from t')],
    ['a string of several', build.query('select 1; delete from t; select 2')],
    [
      'a string with comments, dollar quotes, nested comments',
      build.query("select $a$;$a$ /* /* */ ; */; delete from t -- '"),
    ],
    ['Parse, Bind, Execute, unnamed', bound('delete from t')],
    [
      'named, in parts of a row',
      build.parse('s', 'delete from t returning id'),
      build.bind('p', 's'),
      build.execute('p', 1),
      build.execute('p', 1),
      build.sync(),
    ],
    ['PREPARE, EXECUTE', build.query('prepare x as delete from t'), build.query('execute x')],
    ['EXPLAIN ANALYZE EXECUTE', build.query('prepare x as delete from t'), build.query('explain (analyze) execute x')],
    [
      'CREATE TABLE AS EXECUTE',
      build.query('prepare x as delete from t'),
      build.query('create temp table y as execute x'),
    ],
    ['EXECUTE by protocol', build.query('prepare x as delete from t'), bound('execute x')],
    [
      'SQL prepare, run by Bind',
      build.query('prepare x as delete from t'),
      build.bind('', 'x'),
      build.execute(''),
      build.sync(),
    ],
    ['a CTE', build.query('with d as (delete from t returning id) select * from d')],
    ['COPY', build.query('copy (delete from t returning id) to stdout')],
    ['EXPLAIN ANALYZE', build.query('explain analyze delete from t')],
    ['MERGE', build.query('merge into t using (select 1) s on true when matched then delete')],
    ['DO', build.query("do 'begin delete from t; end'")],
    ['SELECT INTO behind it', build.query('with d as (delete from t returning id) select * into temp z from d')],
    [
      'a Query in the midst of a pipeline',
      build.parse('', 'select 1'),
      build.bind('', ''),
      build.execute(''),
      build.query('delete from t'),
    ],
    [
      'a portal read by FETCH',
      build.query('begin'),
      build.parse('', 'delete from t returning 1'),
      build.bind('f', ''),
      build.query('fetch all from f'),
    ],
    [
      'a transaction in one pipeline',
      build.parse('', 'begin'),
      build.bind('', ''),
      build.execute(''),
      bound('delete from t'),
    ],
    [
      'behind a chained commit',
      build.query('begin'),
      build.query('commit and chain'),
      build.query('delete from t'),
      build.query('commit'),
    ],
    [
      'a failed transaction left in the same string',
      build.query('begin'),
      build.query('select 1/0'),
      build.query('rollback; delete from t'),
    ],
    ['FunctionCall', Buffer.from([0x46, 0, 0, 0, 14, 0, 0, 4, 0xd2, 0, 0, 0, 0, 0, 0])],
  ];

  for (const [road, ...bytes] of ROADS) {
    it(`${road}: judged, refused, and nothing changes`, async () => {
      const client = await world.raw();
      client.send(...bytes, build.sync(), build.query('rollback'), build.query('listen the_end'));
      let answers = '';
      while (!answers.includes('C(LISTEN)')) answers += brief(await client.until('Z'));
      assert.match(answers, /E\(/);
      assert.equal(await state(), UNTOUCHED);
    });
  }
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

describe('17 state drift while held', () => {
  it('a backend that is terminated, or times out in its transaction, runs nothing, then or later', async () => {
    for (const [how, code] of [
      ['terminated', '57P01'],
      ['timed out', '25P03'],
    ]) {
      const client = await world.raw();
      if (how === 'timed out') await ask(client, "set idle_in_transaction_session_timeout = '200ms'");
      await ask(client, 'begin');
      client.send(build.query('delete from t /*held*/'));
      const hold = await world.gate.hold(how === 'terminated' ? 0 : 1);
      if (how === 'terminated') {
        await direct.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'`,
        );
      }
      const frames = await client.until('E');
      await client.end();
      await client.targetClosed();
      hold.approve();
      assert.ok(brief(frames).includes(`E(${code})`), brief(frames));
      assert.notEqual(hold.withdrawn, undefined);
      assert.equal(client.sentBytes().includes('delete'), false);
      assert.equal(await state(), UNTOUCHED);
    }
  });
});

describe('16 a client that is gone', () => {
  it('without a Sync, or before the data of a COPY: the session ends as the server would end it, nothing is committed', async () => {
    const execute = [build.parse('', 'delete from t /*approved*/'), build.bind('', ''), build.execute('')];
    for (const messages of [
      [build.parse('', 'select 1')],
      [build.parse('', 'select 1'), build.flush(), build.bind('', ''), build.execute('', 1)],
      execute,
      [build.query('begin'), ...execute],
      [build.query('copy t from stdin /*approved*/')],
      [build.parse('', 'copy t from stdin /*approved*/'), build.bind('', ''), build.execute('')],
    ]) {
      const client = await world.raw();
      client.send(...messages).socket.end();
      await client.end();
      await client.targetClosed();
      assert.equal(await state(), UNTOUCHED);
    }
    await Promise.all(world.ended);
    const permits = world.gate.admitted.length;
    assert.equal(world.gate.outcomes.length, permits, 'every permit has its outcome');
  });
});
