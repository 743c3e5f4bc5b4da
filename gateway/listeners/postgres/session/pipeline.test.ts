/** What reaches the target, when, and what the client is told: a real PostgreSQL behind, a recorder before it. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { brief, type SessionWorld, sessionWorld } from '../../../../test/support/session.ts';
import { type SessionTarget, sessionTarget } from '../../../../test/support/session-target.ts';
import * as build from '../builders.ts';
import { parseServerMessage } from '../messages.ts';

let target: SessionTarget;
let world: SessionWorld;
before(async () => {
  target = await sessionTarget('create table t (id int primary key deferrable initially immediate, v text)');
});
after(() => target.stop());
beforeEach(async () => {
  await target.direct.query('truncate t');
  world = await sessionWorld(target.postgres);
});
afterEach(async () => {
  await world.close();
  assert.equal(world.gate.settledTwice, 0, 'every permit is settled once');
  assert.equal(world.gate.outcomes.length <= world.gate.admitted.length, true);
});

const pbes = (text: string, parameters: (string | null)[] = []): Buffer =>
  Buffer.concat([build.parse('', text), build.bind('', '', parameters), build.describe('P', ''), build.execute('')]);

describe('simple query', () => {
  it('passes an allowed statement on, byte for byte', async () => {
    const client = await world.raw();
    const message = build.query("insert into t values (1, 'ä')");
    assert.equal(brief(await client.send(message).until('Z')), 'C(INSERT 0 1) Z(I)');
    assert.deepEqual(client.sentBytes(), message);
    assert.deepEqual(world.gate.ends(), ['INSERT 0 1']);
  });

  it('passes an empty query without asking', async () => {
    const client = await world.raw();
    assert.equal(brief(await client.send(build.query(' -- nothing')).until('Z')), 'I Z(I)');
    assert.equal(world.gate.admitted.length, 0);
  });

  it('holds a statement until it is approved, then runs it once', async () => {
    const client = await world.raw();
    client.send(build.query("insert into t values (1, 'held')"));
    const hold = await world.gate.hold();
    assert.equal(brief(await client.until('N')), 'N');
    assert.equal(client.sentBytes().length, 0, 'nothing reached the target');
    hold.approve();
    assert.equal(brief(await client.until('Z')), 'C(INSERT 0 1) Z(I)');
    assert.equal(await target.rows(), 1);
    assert.deepEqual(world.gate.ends(), ['INSERT 0 1']);
  });

  it('answers a denial natively, and the session goes on', async () => {
    const client = await world.raw();
    const refused = await client.send(build.query("insert into t values (1, 'denied')")).until('Z');
    assert.equal(brief(refused), 'E(42501) Z(I)');
    const { message, hint } = parseServerMessage(refused[0]!);
    assert.equal(message, 'refused by rule no-such-thing: not today');
    assert.equal(hint, 'Ask for less.');
    assert.equal(client.sentBytes().length, 0);
    assert.equal(brief(await client.send(build.query('select 1')).until('Z')), 'T D C(SELECT 1) Z(I)');
  });

  it('aborts the transaction block when a statement in it is denied, and ROLLBACK works', async () => {
    const client = await world.raw();
    await client.send(build.query('begin')).until('Z');
    await client.send(build.query('insert into t values (1)')).until('Z');
    client.send(build.query('delete from t -- held'));
    (await world.gate.hold()).deny('no');
    await client.until('N');
    const refused = await client.until('Z');
    assert.equal(brief(refused), 'E(42501) Z(E)');
    assert.equal(parseServerMessage(refused[0]!).message, 'denied by Carol: no');
    assert.equal(client.sentBytes().includes('delete'), false);
    assert.equal(brief(await client.send(build.query('select 1')).until('Z')), 'E(25P02) Z(E)');
    assert.equal(brief(await client.send(build.query('rollback')).until('Z')), 'C(ROLLBACK) Z(I)');
    assert.equal(await target.rows(), 0);
  });

  it('asks nobody in a failed transaction', async () => {
    const client = await world.raw();
    await client.send(build.query('begin')).until('Z');
    await client.send(build.query('select 1/0')).until('Z');
    const asked = world.gate.admitted.length;
    assert.equal(brief(await client.send(build.query('delete from t -- held')).until('Z')), 'E(25P02) Z(E)');
    assert.equal(world.gate.admitted.length, asked);
    client.send(pbes('delete from t -- held'), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(25P02) Z(E)');
    assert.equal(world.gate.admitted.length, asked);
  });

  it('judges a string of several statements as one, and refuses names it defines itself', async () => {
    const client = await world.raw();
    assert.equal(
      brief(await client.send(build.query('select 1; select 2')).until('Z')),
      'T D C(SELECT 1) T D C(SELECT 1) Z(I)',
    );
    assert.equal(world.gate.admitted.length, 1);
    assert.equal(world.gate.admitted[0]!.headline.startsWith('2 statements'), true);
    client.send(build.query('prepare p as select 1; execute p'));
    assert.equal(brief(await client.until('Z')), 'E(0A000) Z(I)');
    client.send(build.query('set search_path = x; select 1'));
    assert.equal(brief(await client.until('Z')), 'E(42501) Z(I)');
    assert.equal(world.gate.admitted.length, 1);
    assert.equal(world.audit.filter(({ verdict }) => verdict === 'refused').length, 2);
  });

  it('refuses what does not parse, and a function call by the fast path', async () => {
    const client = await world.raw();
    assert.equal(brief(await client.send(build.query('selec 1')).until('Z')), 'E(42601) Z(I)');
    const call = Buffer.from([0x46, 0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert.equal(brief(await client.send(call).until('Z')), 'E(0A000) Z(I)');
    assert.equal(client.sentBytes().length, 0);
  });

  it('keeps order behind a hold and forwards nothing before the decision', async () => {
    const client = await world.raw();
    client.send(build.query("insert into t values (1,'held')"), build.query('select 7'), build.terminate());
    const hold = await world.gate.hold();
    assert.equal(client.sentBytes().length, 0);
    hold.approve();
    assert.equal(brief(await client.until('N')), 'N');
    assert.equal(brief(await client.until('Z')), 'C(INSERT 0 1) Z(I)');
    assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
    await client.end();
    assert.deepEqual(world.gate.ends(), ['INSERT 0 1', 'SELECT 1']);
  });
});

describe('extended query', () => {
  it('passes an allowed burst on as one write of the same bytes, making no promise', async () => {
    const client = await world.raw();
    const burst = Buffer.concat([pbes('select $1::int', ['5']), build.sync()]);
    assert.equal(brief(await client.send(burst).until('Z')), '1 2 T D C(SELECT 1) Z(I)');
    assert.deepEqual(client.sentBytes(), burst);
    assert.equal(client.target.sent.at(-1)!.length, burst.length, 'one chunk');
    assert.equal(world.gate.promises, 0);
  });

  it('gives the target the same bytes wherever a mixed pipeline is split', async () => {
    const pipeline = Buffer.concat([
      build.parse('s', 'select $1::int'),
      build.describe('S', 's'),
      build.bind('', 's', ['1']),
      build.execute(''),
      build.bind('', 's', [null]),
      build.describe('P', ''),
      build.execute(''),
      build.sync(),
      build.query('select 2'),
      build.close('S', 's'),
      build.sync(),
    ]);
    for (let at = 1; at < pipeline.length; at += 1) {
      const client = await world.raw();
      client.send(pipeline.subarray(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(pipeline.subarray(at));
      const seen = [...(await client.until('Z')), ...(await client.until('Z')), ...(await client.until('Z'))];
      assert.equal(brief(seen), '1 t T 2 D C(SELECT 1) 2 T D C(SELECT 1) Z(I) T D C(SELECT 1) Z(I) 3 Z(I)', `${at}`);
      assert.deepEqual(client.sentBytes(), pipeline, `split at ${at}`);
      client.socket.destroy();
    }
  });

  it('sends only Parse and Describe of a statement before the verdict, and leaves no transaction open', async () => {
    const client = await world.raw();
    client.send(
      build.parse('', 'insert into t values ($1)'),
      build.describe('S', ''),
      build.bind('', '', ['1']),
      build.describe('P', ''),
      build.execute(''),
      build.sync(),
    );
    world.gate.decide = () => 'hold';
    const hold = await world.gate.hold();
    assert.equal(client.sentTypes(), 'PDS');
    const states = await target.direct.query(
      "select state from pg_stat_activity where query like 'insert into t values%'",
    );
    assert.deepEqual(states.rows, [{ state: 'idle' }]);
    assert.deepEqual(
      hold.operation.parameters[0]!.value && Buffer.from(hold.operation.parameters[0]!.value),
      Buffer.from('1'),
    );
    hold.approve();
    assert.equal(brief(await client.until('Z')), '1 t n N 2 n C(INSERT 0 1) Z(I)');
    assert.deepEqual(world.gate.ends(), ['INSERT 0 1']);
  });

  it('asks nobody when something before the held statement failed', async () => {
    const client = await world.raw();
    client.send(pbes('select 1/0'), pbes('delete from t -- held'), build.sync());
    assert.equal(brief(await client.until('Z')), '1 E(22012) Z(I)', 'planning alone divides');
    assert.equal(world.gate.holds.length, 0);
    assert.deepEqual(world.gate.ends(), ['22012']);
  });

  it('delivers earlier results before it asks, and does not commit them early', async () => {
    const client = await world.raw();
    client.send(pbes('insert into t values (1)'), pbes('delete from t -- held'), build.sync());
    const hold = await world.gate.hold();
    assert.equal(brief(await client.until('N')), '1 2 n C(INSERT 0 1) 1 N');
    assert.equal(await target.rows(), 0, 'the pipeline is one transaction');
    assert.equal(hold.operation.inTransaction, true);
    hold.deny('no');
    assert.equal(brief(await client.until('Z')), 'E(42501) Z(I)');
    assert.equal(await target.rows(), 0, 'the pipeline was really aborted');
    assert.deepEqual(world.gate.ends(), ['25P02'], 'and the trail says that the insert was undone');
  });

  it('skips to Sync after a refusal, exactly as the server', async () => {
    const client = await world.raw();
    client.send(
      pbes('delete from t -- denied'),
      pbes('insert into t values (1)'),
      build.query('select 3'),
      build.sync(),
    );
    assert.equal(brief(await client.until('Z')), '1 E(42501) Z(I)');
    assert.deepEqual(world.gate.texts(), ['delete from t -- denied']);
    assert.equal(await target.rows(), 0);
  });

  it('leaves no stale unnamed statement behind a refused Parse', async () => {
    const client = await world.raw();
    client.send(build.parse('', 'insert into t values (9)'), build.sync());
    await client.until('Z');
    client.send(build.parse('', 'not sql'), build.bind('', ''), build.execute(''), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(42601) Z(I)');
    client.send(build.bind('', ''), build.execute(''), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(26000) Z(I)');
    assert.equal(await target.rows(), 0);
  });

  it('keeps the old statement when the server refused a second Parse of its name', async () => {
    const client = await world.raw();
    client.send(build.parse('s', 'delete from t -- held'), build.sync());
    await client.until('Z');
    client.send(build.parse('s', 'select 1'), build.sync(), build.bind('', 's'), build.execute(''), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(42P05) Z(I)');
    const hold = await world.gate.hold();
    assert.equal(hold.operation.text, 'delete from t -- held');
    hold.deny('no');
    await client.until('Z');
  });

  it('keeps E inside BEGIN after a refusal, by the server itself', async () => {
    const client = await world.raw();
    await client.send(build.query('begin')).until('Z');
    client.send(pbes('delete from t -- denied'), build.sync());
    assert.equal(brief(await client.until('Z')), '1 E(42501) Z(E)');
    assert.equal(brief(await client.send(pbes('rollback'), build.sync()).until('Z')), '1 2 n C(ROLLBACK) Z(I)');
  });

  it('asks anew for each execution: another parameter, the same portal again', async () => {
    const client = await world.raw();
    world.gate.decide = ({ effects }) => (effects.some(({ action }) => action === 'insert') ? 'hold' : 'allow');
    const insert = [build.parse('s', 'insert into t values ($1)'), build.bind('p', 's', ['1']), build.execute('p')];
    await client.send(build.query('begin')).until('Z');
    client.send(...insert, build.sync());
    (await world.gate.hold(0)).approve();
    await client.until('Z');
    client.send(build.execute('p'), build.sync());
    (await world.gate.hold(1)).deny('once is enough');
    assert.match(brief(await client.until('Z')), /E\(42501\) Z\(E\)$/);
    await client.send(build.query('rollback')).until('Z');
    client.send(build.bind('', 's', ['2']), build.execute(''), build.sync());
    const third = await world.gate.hold(2);
    assert.equal(Buffer.from(third.operation.parameters[0]!.value!).toString(), '2');
    third.deny('no');
    await client.until('Z');
  });

  it('continues a suspended portal under its permit, and settles once with all rows', async () => {
    const client = await world.raw();
    client.send(build.query('begin'));
    await client.until('Z');
    client.send(
      build.parse('', 'select generate_series(1, 5)'),
      build.bind('p', ''),
      build.execute('p', 2),
      build.execute('p', 2),
      build.flush(),
    );
    assert.equal(brief([...(await client.until('s')), ...(await client.until('s'))]), '1 2 D D s D D s');
    client.send(build.execute('p', 2), build.sync());
    assert.equal(brief(await client.until('Z')), 'D C(SELECT 1) Z(T)');
    assert.deepEqual(world.gate.texts(), ['begin', 'select generate_series(1, 5)']);
    assert.deepEqual(world.gate.ends(), ['BEGIN', 'SELECT 1']);
    const { outcome } = world.gate.outcomes[1]!;
    assert.equal(outcome.kind === 'done' && outcome.rows, 5);
  });

  it('settles a bound portal that is never executed', async () => {
    const client = await world.raw();
    client.send(build.parse('', 'select 1'), build.bind('', ''), build.describe('P', ''), build.sync());
    assert.equal(brief(await client.until('Z')), '1 2 T Z(I)');
    assert.deepEqual(world.gate.ends(), ['BIND']);
  });

  it("refuses unknown statements and portals in the server's words", async () => {
    const client = await world.raw();
    for (const message of [
      build.bind('', 'nope'),
      build.describe('S', 'nope'),
      build.describe('P', 'nope'),
      build.execute('nope'),
    ]) {
      const refused = await client.send(message, build.sync()).until('Z');
      assert.match(brief(refused), /^E\((26000|34000)\) Z\(I\)$/);
    }
    assert.equal(client.sentTypes(), 'SSSS');
  });

  it('admits a write that takes its time without reordering what follows', async () => {
    const client = await world.raw();
    client.send(
      pbes("insert into t values (1,'later')"),
      pbes('select v from t'),
      build.sync(),
      build.query('select 1'),
    );
    assert.equal(brief(await client.until('Z')), '1 2 n C(INSERT 0 1) 1 2 T D C(SELECT 1) Z(I)');
    assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
  });

  it('reads with a slow inspector as with a fast one', async () => {
    world.inspector.late = true;
    const client = await world.raw();
    const burst = Buffer.concat([pbes('insert into t values (1)'), build.sync(), build.query('execute nope')]);
    assert.equal(brief(await client.send(burst).until('Z')), '1 2 n C(INSERT 0 1) Z(I)');
    assert.equal(brief(await client.until('Z')), 'E(26000) Z(I)');
  });
});
