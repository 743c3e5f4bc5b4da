/** Results under budgets: they stop at the exact row, and whatever comes of that the session tells the truth; real target. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { BIG, limit, short } from '../../../../test/support/budgets.ts';
import { type SessionWorld, sessionWorld } from '../../../../test/support/session.ts';
import { closeSettled, type SessionTarget, sessionTarget } from '../../../../test/support/session-target.ts';
import * as build from '../builders.ts';
import { parseServerMessage } from '../messages.ts';

let target: SessionTarget;
let world: SessionWorld;
before(async () => {
  target = await sessionTarget(BIG);
});
after(() => target.stop());
beforeEach(async () => {
  await target.direct.query('truncate t');
  world = await sessionWorld(target.postgres, { limits: { pipelinedBytes: 64 * 1024, lingerMs: 1_000 } });
  world.gate.budgets = [limit('rows', 1_000)];
});
afterEach(() => closeSettled(world));

type Client = Awaited<ReturnType<SessionWorld['raw']>>;

const outcomes = () =>
  world.gate.outcomes.map(({ outcome }) => (outcome.kind === 'failed' ? outcome.message : outcome.kind));
const open = (index = 0) => world.gate.hold(index);
const until = async (client: Client, type: string) => short(await client.until(type));
const rowCount = async (table: string) => (await target.direct.query(`select count(*)::int n from ${table}`)).rows[0].n;
const settled = () => new Promise((resolve) => setTimeout(resolve, 60));

describe('a result that passes its budget', () => {
  it('stops behind the last row that may pass, and flows on when that is approved', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big'));
    const hold = await open();
    assert.equal(await until(client, 'N'), 'T D×1000 N');
    assert.deepEqual([world.gate.excesses[0]?.rows, world.gate.excesses[0]?.preview.length], [1_000, 3]);
    assert.deepEqual(world.gate.excesses[0]?.preview[0], ['1', 'value 1', 'x'.repeat(90)]);
    await settled();
    assert.ok(client.received.length < 200_000, 'nothing comes while somebody is asked');
    hold.approve();
    assert.equal(await until(client, 'Z'), 'D×49000 C(SELECT 50000) Z(I)');
    assert.deepEqual(outcomes(), ['done']);
  });

  it('ends in a native error when that is denied, and the session goes on', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big'));
    (await open()).deny('not today');
    const frames = await client.until('Z');
    assert.equal(short(frames), 'T D×1000 N E(42501) Z(I)');
    assert.equal(parseServerMessage(frames.at(-2)!).message, 'denied by Carol: not today');
    assert.deepEqual(outcomes(), ['stopped after 1,000 rows: denied by Carol: not today']);
    assert.equal(await until(client.send(build.query('select 1')), 'Z'), 'T D×1 C(SELECT 1) Z(I)');
  });

  it('that has just as many rows passes', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big limit 1000'));
    assert.equal(await until(client, 'Z'), 'T D×1000 C(SELECT 1000) Z(I)');
    assert.equal(world.gate.holds.length, 0);
  });

  it('asks once for each budget, and lifts only what was asked about', async () => {
    world.gate.budgets = [limit('rows', 10), limit('rows', 20, 'more')];
    const client = await world.raw();
    client.send(build.query('select id from big limit 30'));
    (await open()).approve();
    assert.equal(await until(client, 'N'), 'T D×10 N');
    (await open(1)).approve();
    assert.equal(await until(client, 'Z'), 'D×10 N D×10 C(SELECT 30) Z(I)');
    assert.deepEqual(
      world.gate.excesses.map(({ budgets }) => budgets.map(({ rule }) => rule)),
      [['exports'], ['more']],
    );
  });

  it('stops before the row that would bring it above its bytes, however long that row is', async () => {
    world.gate.budgets = [limit('bytes', 500)];
    const client = await world.raw();
    client.send(build.query("select 'a' union all select repeat('x', 3000000) union all select 'b'"));
    const hold = await open();
    assert.equal(await until(client, 'N'), 'T D×1 N');
    hold.context.tell({ kind: 'waiting', text: 'still waiting' });
    assert.equal(await until(client, 'N'), 'N', 'a notice does not break a row');
    hold.approve();
    const rest = await client.until('Z');
    const long = rest.filter(({ first, type }) => type === 0x44 && first).length;
    assert.equal(long, 2);
    assert.equal(
      rest.reduce((sum, { type, bytes }) => sum + (type === 0x44 ? bytes.length : 0), 0),
      3_000_011 + 12,
    );
  });

  it('drops the rest of a row that comes in pieces when it is denied', async () => {
    world.gate.budgets = [limit('bytes', 500)];
    const client = await world.raw();
    client.send(build.query("select 'a' union all select repeat('x', 3000000) union all select 'b'"));
    (await open()).deny('no');
    assert.equal(await until(client, 'Z'), 'T D×1 N E(42501) Z(I)');
  });
});

describe('denied in its midst, ReadyForQuery tells the truth', () => {
  const inTransaction = async (text: string) => {
    const client = await world.raw();
    client.send(build.query('begin'), build.query(text));
    (await open()).deny('no');
    await client.until('Z');
    const answer = await until(client, 'Z');
    const next = await until(client.send(build.query('select 1')), 'Z');
    return { answer, next, end: await until(client.send(build.query('commit')), 'Z') };
  };
  const aborted = { next: 'E(25P02) Z(E)', end: 'C(ROLLBACK) Z(I)' };

  it('in a transaction block, which the target has really aborted', async () => {
    const { answer, ...then } = await inTransaction('select * from big');
    assert.equal(answer, 'T D×1000 N E(42501) Z(E)');
    assert.deepEqual(then, aborted);
  });

  it('there, too, when the target had finished before it could be cancelled', async () => {
    const { answer, ...then } = await inTransaction('select id from big limit 1001');
    assert.equal(answer, 'T D×1000 N E(42501) Z(E)');
    assert.deepEqual(then, aborted);
  });

  it('of a write whose rows were stopped too late: what it wrote stands, and it is said', async () => {
    world.gate.budgets = [limit('rows', 2)];
    const client = await world.raw();
    client.send(build.query("insert into t select n, 'v' from generate_series(1, 3) n returning id"));
    (await open()).deny('no');
    const frames = await client.until('Z');
    assert.equal(short(frames), 'T D×2 N E(42501) Z(I)');
    assert.match(parseServerMessage(frames.at(-2)!).hint ?? '', /It had run to its end on the target/);
    assert.equal(await rowCount('t'), 3);
    assert.deepEqual(outcomes(), ['done']);
  });

  it('of such a write in a transaction block: it is undone', async () => {
    world.gate.budgets = [limit('rows', 2)];
    const { answer, end } = await inTransaction(
      "insert into t select n, 'v' from generate_series(1, 3) n returning id",
    );
    assert.deepEqual([answer, end], ['T D×2 N E(42501) Z(E)', 'C(ROLLBACK) Z(I)']);
    assert.equal(await rowCount('t'), 0);
    assert.equal(outcomes()[1], 'stopped after 2 rows: denied by Carol: no');
  });
});

describe('in the extended protocol', () => {
  const run = (text: string, maxRows = 0) => [build.parse('', text), build.bind('', ''), build.execute('', maxRows)];

  it('stops, and flows on', async () => {
    const client = await world.raw();
    client.send(...run('select id from big'), build.sync());
    (await open()).approve();
    assert.equal(await until(client, 'Z'), '1 2 D×1000 N D×49000 C(SELECT 50000) Z(I)');
  });

  it('is refused and skips to Sync, cancelled or too late for that', async () => {
    for (const [index, text] of ['select * from big', 'select id from big limit 1001'].entries()) {
      const client = await world.raw();
      client.send(...run(text), build.sync());
      (await open(index)).deny('no');
      assert.equal(await until(client, 'Z'), '1 2 D×1000 N E(42501) Z(I)');
      assert.equal(await until(client.send(...run('select 1'), build.sync()), 'Z'), '1 2 D×1 C(SELECT 1) Z(I)');
    }
  });

  it('is refused in a transaction block that is aborted then, cancelled or too late for that', async () => {
    for (const [index, text] of ['select * from big', 'select id from big limit 1001'].entries()) {
      const client = await world.raw();
      await client.send(build.query('begin')).until('Z');
      client.send(...run(text), build.sync());
      (await open(index)).deny('no');
      assert.equal(await until(client, 'Z'), '1 2 D×1000 N E(42501) Z(E)');
      assert.equal(await until(client.send(build.query('commit')), 'Z'), 'C(ROLLBACK) Z(I)');
    }
  });

  it('skips to a Sync that comes later, and what was before it in the pipeline is undone', async () => {
    for (const [index, text] of ['select * from big', 'select id from big limit 1001'].entries()) {
      const client = await world.raw();
      client.send(...run('insert into t values (1)'), ...run(text), build.flush());
      (await open(index)).deny('no');
      assert.equal(await until(client, 'E'), '1 2 C(INSERT 0 1) 1 2 D×1000 N E(42501)');
      client.send(...run('insert into t values (2)'), build.sync());
      assert.equal(await until(client, 'Z'), 'Z(I)');
      assert.equal(await rowCount('t'), 0);
    }
  });

  it('lets nothing run behind it, nor a Sync commit what was before it, until it is decided', async () => {
    const client = await world.raw();
    const before = run('insert into t values (1)');
    client.send(...before, ...run('select id from big limit 1001'), ...run('insert into t values (2)'), build.sync());
    const hold = await open();
    await settled();
    assert.equal(await rowCount('t'), 0);
    hold.deny('no');
    assert.equal(await until(client, 'Z'), '1 2 C(INSERT 0 1) 1 2 D×1000 N E(42501) Z(I)');
    assert.equal(await rowCount('t'), 0);
  });

  it('counts all parts of a portal that is read in parts', async () => {
    const client = await world.raw();
    client.send(...run('select id from big', 600), build.flush());
    assert.equal(await until(client, 's'), '1 2 D×600 s');
    client.send(build.execute('', 600), build.flush());
    (await open()).approve();
    assert.equal(await until(client, 's'), 'D×400 N D×200 s');
    client.send(build.execute('', 600), build.flush());
    assert.equal(await until(client, 's'), 'D×600 s');
    client.send(build.sync());
    assert.equal(await until(client, 'Z'), 'Z(I)');
    assert.equal(world.gate.holds.length, 1);
  });

  it('aborts where the part that was stopped had come to its end', async () => {
    const client = await world.raw();
    client.send(...run('select id from big', 1_001), build.flush());
    (await open()).deny('no');
    assert.equal(await until(client, 'E'), '1 2 D×1000 N E(42501)');
    client.send(build.sync());
    assert.equal(await until(client, 'Z'), 'Z(I)');
  });

  it('serves drivers, who see rows and then an error', async () => {
    const driver = await world.driver();
    const reading = driver.query('select id from big where id > $1', [0]);
    (await open()).deny('not today');
    await assert.rejects(reading, (error: { code?: string; message?: string }) => {
      assert.deepEqual([error.code, error.message], ['42501', 'denied by Carol: not today']);
      return true;
    });
    assert.equal((await driver.query('select 1 as one')).rows[0].one, 1);
  });
});

describe('by other roads', () => {
  it('a cursor has one budget, however it is fetched from', async () => {
    const client = await world.raw();
    for (const text of ['begin', 'declare c cursor for select id from big', 'fetch 900 from c']) {
      await client.send(build.query(text)).until('Z');
    }
    client.send(build.query('fetch 900 from c'));
    const hold = await open();
    assert.equal(await until(client, 'N'), 'T D×100 N');
    hold.approve();
    assert.equal(await until(client, 'Z'), 'D×800 C(FETCH 900) Z(T)');
    assert.equal(await until(client.send(build.query('fetch 5000 from c')), 'Z'), 'T D×5000 C(FETCH 5000) Z(T)');
    await client.send(build.query('close c')).until('Z');
    await client.send(build.query('declare c cursor for select id from big')).until('Z');
    client.send(build.query('fetch all from c'));
    (await open(1)).deny('no');
    assert.equal(await until(client, 'Z'), 'T D×1000 N E(42501) Z(E)');
  });

  it('so has a portal, executed or fetched from', async () => {
    const client = await world.raw();
    await client.send(build.query('begin')).until('Z');
    client.send(build.parse('', 'select id from big'), build.bind('p', ''), build.execute('p', 900), build.sync());
    await client.until('Z');
    client.send(build.query('fetch 900 from p'));
    (await open()).deny('no');
    assert.equal(await until(client, 'Z'), 'T D×100 N E(42501) Z(E)');
  });

  it('a result that was revealed to its client is not shown on the card', async () => {
    world.gate.decide = (operation) => {
      Object.assign(operation, { reveal: { columns: ['public.big.v'], reason: 'ticket 4711' } });
      return 'allow';
    };
    const client = await world.raw();
    client.send(build.query('select * from big'));
    (await open()).deny('no');
    await client.until('Z');
    assert.deepEqual(world.gate.excesses[0]?.preview, []);
  });

  it('COPY counts its lines', async () => {
    const client = await world.raw();
    client.send(build.query('copy big (id, v) to stdout'));
    const hold = await open();
    assert.equal(await until(client, 'N'), 'H d×1000 N');
    assert.deepEqual(world.gate.excesses[0]?.preview[2], ['3', 'value 3']);
    hold.approve();
    assert.equal(await until(client, 'Z'), 'd×49000 c C(COPY 50000) Z(I)');
    client.send(build.query('copy big (id, v) to stdout (format csv)'));
    (await open(1)).deny('no');
    assert.equal(await until(client, 'Z'), 'H d×1000 N E(42501) Z(I)');
    assert.deepEqual(world.gate.excesses[1]?.preview[2], ['3', 'value 3']);
  });

  it('SQL EXECUTE, and several statements in one string, have one budget each', async () => {
    const client = await world.raw();
    await client.send(build.query('prepare p as select id from big')).until('Z');
    client.send(build.query('execute p'));
    (await open()).deny('no');
    assert.equal(await until(client, 'Z'), 'T D×1000 N E(42501) Z(I)');
    client.send(build.query('select id from big limit 600; select id from big limit 600'));
    (await open(1)).deny('no');
    assert.equal(await until(client, 'Z'), 'T D×600 C(SELECT 600) T D×400 N E(42501) Z(I)');
  });
});
