/** Approver groups: pinned, at most a minute old, and nobody joins one unnoticed. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type HoldStage, startHoldStage } from '../../test/support/hold-stage.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { type Clock, systemClock } from './clock.ts';
import { DIRECTORY_KEY, Directory, type DirectoryMessage } from './directory.ts';

describe('approver groups', () => {
  let redis: TestRedis;
  let stage: HoldStage;
  before(async () => {
    redis = await startRedis();
    stage = await startHoldStage({ redis });
    while (!(await stage.commands.exists(DIRECTORY_KEY))); // the stage's own gateway has its first answer
  });
  after(async () => {
    await stage.stop();
    await redis.stop();
  });

  let serial = 0;
  const directory = (clock: Clock = systemClock) => {
    const asked: string[] = [];
    const notices: { id: string; text: string }[] = [];
    const logs: string[] = [];
    const made = new Directory({
      gateway: stage.gateway,
      store: stage.store,
      audit: stage.audit,
      clock,
      newId: () => `ask-${++serial}`,
      channel: () => 'C0APPROVALS',
      log: (message) => void logs.push(message),
      onNews: () => {},
      publish: {
        send: async (job) => {
          if (job.kind === 'directory') asked.push(job.id);
          if (job.kind === 'notice') notices.push(job);
        },
        close: async () => {},
      },
    });
    const answer = async (
      members: string[],
      change: Partial<DirectoryMessage> & { id?: string; group?: string; readAt?: number } = {},
    ) => {
      const { group = 'S0DBA', readAt = clock.now(), ...rest } = change;
      await made.ask(['@dba-oncall']);
      await made.receive({
        kind: 'directory',
        v: 1,
        id: asked.at(-1) ?? '',
        team: 'T0ACME',
        groups: [{ name: '@dba-oncall', id: group, handle: 'dba-oncall', members, readAt }],
        missing: [],
        unreadable: [],
        at: clock.now(),
        ...rest,
      });
    };
    return { made, answer, notices, logs, asked };
  };

  it('announces and records a change once, whichever gateway sees it, and says who joined within the hour', async () => {
    await stage.commands.del(DIRECTORY_KEY);
    const [a, b] = [directory(), directory()];
    await a.answer(['U0ALICE']);
    await b.answer(['U0ALICE']);
    assert.deepEqual([a.notices, b.notices], [[], []], 'the first reading is no change');
    assert.equal(a.made.remark('U0ALICE', ['@dba-oncall']), undefined);
    const before = stage.audit.of('group.changed').length;
    await a.answer(['U0CAROL']);
    await b.answer(['U0CAROL']);
    assert.deepEqual(
      a.notices.map(({ text }) => text),
      ['Who may approve has changed: @dba-oncall: added U0CAROL; removed U0ALICE.'],
    );
    assert.deepEqual(b.notices, [], 'it is known by then');
    assert.equal(stage.audit.of('group.changed').length, before + 1);
    for (const { made } of [a, b])
      assert.equal(made.remark('U0CAROL', ['@dba-oncall']), 'joined @dba-oncall 0 minutes ago');
  });

  it('gives the same change the same id on two gateways that see it at the same time', async () => {
    await stage.commands.del(DIRECTORY_KEY);
    const [a, b] = [directory(), directory()];
    await a.answer(['U0ALICE']);
    await b.answer(['U0ALICE']);
    await stage.commands.del(DIRECTORY_KEY); // neither learns it from the other
    await a.answer(['U0ALICE', 'U0EVE']);
    await stage.commands.del(DIRECTORY_KEY);
    await b.answer(['U0EVE', 'U0ALICE']);
    assert.equal(a.notices[0]?.id, b.notices[0]?.id);
    assert.match(a.notices[0]?.id ?? '', /^[A-Za-z0-9-]+$/);
  });

  it('no longer counts a handle that was given to another group, says so once, and takes it back when it returns', async () => {
    await stage.commands.del(DIRECTORY_KEY);
    const { made, answer, notices } = directory();
    await answer(['U0ALICE']);
    await answer(['U0EVE'], { group: 'S0EVIL' });
    await answer(['U0EVE'], { group: 'S0EVIL' });
    assert.deepEqual([made.groupId('@dba-oncall'), made.members('@dba-oncall')], [undefined, undefined]);
    assert.equal(notices.length, 1);
    assert.match(notices[0]?.text ?? '', /now stands for another group in Slack \(S0EVIL, before: S0DBA\)/);
    const restarted = directory();
    await restarted.made.load();
    assert.equal(restarted.made.groupId('@dba-oncall'), 'S0DBA', 'the pin outlives a restart');
    await answer(['U0ALICE']);
    assert.equal(made.groupId('@dba-oncall'), 'S0DBA');
  });

  it('knows members for a minute, and nothing that was read before that', async () => {
    let ahead = 0;
    const clock: Clock = { ...systemClock, now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead };
    const { made, answer } = directory(clock);
    await answer(['U0ALICE']);
    assert.deepEqual(made.members('@dba-oncall'), ['U0ALICE']);
    ahead = 61_000;
    assert.equal(made.members('@dba-oncall'), undefined);
    await answer(['U0ALICE'], { readAt: clock.now() - 61_000 });
    assert.equal(made.members('@dba-oncall'), undefined);
    await answer(['U0ALICE'], { readAt: clock.now() - 50_000 });
    assert.deepEqual(made.members('@dba-oncall'), ['U0ALICE']);
    ahead += 11_000;
    assert.equal(made.members('@dba-oncall'), undefined, 'it is as old as its reading, not as its arrival');
  });

  it('is not told anything by another workspace, by an old answer, or about names it did not ask for', async () => {
    await stage.commands.del(DIRECTORY_KEY);
    const { made, answer, logs, asked } = directory();
    await answer(['U0ALICE']);
    await answer(['U0EVE'], { team: 'T0EVIL' });
    assert.deepEqual(made.members('@dba-oncall'), ['U0ALICE']);
    assert.ok(logs.some((line) => /another workspace/.test(line)));
    await answer(['U0EVE'], { id: asked[0] ?? '' });
    assert.deepEqual(made.members('@dba-oncall'), ['U0ALICE'], 'a question is answered once');
    await answer([], {
      groups: [{ name: '@gate-admins', id: 'S1', handle: 'gate-admins', members: ['U0EVE'], readAt: Date.now() }],
    });
    assert.equal(made.groupId('@gate-admins'), undefined);
  });

  it('begins anew, and says so, when what is kept in Redis was not written by a gateway', async () => {
    await stage.commands.set(DIRECTORY_KEY, JSON.stringify({ by: 'x', body: '{}', sig: 'y' }));
    const { made, logs, answer } = directory();
    await made.load();
    assert.ok(logs.some((line) => /cannot be used/.test(line)));
    await answer(['U0ALICE']);
    assert.equal(made.groupId('@dba-oncall'), 'S0DBA');
  });
});
