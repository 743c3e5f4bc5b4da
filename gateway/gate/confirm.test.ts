/** The question before a COMMIT: when it is asked, in which words, under which clock, and how it is put on record. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { demand, operation, policyOf } from '../../test/support/hold-stage.ts';
import { TrailOfTest } from '../../test/support/trail-of-test.ts';
import { GatewayError } from '../errors.ts';
import { type AdmitContext, createGate, type Permit } from '../gate.ts';
import { deadlineOf } from '../holds/deadline.ts';
import type { Operation, Outcome } from '../operation.ts';
import type { Verdict } from '../policy/policy.ts';
import { commitOf } from './confirm.ts';

const asking: Verdict = { kind: 'hold', rules: ['deletes'], demands: [demand({ rule: 'deletes', confirm: 'rows' })] };
const write = operation({ effects: [{ action: 'delete', object: 'public.t' }], headline: 'DELETE on public.t' });
const DONE: Outcome = { kind: 'done', tag: 'DELETE 41207', rows: 41_207, ms: 3, note: 'committed after confirmation' };

/** A gate whose holds are all approved, at an estimate of `estimate` rows. */
function door({ verdict = asking, estimates = { rows: 3 as number | undefined }, factor = 2 } = {}) {
  const audit = new TrailOfTest();
  const asked: Operation[] = [];
  const settled: Outcome[] = [];
  const now = { verdict };
  const gate = createGate({
    policy: () => ({ ...policyOf(now.verdict), evaluate: () => now.verdict }),
    holds: {
      open: async (about): Promise<Permit> => {
        asked.push(about);
        return {
          operation: about,
          hold: `hold-${asked.length}`,
          confirm: about.stopped ? undefined : { estimate: estimates.rows },
          settle: (outcome) => void settled.push(outcome),
        };
      },
    },
    audit,
    closed: () => undefined,
    redact: (text) => text,
    confirm: () => ({ factor, withinMs: 60_000 }),
    log: () => {},
  });
  const context: AdmitContext = {
    signal: new AbortController().signal,
    tell: () => {},
    credentialEndsAt: () => Number.MAX_SAFE_INTEGER,
    alive: () => true,
  };
  return { gate, context, audit, asked, settled, now };
}

describe('a write under confirm: rows', () => {
  it('passes unasked up to the factor, and is asked about above it', async () => {
    for (const [rows, estimate, factor, asks] of [
      [6, 3, 2, false],
      [7, 3, 2, true],
      [7, 3, 2.5, false],
      [2, 0.1, 2, false],
      [0, undefined, 2, false],
      [1, undefined, 2, true],
      [undefined, 3, 2, true],
    ] as const) {
      const { gate, context } = door({ estimates: { rows: estimate }, factor });
      const permit = await gate.admit(write, context);
      assert.equal(gate.confirm(permit, rows, context) !== undefined, asks, `${rows} of ${estimate} × ${factor}`);
    }
  });

  it('is asked about with both numbers, on record with them, and both holds have its one end', async () => {
    const { gate, context, asked, audit, settled } = door();
    const permit = await gate.admit(write, context);
    await gate.confirm(permit, 41_207, context);
    assert.equal(asked[1]?.headline, 'DELETE on public.t: estimated 3, touched 41,207: commit?');
    assert.match(asked[1]?.risks[0] ?? '', /keeps its locks until this is decided, 60 s at most/);
    assert.deepEqual(audit.entries.at(-1)?.touched, { rows: 41_207, estimate: 3 });
    permit.settle(DONE);
    permit.settle(DONE);
    assert.deepEqual(settled, [DONE, DONE]);
  });

  it('says so where nobody estimated, or counted', async () => {
    const { gate, context, asked } = door({ estimates: { rows: undefined } });
    const permit = await gate.admit(write, context);
    await gate.confirm(permit, undefined, context);
    assert.equal(asked[1]?.headline, 'DELETE on public.t: no estimate, touched an unknown number of rows: commit?');
  });

  it('is refused where the rules deny it by now, and passes where they ask nobody', async () => {
    const { gate, context, now, asked } = door();
    const permit = await gate.admit(write, context);
    now.verdict = { kind: 'deny', rules: ['end'], rule: 'end', why: 'enough' };
    await assert.rejects(
      (async () => gate.confirm(permit, 7, context))(),
      (error: unknown) =>
        error instanceof GatewayError && error.code === 'DENIED' && /It was rolled back/.test(error.hint ?? ''),
    );
    now.verdict = { kind: 'allow', rules: ['default:write'] };
    await gate.confirm(permit, 7, context);
    assert.equal(asked.length, 1);
  });

  it('is refused before anybody is asked where the option cannot be kept', async () => {
    const { gate, context, asked, audit } = door();
    const vacuum = { ...write, unconfirmable: 'this statement cannot run in a transaction block' };
    await assert.rejects(
      async () => gate.admit(vacuum, context),
      /rule deletes has its rows confirmed .* transaction block/,
    );
    assert.deepEqual([asked.length, audit.entries.at(-1)?.verdict], [0, 'refused']);
    const other = door({ verdict: { kind: 'hold', rules: ['x'], demands: [demand()] } });
    other.gate.admit(vacuum, other.context);
    assert.equal(other.asked.length, 1);
  });

  it('waits no longer than its locks may be kept, whatever its rule gives', () => {
    const permit = { operation: write, confirm: { estimate: 3 } };
    const about = commitOf(permit, 7, 20_000);
    const hold = {
      demands: [demand({ expiresMs: 900_000 })],
      openedMonotonic: 0,
      operation: about,
      context: { credentialEndsAt: () => Number.MAX_SAFE_INTEGER } as AdmitContext,
    };
    const clock = { now: () => 1_000_000, monotonic: () => 0, after: () => () => {} };
    const { remaining, deadline } = deadlineOf(hold, clock, 120_000);
    assert.deepEqual([remaining, deadline.by], [20_000, 'transaction']);
  });
});
