/** A rule over a trail that is known to the last entry: what it would have done, and what nobody can say. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newDir, openTrail } from '../../test/support/trail.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { stoppedFields } from '../holds/record.ts';
import { compile } from '../policy/compile.ts';
import { parseLine } from '../policy/line.ts';
import type { Rule } from '../policy/policy.ts';
import type { Asker } from './asks.ts';
import { ruleSimulateAnswers } from './rule-simulate.ts';

const ASKER: Asker = {
  user: 'U0',
  team: 'T0',
  name: 'A',
  admin: false,
  approver: true,
  own: () => false,
  channel: 'C0',
  ask: 'a',
};
const DAY_MS = 86_400_000;
const rule = (line: string): Rule => {
  const parsed = parseLine(line);
  assert.ok(parsed.kind === 'rule');
  return parsed.rule;
};

let n = 0;
const operation = (subject: string, effects: readonly object[], more: object = {}): AuditEntry => ({
  kind: 'operation',
  operation: `op-${++n}`,
  session: `s-${subject}`,
  principal: `https://a#${subject}`,
  connection: 'orders',
  headline: `statement ${n}`,
  effects,
  verdict: 'allow',
  rules: ['default:read'],
  ...more,
});
const outcome = (rows: number | null): AuditEntry => ({ kind: 'outcome', operation: `op-${n}`, outcome: 'done', rows });

async function simulated(
  entries: readonly AuditEntry[],
  line: string,
  options: { slack?: string[]; now?: number } = {},
) {
  const dir = newDir();
  const trail = await openTrail(dir);
  for (const entry of entries) trail.append(entry);
  await trail.close();
  const slackRules = (options.slack ?? []).map(rule);
  const answers = ruleSimulateAnswers({
    dir: () => dir,
    around: () => ({
      fileRules: [],
      slackRules,
      connections: ['orders'],
      approvers: ['@dba'],
      issuers: [{ issuer: 'https://a', audience: 'x' }],
    }),
    compiled: (rules) =>
      compile({
        fileRules: [],
        slackRules: rules,
        connections: [{ name: 'orders', default: { read: 'allow', write: 'hold', unknown: 'hold' } }],
        defaults: { channel: 'C0', approvers: ['@dba'], expiresMs: 1_000, expiresInTransactionMs: 1_000 },
      }),
    now: () => options.now ?? Date.now(),
  });
  const said = await answers['rule-simulate']({ do: 'rule-simulate', line }, ASKER);
  assert.equal(said.ok, true, said.text);
  return said.simulated ?? assert.fail('nothing was simulated');
}
const counts = async (...args: Parameters<typeof simulated>) => {
  const { operations, held, denied, allowed, unknown } = await simulated(...args);
  return { operations, held, denied, allowed, unknown };
};

/** How far one had come when it was asked about again. */
const FIRST = { rows: 1_000, bytes: 9_000, preview: [], usedUp: undefined };
const READ = [{ action: 'read', object: 'public.customers' }];
const DELETE = [{ action: 'delete', object: 'public.customers', where: 'absent' }];

