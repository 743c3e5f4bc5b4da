import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CardJob } from '../../queue/cards.ts';
import { demand, operation } from '../../test/support/hold-stage.ts';
import type { Demand } from '../policy/policy.ts';
import type { Clock } from './clock.ts';
import type { Follower } from './follower.ts';
import type { Hold, Vote } from './hold.ts';
import { rungIn } from './quiet.ts';
import { reminders } from './reminders.ts';
import { routing, union } from './routing.ts';
import { threads } from './thread.ts';
import { toldRequesters } from './told.ts';

const NIGHT = { from: 22 * 60, to: 7 * 60, zone: 'Europe/Berlin', ring: ['@night-oncall'] };
const NOON = Date.UTC(2026, 5, 1, 12);

/** Time that stands still until it is moved. */
function steered(start: number) {
  let passed = 0;
  let pending: { at: number; run: () => void }[] = [];
  const clock: Clock = {
    now: () => start + passed,
    monotonic: () => passed,
    after: (ms, run) => {
      const one = { at: passed + ms, run };
      pending.push(one);
      return () => {
        pending = pending.filter((other) => other !== one);
      };
    },
  };
  const advance = (ms: number) => {
    const end = passed + ms;
    for (;;) {
      const next = pending.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      pending = pending.filter((other) => other !== next);
      passed = Math.max(passed, next.at);
      next.run();
    }
    passed = end;
  };
  return { clock, advance };
}

function stage(options: { demands?: Demand[]; start?: number; minutes?: number; quiet?: boolean } = {}) {
  const { clock, advance } = steered(options.start ?? NOON);
  const sent: CardJob[] = [];
  const deps = {
    publish: { send: async (job: CardJob) => void sent.push(job), close: async () => {} },
    clock,
    log: () => {},
    gateway: 'gw-test',
    redact: (text: string) => text.replaceAll('4111111111111111', '[card]'),
    quietHours: () => (options.quiet ? NIGHT : undefined),
    members: (name: string) => (name === '@dba-oncall' ? ['U0ALICE', 'U0BOB', 'U0CAROL'] : undefined),
    oidcMembers: async () => [],
    people: () => [],
  };
  const demands = options.demands ?? [demand({ quorum: 2 })];
  const hold = {
    id: '3fa85f64-5717-4562-b3fc-2c963f66afa6',
    shortId: '3fa85f',
    operation: operation(),
    openedAt: clock.now(),
    openedMonotonic: 0,
    demands,
    counted: demands.map(() => 0),
    votes: new Map<string, Vote>(),
    names: new Map([['U0ALICE', 'Alice Moreau']]),
    phase: { kind: 'open' },
    deadline: { at: clock.now() + (options.minutes ?? 10) * 60_000, by: 'rule' },
    oidc: new Map(),
    extra: undefined,
    reached: 'queue',
    revision: 1,
    sequence: 1,
    digest: 'ab'.repeat(32),
    releasedAt: undefined,
    auditHead: undefined,
  } as unknown as Hold;
  const approve = (follower: Follower, user: string, change: Partial<Vote> = {}) => {
    hold.votes.set(user, { user, at: clock.now(), voter: { name: user } as Vote['voter'], ...change } as Vote);
    hold.counted = demands.map(() => hold.votes.size);
    follower.voted?.(hold);
  };
  const notices = () => sent.flatMap((job) => (job.kind === 'notice' ? [job] : []));
  const replies = () => sent.flatMap((job) => (job.kind === 'reply' ? [job] : []));
  return { hold, deps, advance, approve, notices, replies };
}

