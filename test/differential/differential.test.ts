/** A slice of `npm run soak -- differential`, with fixed seeds: what is claimed of statements beside what they did. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { claimOf } from './claim.ts';
import { compareAll, compareBuiltins, compareGenerated, hostileScripts, policyCases } from './differential.ts';
import { Observer } from './observer.ts';
import { differentReadings } from './readings.ts';
import { openStage, type Stage } from './stage.ts';

describe('what a statement is said to do, beside what it did', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(async () => {
    await stage?.close();
  });

  it('notices every kind of change', async () => {
    const observer = new Observer(stage, 'gate');
    for (const [sql, kind] of [
      ["INSERT INTO den.canary (what) VALUES ('x')", 'rows'],
      ['DELETE FROM den.owner', 'rows'],
      ['SELECT id FROM den.owner FOR UPDATE', 'rows'],
      ['CREATE TABLE den.made ()', 'rows'],
      ["SELECT nextval('den.counter')", 'sequence'],
      ['LOCK TABLE den.base', 'lock'],
      ['SELECT pg_advisory_lock(1)', 'lock'],
      ["SELECT set_config('attack.mark', 'x', false)", 'setting'],
      ['LISTEN other', 'channels'],
      ["SELECT pg_notify('canary', 'x')", 'notified'],
      ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'cursors'],
      ['PREPARE p AS SELECT 1', 'prepared'],
      ['SELECT lo_create(0)', 'rows'],
      ['SELECT pg_current_xact_id()', 'xid'],
      ['SELECT pg_terminate_backend(pg_backend_pid())', 'session'],
    ] as const) {
      const { changes } = await observer.run([sql]);
      assert.ok(
        changes.some((change) => change.kind === kind),
        `${sql}: ${JSON.stringify(changes)}`,
      );
    }
    assert.deepEqual((await observer.run(['SELECT * FROM den.base'])).changes, []);
    await observer.close();
  });

  it('calls no policy case a read that changed something', async () => {
    const tally = await compareAll(stage, await policyCases(), 'gate', { held: 25, parsed: 8 });
    assert.deepEqual(tally.wrong, []);
    assert.ok(tally.harmless > 60 && tally.parsed > 8, JSON.stringify(tally));
  });

  it('calls no hostile SELECT a read that changed something, on a connection that knows no table yet', async () => {
    const scripts = await hostileScripts();
    const tally = await compareAll(stage, scripts, 'gate', { held: 8, parsed: 8, fresh: true });
    assert.deepEqual(tally.wrong, []);
    assert.ok(tally.harmless > 20 && tally.heldChanged > 5, JSON.stringify(tally));
  });

  it('calls harmless no function, operator, cast or view of PostgreSQL that does something', async () => {
    const tally = await compareBuiltins(stage, 'postgres', 37);
    assert.deepEqual(tally.wrong, []);
    assert.ok(tally.harmless > 100, JSON.stringify(tally));
  });

  it('calls no generated statement a read that changed something', async () => {
    const tally = await compareGenerated(stage, 'gate', 20_260_701, 250, { held: 10, parsed: 10 });
    assert.deepEqual(tally.wrong, []);
    assert.ok(tally.harmless > 70 && tally.heldChanged > 2, JSON.stringify(tally));
  });

  it('keeps reads of ordinary tables, plain views and common indexes reads', async () => {
    for (const sql of [
      'SELECT * FROM den.base ORDER BY x',
      'SELECT DISTINCT note FROM den.column_index WHERE x = 1',
      'SELECT * FROM den.v_clean',
      'SELECT * FROM den.virtual',
      "SELECT 'x'::den.sound",
    ]) {
      const claim = await claimOf(stage.inspector, [sql]);
      assert.ok('harmless' in claim && claim.harmless, sql);
    }
  });

  it('counts a cast as code that a superuser made of a function of PostgreSQL that does something', async () => {
    const superuser = await stage.connect('postgres');
    const claimed = async () => {
      await stage.inspector.refresh();
      const claim = await claimOf(stage.inspector, ['SELECT x::bigint::boolean FROM den.base']);
      return 'harmless' in claim && claim.harmless;
    };
    await superuser.query('CREATE CAST (bigint AS boolean) WITH FUNCTION pg_try_advisory_lock(bigint)');
    assert.equal(await claimed(), false);
    await superuser.query('DROP CAST (bigint AS boolean)');
    assert.equal(await claimed(), true);
    await superuser.end();
  });

  it('reads every odd literal, comment, number and name as the server does', async () => {
    const readings = await differentReadings(stage, 11, 600);
    assert.deepEqual(readings.wrong, []);
    assert.ok(readings.compared > 150, `${readings.compared}`);
    // The comparison itself can tell: with the other string syntax the server reads otherwise.
    const other = await differentReadings(
      stage,
      11,
      600,
      'SET standard_conforming_strings = off; SET escape_string_warning = off',
    );
    assert.ok(other.wrong.length > 0);
  });
});
