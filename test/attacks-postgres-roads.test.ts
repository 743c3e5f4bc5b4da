/** Every road past the PostgreSQL gate: broken lengths, each way to execution, state drift, clients that leave. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as build from '../gateway/listeners/postgres/builders.ts';
import {
  ask,
  attackStage,
  bound,
  direct,
  inspector,
  postgres,
  state,
  UNTOUCHED,
  world,
} from './support/attack-stage.ts';
import { brief, sessionWorld } from './support/session.ts';

attackStage();

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
