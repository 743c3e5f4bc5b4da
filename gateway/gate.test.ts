/** The one door: what passes, what is recorded before it passes, and what never does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { demand, holding, operation, policyOf } from '../test/support/hold-stage.ts';
import { TrailOfTest } from '../test/support/trail-of-test.ts';
import { GatewayError } from './errors.ts';
import { type AdmitContext, createGate, type GateDeps, type Permit } from './gate.ts';

const allow = policyOf({ kind: 'allow', rules: ['default:read'] });
const read = operation({ effects: [{ action: 'read', object: 'public.orders' }] });
const write = operation({
  effects: [
    { action: 'read', object: 'public.a' },
    { action: 'update', object: 'public.b', where: 'present' },
  ],
});

function door(change: Partial<GateDeps> = {}) {
  const audit = new TrailOfTest();
  const controller = new AbortController();
  let alive = true;
  const context: AdmitContext = {
    signal: controller.signal,
    tell: () => {},
    credentialEndsAt: () => Number.MAX_SAFE_INTEGER,
    alive: () => alive,
  };
  const gate = createGate({
    policy: () => allow,
    holds: { open: () => assert.fail('nobody is to be asked') },
    audit,
    closed: () => undefined,
    redact: (text) => text.replaceAll('4111', '[card]'),
    log: () => {},
    ...change,
  });
  return {
    gate,
    audit,
    context,
    controller,
    die: () => {
      alive = false;
    },
  };
}
const refusedWith = (code: string) => (error: unknown) => error instanceof GatewayError && error.code === code;
const sync = (permit: Permit | Promise<Permit>): Permit => {
  assert.ok(!(permit instanceof Promise), 'answered without a promise');
  return permit;
};

describe('the gate', () => {
  it('permits an allowed read at once, recorded before it is forwarded', () => {
    const { gate, audit, context } = door();
    const permit = sync(gate.admit(read, context));
    assert.deepEqual(
      audit.entries.map(({ kind, verdict }) => [kind, verdict]),
      [['operation', 'allow']],
    );
    permit.settle({ kind: 'done', tag: 'SELECT 3', rows: 3, ms: 2 });
    permit.settle({ kind: 'done', tag: 'SELECT 3', rows: 3, ms: 2 });
    assert.equal(audit.of('outcome').length, 1, 'an outcome is recorded once');
  });

  it('permits an allowed write only when its record is on disk', async () => {
    const { gate, audit, context } = door();
    let written = () => {};
    audit.beforeCommit = () =>
      new Promise((resolve) => {
        written = resolve;
      });
    const permit = gate.admit(write, context);
    assert.ok(permit instanceof Promise);
    let permitted = false;
    permit.then(() => {
      permitted = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(permitted, false);
    written();
    await permit;
  });

  it('takes every action but reading, session and transaction for a write', () => {
    for (const action of ['insert', 'update', 'delete', 'ddl', 'dcl', 'call', 'copy-in', 'unknown'] as const) {
      const { gate, context } = door();
      assert.ok(gate.admit(operation({ effects: [{ action, object: 'x' }] }), context) instanceof Promise, action);
    }
    for (const action of ['read', 'copy-out', 'session', 'transaction'] as const) {
      const { gate, context } = door();
      sync(gate.admit(operation({ effects: [{ action, object: 'x' }] }), context));
    }
  });

  it('lets nothing pass that cannot be recorded', async () => {
    const { gate, audit, context } = door();
    audit.fails = () => true;
    assert.throws(() => gate.admit(read, context), /disk is full/);
    await assert.rejects(Promise.resolve(gate.admit(write, context)), /disk is full/);
  });

  it('refuses an operation of which nothing is known, whatever the rules say', () => {
    const { gate, audit, context } = door();
    const blank = operation({ effects: [] });
    assert.throws(() => gate.admit(blank, context), refusedWith('DENIED'));
    assert.equal(gate.preview(blank), 'deny');
    assert.equal(audit.entries[0]?.verdict, 'refused');
  });

  it('names the rule that denies and why, and records it', () => {
    const policy = policyOf({ kind: 'deny', rules: ['privileges'], rule: 'privileges', why: 'Through Terraform' });
    const { gate, audit, context } = door({ policy: () => policy });
    assert.throws(
      () => gate.admit(read, context),
      (error) => {
        assert.ok(error instanceof GatewayError);
        assert.equal(error.message, 'denied by rule privileges: Through Terraform');
        return error.code === 'DENIED' && error.hint !== undefined;
      },
    );
    assert.deepEqual([audit.entries[0]?.verdict, audit.entries[0]?.rule], ['deny', 'privileges']);
  });

  it('is closed while the state it needs is not there, and says why', () => {
    const { gate, audit, context } = door({ closed: () => 'Redis has been away for 61 s' });
    assert.throws(
      () => gate.admit(read, context),
      (error) => refusedWith('UNAVAILABLE')(error) && /61 s/.test(String(error)),
    );
    assert.equal(audit.of('outcome').length, 0);
    assert.deepEqual([audit.entries[0]?.verdict, audit.entries[0]?.code], ['refused', 'UNAVAILABLE'], 'and on record');
  });

  it('permits nothing to a client that is gone, before or while its record is written', async () => {
    const gone = door();
    gone.controller.abort('the client left');
    assert.throws(() => gone.gate.admit(read, gone.context), refusedWith('WITHDRAWN'));
    assert.deepEqual([gone.audit.entries[0]?.verdict, gone.audit.entries[0]?.code], ['refused', 'WITHDRAWN']);
    const leaving = door();
    const permit = leaving.gate.admit(write, leaving.context);
    leaving.controller.abort('the client left');
    await assert.rejects(Promise.resolve(permit), refusedWith('WITHDRAWN'));
    assert.match(String(leaving.audit.of('outcome')[0]?.message), /not sent: the client left/);
    const dead = door();
    const late = dead.gate.admit(write, dead.context);
    dead.die();
    await assert.rejects(Promise.resolve(late), refusedWith('WITHDRAWN'));
  });

  it('never throws when an outcome cannot be recorded, and keeps the target’s words past the detectors', () => {
    const { gate, audit, context } = door();
    const first = sync(gate.admit(read, context));
    first.settle({ kind: 'failed', sqlstate: '23505', message: 'card 4111 exists', ms: 1 });
    assert.equal(audit.of('outcome')[0]?.message, 'card [card] exists');
    const second = sync(gate.admit(read, context));
    audit.fails = () => true;
    second.settle({ kind: 'unknown', reason: 'gone', ms: 1 });
  });

  it('hands what a rule holds to people, and previews it without asking anybody', async () => {
    const policy = holding(demand());
    const asked: string[] = [];
    const holds: GateDeps['holds'] = {
      open: async (op, verdict) => {
        asked.push(...verdict.rules);
        return { operation: op, hold: 'h', settle: () => {} };
      },
    };
    const { gate, audit, context } = door({ policy: () => policy, holds });
    assert.equal(gate.preview(read), 'hold');
    assert.deepEqual([asked, audit.entries], [[], []]);
    assert.equal((await gate.admit(read, context)).hold, 'h');
    assert.deepEqual(asked, ['schema-changes']);
  });
});