describe('who is asked, and where', () => {
  it('is the union of what the demands ask for', () => {
    assert.equal(union([{}, {}]), 'channel');
    assert.equal(union([{ notify: 'dm' }]), 'dm');
    assert.equal(union([{ notify: 'dm' }, {}]), 'both');
    assert.equal(union([{ notify: 'both' }]), 'both');
  });

  it('names the default channel as the way out, where the rule has another', () => {
    const other = stage({ demands: [demand({ channel: 'C0ORDERS', notify: 'dm' })] });
    const follower = routing({ channel: () => 'C0APPROVALS', quietHours: () => undefined, now: other.deps.clock.now });
    follower.opening?.(other.hold);
    assert.deepEqual(other.hold.extra, { notify: 'dm', fallbackChannel: 'C0APPROVALS' });
    other.hold.demands = [demand()];
    follower.changed?.(other.hold);
    assert.deepEqual(other.hold.extra, {}, 'what the rules no longer say is gone');
  });

  it('knows the quiet hours of a zone, over midnight and in summer', () => {
    const at = (hour: number, minute = 0) => Date.UTC(2026, 5, 1, hour, minute); // Berlin is two hours ahead
    assert.equal(rungIn(NIGHT, at(19, 59)), undefined);
    assert.deepEqual(rungIn(NIGHT, at(20)), ['@night-oncall']);
    assert.deepEqual(rungIn(NIGHT, at(4, 59)), ['@night-oncall']);
    assert.equal(rungIn(NIGHT, at(5)), undefined);
    assert.equal(rungIn(undefined, at(1)), undefined);
  });
});

describe('reminders', () => {
  it('ring once, half-way, those who have not voted', () => {
    const { hold, deps, advance, approve, notices } = stage();
    const follower = reminders(deps);
    follower.opened?.(hold);
    approve(follower, 'U0ALICE');
    advance(4.9 * 60_000);
    assert.equal(notices().length, 0);
    advance(0.2 * 60_000);
    assert.deepEqual(notices()[0]?.ring, ['U0CAROL'], 'not who voted, not the sponsor');
    assert.match(notices()[0]?.text ?? '', /schema-changes has 1 of 2/);
    follower.changed?.(hold);
    advance(60 * 60_000);
    assert.equal(notices().length, 1);
  });

  it('wait for a deadline that moved, and never come after the end', () => {
    const { hold, deps, advance, notices } = stage();
    const follower = reminders(deps);
    follower.opened?.(hold);
    Object.assign(hold, { deadline: { at: hold.openedAt + 20 * 60_000, by: 'token' } });
    advance(9 * 60_000);
    assert.equal(notices().length, 0);
    advance(2 * 60_000);
    assert.equal(notices().length, 1);
    const other = stage();
    const ended = reminders(other.deps);
    ended.opened?.(other.hold);
    ended.ended?.(other.hold);
    other.advance(60 * 60_000);
    assert.equal(other.notices().length, 0);
  });

  it('in quiet hours ring the night alone; an escalation rings all the same, once', () => {
    const escalate = { to: '@leads', afterMs: 60_000 };
    const demands = [demand({ escalate }), demand({ rule: 'other', escalate })];
    const { hold, deps, advance, notices } = stage({ demands, quiet: true, start: Date.UTC(2026, 5, 1, 23) });
    const follower = reminders(deps);
    follower.opened?.(hold);
    advance(90_000);
    follower.changed?.(hold);
    advance(9 * 60_000);
    assert.deepEqual(
      notices().map(({ ring }) => ring),
      [['@leads'], ['@night-oncall']],
    );
    assert.match(notices()[0]?.text ?? '', /Nobody has decided for 1 min/);
  });
});