describe('rules simulate', () => {
  it('counts what the rule would have held or denied, whose, and shows the newest three', async () => {
    const entries = [
      ...['a', 'a', 'a', 'b'].map((subject) => operation(subject, DELETE)),
      operation('a', READ),
      operation('a', [{ action: 'delete', object: 'public.orders', where: 'present' }]),
    ];
    const found = await simulated(entries, 'deny delete on orders.customers');
    assert.deepEqual(found.agents, [
      { name: 'a', count: 3 },
      { name: 'b', count: 1 },
    ]);
    assert.equal(found.denied, 4);
    assert.deepEqual(
      found.samples.map(({ agent, verdict }) => [agent, verdict]),
      [
        ['a', 'deny'],
        ['a', 'deny'],
        ['b', 'deny'],
      ],
    );
    assert.equal((await simulated(entries, 'hold delete on orders where absent')).held, 4);
  });

  it('counts a statement once that was asked about twice: its COMMIT, or the rest of its result', async () => {
    const asked = (effects: readonly object[]) => operation('a', effects, { verdict: 'hold' });
    const again = (of: AuditEntry, more: object): AuditEntry => ({ ...of, ...more });
    const [write, read] = [asked(DELETE), asked(READ)];
    const commits = stoppedFields({ ...FIRST, touched: { rows: 550, estimate: 3, withinMs: 60_000 } });
    const unread = stoppedFields(FIRST);
    assert.notDeepEqual(Object.keys(commits), Object.keys(unread), 'each is recorded in a way of its own');
    const entries = [write, again(write, commits), read, again(read, unread)];
    assert.deepEqual(await counts(entries, 'deny * on orders'), {
      operations: 2,
      held: 0,
      denied: 2,
      allowed: 0,
      unknown: 0,
    });
  });

  it('counts what an allow would let pass that is held now', async () => {
    const entries = [operation('a', DELETE), operation('a', READ)];
    assert.deepEqual(await counts(entries, 'allow delete on orders'), {
      operations: 2,
      held: 0,
      denied: 0,
      allowed: 1,
      unknown: 0,
    });
    for (const rule of ['masking:held', 'masking:reveal']) {
      const masked = operation('a', DELETE, { verdict: 'hold', rules: ['default:write', rule] });
      assert.equal((await simulated([masked], 'allow delete on orders')).allowed, 0, `${rule} asks all the same`);
    }
    const denied = { slack: ['deny delete on orders'] };
    assert.equal((await simulated(entries, 'allow delete on orders', denied)).allowed, 0);
  });

  it('judges a limit by the rows that came; what came of it unknown, it says so', async () => {
    const read = (rows: number | null) => [operation('a', READ), outcome(rows)];
    const entries = [...read(10), ...read(11), ...read(null), operation('a', READ)];
    assert.deepEqual(await counts(entries, 'hold read on orders rows > 10'), {
      operations: 4,
      held: 1,
      denied: 0,
      allowed: 0,
      unknown: 2,
    });
    assert.equal((await counts(entries, 'deny read on orders bytes > 1MB')).unknown, 4);
    assert.equal((await counts(entries, 'deny read on orders rows per hour > 1')).unknown, 4);
  });

  it('knows groups of sessions whose beginning it read, and no others', async () => {
    const start = { kind: 'session.start', session: 's-a', name: 'a', groups: ['dev'] } as const;
    const entries = [start, operation('a', READ), operation('b', READ)];
    assert.deepEqual(await counts(entries, 'hold read on orders by group:dev'), {
      operations: 2,
      held: 1,
      denied: 0,
      allowed: 0,
      unknown: 1,
    });
    assert.deepEqual((await counts(entries, 'hold read on orders by https://a#b')).held, 1);
  });

  it('leaves out what was refused before any rule, rests of results and changes of the gateway; counts what it cannot read', async () => {
    const entries = [
      operation('a', READ, { verdict: 'refused' }),
      operation('a', READ, { stopped: { rows: 5, bytes: 5 } }),
      operation('a', READ, { connection: 'gate' }),
      operation('a', [{ action: 'unheard of', object: 'x' }]),
    ];
    assert.deepEqual(await counts(entries, 'hold read on orders'), {
      operations: 1,
      held: 0,
      denied: 0,
      allowed: 0,
      unknown: 1,
    });
  });

  it('looks back a day and no further', async () => {
    const entries = [operation('a', DELETE)];
    assert.equal((await counts(entries, 'hold delete on orders', { now: Date.now() + DAY_MS + 60_000 })).operations, 0);
    assert.equal((await counts(entries, 'hold delete on orders', { now: Date.now() + DAY_MS - 60_000 })).operations, 1);
  });
});