describe('the thread under a card', () => {
  const done = { kind: 'done', outcome: { kind: 'done', tag: 'DELETE 3', rows: 3, ms: 12 } };

  it('says votes, what was taken back, release and outcome; what comes in one breath is one message', () => {
    const { hold, deps, advance, approve, notices } = stage();
    const follower = threads(deps);
    approve(follower, 'U0ALICE', { reason: 'card 4111111111111111', remark: 'joined @dba-oncall a minute ago' });
    advance(2_000);
    hold.votes.delete('U0ALICE');
    follower.voted?.(hold);
    advance(2_000);
    approve(follower, 'U0ALICE');
    follower.released?.(hold);
    Object.assign(hold, { phase: { ...done, at: NOON, releasedAt: NOON } });
    follower.ended?.(hold);
    assert.deepEqual(
      notices().map(({ text }) => text.split('\n')),
      [
        ['Approved by Alice Moreau (1 of 2 for schema-changes), joined @dba-oncall a minute ago: “card [card]”.'],
        ['Alice Moreau took the approval back.'],
        ['Approved by Alice Moreau (1 of 2 for schema-changes).', 'Released 12:00:04 UTC.', 'DELETE 3 rows in 12 ms.'],
      ],
    );
    assert.equal(new Set(notices().map(({ id }) => id)).size, 3);
    advance(60_000);
    assert.equal(notices().length, 3);
  });

  it('says of what had run already that it goes on, or is confirmed, and never that nothing was run', () => {
    const touched = { rows: 5, bytes: 9, preview: [], touched: { rows: 5, estimate: 1 } };
    for (const [stopped, letGo, rest] of [
      [
        { rows: 1_000, bytes: 9, preview: [] },
        /^The result goes on 12:00:00 UTC\.$/m,
        /The first 1,000 rows were sent/,
      ],
      [touched, /^Confirmed 12:00:00 UTC\.$/m, /It was rolled back: nothing of it was kept/],
    ] as const) {
      const { hold, deps, advance, approve, notices } = stage();
      Object.assign(hold.operation, { stopped });
      const follower = threads(deps);
      approve(follower, 'U0ALICE');
      follower.released?.(hold);
      advance(2_000);
      assert.match(notices().at(-1)?.text ?? '', letGo);
      Object.assign(hold, { phase: { kind: 'denied', at: NOON, by: 'U0ALICE', reason: '' } });
      follower.ended?.(hold);
      assert.match(notices().at(-1)?.text ?? '', rest);
    }
  });

  it('rings the approvers anew when the rules changed, and says nothing where nothing followed', () => {
    const { hold, deps, notices } = stage();
    threads(deps).changed?.(hold);
    assert.deepEqual(notices()[0]?.ring, ['@dba-oncall']);
    const quiet = stage();
    const follower = threads(quiet.deps);
    Object.assign(quiet.hold, { phase: { kind: 'expired', at: NOON, clock: 'rule' } });
    follower.ended?.(quiet.hold);
    assert.equal(quiet.notices().length, 0);
  });
});

describe('a requester who is a person', () => {
  it('hears that it waits, and what became of it, by whom and why', () => {
    const { hold, deps, replies } = stage();
    Object.assign(hold, {
      operation: operation({ principal: { ...operation().principal, kind: 'human', slack: 'U0DAN' } }),
    });
    const follower = toldRequesters(deps);
    follower.opened?.(hold);
    assert.match(
      replies()[0]?.text ?? '',
      /^Your request waits for approval until 12:10:00 UTC, by @dba-oncall\. PROD/,
    );
    assert.deepEqual([replies()[0]?.user, replies()[0]?.hold], ['U0DAN', hold.id]);
    Object.assign(hold, { phase: { kind: 'denied', at: NOON, by: 'U0ALICE', reason: 'not today' } });
    follower.ended?.(hold);
    assert.match(replies()[1]?.text ?? '', /Denied by Alice Moreau: not today\. Nothing was run\./);
  });

  it('is not an agent, and not who cancelled', () => {
    const { hold, deps, replies } = stage();
    const follower = toldRequesters(deps);
    follower.opened?.(hold);
    assert.equal(replies().length, 0);
    Object.assign(hold, {
      operation: operation({ principal: { ...operation().principal, kind: 'human', slack: 'U0DAN' } }),
    });
    Object.assign(hold, { phase: { kind: 'withdrawn', at: NOON, code: 'WITHDRAWN', reason: 'cancelled' } });
    follower.ended?.(hold);
    assert.equal(replies().length, 0);
  });
});
