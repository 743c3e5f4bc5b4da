/** Who may let something through: quorum, two rules at once, refused clickers, forged votes, and what cannot be approved at all. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { newKeyPair, seal, signingKey } from '../queue/sign.ts';
import { votesQueue } from '../queue/votes.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';

const { alice, bob, carol, guest } = PEOPLE;

/** Every rule of this file is about its own table, so that one world serves all. */
const rules = [
  {
    id: 'two-eyes',
    match: { object: 'two_eyes*' },
    verdict: 'hold',
    approvers: ['@dba-oncall', bob],
    quorum: 2,
    why: 'Two people look',
  },
  { id: 'first-of-two', match: { object: 'both_rules' }, verdict: 'hold', approvers: [alice], why: 'Alice owns it' },
  {
    id: 'second-of-two',
    match: { object: 'both_rules' },
    verdict: 'hold',
    approvers: ['@dba-oncall'],
    quorum: 2,
    why: 'DBAs too',
  },
  { id: 'only-bob', match: { object: 'only_bob' }, verdict: 'hold', approvers: [bob], why: 'Bob owns it' },
  {
    id: 'anyone',
    match: { object: 'anyone*' },
    verdict: 'hold',
    approvers: [alice, bob, carol, guest],
    why: 'Anyone may',
  },
  { id: 'soon', match: { object: 'soon' }, verdict: 'hold', approvers: [alice], expires: '2s', why: 'Quickly' },
];

for (const slackMode of ['socket', 'http'] as const)
  describe(`who may approve, over ${slackMode === 'http' ? 'signed HTTP' : 'Socket Mode'}`, {
    timeout: 180_000,
  }, () => {
    let world: World;
    let slack: Workspace;
    let url: string;

    before(async () => {
      world = await startWorld({ slackMode, config: (config: Config) => ({ ...config, rules }) });
      slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
      url = await world.downstream();
      await withClient(world.upstreamUrl, async (client) => {
        for (const table of [
          'two_eyes',
          'two_eyes_left',
          'two_eyes_cut',
          'two_eyes_late',
          'both_rules',
          'only_bob',
          'anyone',
          'anyone_else',
          'soon',
          'anyone_forged',
          'anyone_agent',
        ]) {
          await client.query(`CREATE TABLE ${table} (id int); INSERT INTO ${table} VALUES (1), (2), (3)`);
        }
      });
    });
    after(async () => {
      await Psql.endAll();
      await world?.stop();
    });

    /** Sends a held statement on a psql of its own and finds its card. */
    async function held(sql: string, as = url): Promise<{ psql: Psql; card: Message }> {
      const psql = new Psql(as);
      psql.send(sql);
      return { psql, card: await slack.card(sql.replace(/;$/, '')) };
    }
    const rows = async (table: string): Promise<number> =>
      withClient(
        world.upstreamUrl,
        async (client) => (await client.query(`SELECT count(*)::int AS n FROM ${table}`)).rows[0].n,
      );
    /** A click on Approve that is answered so, to its clicker alone. */
    const answered = async (user: string, { ts }: Message, answer: RegExp): Promise<void> => {
      await slack.click(user, { ts }, 'approve');
      await slack.message((shown, { ephemeral }) => ephemeral === true && answer.test(shown), { user });
    };
    const whispers = async (user: string): Promise<number> =>
      (await slack.messages({ user })).filter(({ ephemeral }) => ephemeral).length;

    it('runs only when two different people have approved, and one person counts once', async () => {
      const { psql, card } = await held('DELETE FROM two_eyes;');
      await slack.click(alice, { ts: card.ts }, 'approve');
      const once = await slack.message((shown, message) => message.ts === card.ts && /1 of 2/.test(shown));
      assert.ok(hasButton(once, 'approve'));
      await answered(alice, card, /already|once/i);
      assert.equal(await rows('two_eyes'), 3);
      await slack.click(carol, { ts: card.ts }, 'approve');
      await psql.until('DELETE 3');
      await psql.close();
    });

    it('does not count someone who left the approver group between click and release', async () => {
      const { psql, card } = await held('DELETE FROM two_eyes_left;');
      await slack.click(alice, { ts: card.ts }, 'approve');
      await slack.message((shown, message) => message.ts === card.ts && /1 of 2/.test(shown));
      await slack.post('/group', { handle: 'dba-oncall', remove: [alice] });
      try {
        await slack.click(carol, { ts: card.ts }, 'approve');
        await psql.until(/a vote does not count any more/);
        await slack.message(
          (shown, message) =>
            message.ts === card.ts && shown.includes(carol) && /1 of 2/.test(shown) && hasButton(message, 'approve'),
        );
        assert.equal(await rows('two_eyes_left'), 3, 'released on the vote of someone who is no approver any more');
      } finally {
        await slack.post('/group', { handle: 'dba-oncall', add: [alice] });
        psql.signal('SIGINT');
      }
      await psql.until(/canceling|cancel/i);
      await psql.close();
    });

    /** Alice's click counts once and shows on the one card; a second person is still needed. */
    async function onceOnly(table: string, { psql, card }: { psql: Psql; card: Message }): Promise<void> {
      const now = await slack.message((shown, message) => message.ts === card.ts && /1 of 2/.test(shown));
      assert.ok(hasButton(now, 'approve'));
      assert.equal(await rows(table), 3);
      await slack.click(carol, { ts: card.ts }, 'approve');
      await psql.until('DELETE 3');
      const record = await slack.message((shown, message) => message.ts === card.ts && /DELETE 3 rows in/.test(shown));
      const about = (await slack.messages()).filter(
        (message) => !message.thread_ts && shownBy(message).includes(`DELETE FROM ${table}\n`),
      );
      assert.deepEqual(
        about.map(({ ts }) => ts),
        [record.ts],
      );
      assert.ok(world.bots.every((bot) => bot.alive()));
      await psql.close();
    }

    it('counts a click once whose connection broke before it was acknowledged, and that Slack delivers again', async () => {
      const it = await held('DELETE FROM two_eyes_cut;');
      await slack.fault({ kind: 'cut_delivery', count: 1 });
      const before = await whispers(alice);
      await slack.told(alice, async () => {
        const clicked = await slack.click(alice, { ts: it.card.ts }, 'approve');
        assert.equal(clicked.ok, true, JSON.stringify(clicked));
      });
      await onceOnly('two_eyes_cut', it);
      assert.equal(await whispers(alice), before + 1, 'one click, one answer');
    });

    it('counts one vote when a click is acknowledged too late, Slack says that it failed, and it is clicked again', async () => {
      const it = await held('DELETE FROM two_eyes_late;');
      const [bot] = world.bots;
      bot?.signal('SIGSTOP'); // a machine that stands still for longer than Slack waits
      const late = await slack.click(alice, { ts: it.card.ts }, 'approve');
      bot?.signal('SIGCONT');
      assert.equal(late.ok, false);
      const again = await eventually(async () => (await slack.click(alice, { ts: it.card.ts }, 'approve')).ok, 30_000);
      assert.ok(again, 'no click was acknowledged any more');
      await onceOnly('two_eyes_late', it);
    });

    it('asks every rule that matches: one vote serves each rule that names that person', async () => {
      const { psql, card } = await held('DELETE FROM both_rules;');
      await slack.click(carol, { ts: card.ts }, 'approve');
      await slack.message((shown, message) => message.ts === card.ts && /1 of 2/.test(shown));
      assert.equal(await rows('both_rules'), 3);
      await slack.click(alice, { ts: card.ts }, 'approve');
      await psql.until('DELETE 3');
      await psql.close();
    });

    it('refuses at once where sponsor and requester are all that is left', async () => {
      const psql = new Psql(url, { args: ['--set=VERBOSITY=verbose'] });
      psql.send('DELETE FROM only_bob;');
      const error = await psql.until(/ERROR: .*\n/);
      assert.match(error, /42501/);
      assert.match(error, /approve/i);
      await psql.close();
      assert.equal(await rows('only_bob'), 3);
    });

    it('tells sponsor and guest why their click does not count, and counts an approver’s', async () => {
      const { psql, card } = await held('DELETE FROM anyone;');
      await answered(bob, card, /sponsor/i);
      await answered(guest, card, /guest|member/i);
      assert.equal(await rows('anyone'), 3);
      await slack.click(carol, { ts: card.ts }, 'approve');
      await psql.until('DELETE 3');
      await psql.close();
    });

    it('does not let the requester approve, whoever else may', async () => {
      const token = await world.oidc.personToken('alice');
      const own = `postgres://alice:${encodeURIComponent(token)}@127.0.0.1:${world.gateways[0]?.postgres.port}/orders`;
      const { psql, card } = await held('DELETE FROM anyone_else;', own);
      await answered(alice, card, /you made this request/i);
      assert.equal(await rows('anyone_else'), 3);
      await slack.click(carol, { ts: card.ts }, 'approve');
      await psql.until('DELETE 3');
      await psql.close();
    });

    it('expires natively, on the card and for the client, and runs nothing', async () => {
      const psql = new Psql(url);
      psql.send('DELETE FROM soon;');
      const error = await psql.until(/ERROR: .*\n/);
      assert.match(error, /expired|nobody decided/i);
      await slack.message(
        (shown) => shown.includes('DELETE FROM soon') && /expired/i.test(shown) && /nothing was run/i.test(shown),
      );
      assert.equal(await rows('soon'), 3);
      await psql.close();
    });

    it('counts no vote that was signed with a key it does not trust, however right it is otherwise', async () => {
      const { psql, card } = await held('DELETE FROM anyone_forged;');
      const redis = new Redis(world.redis.url, { maxRetriesPerRequest: null });
      try {
        const keys = await redis.keys('*votes.*:meta');
        const [, prefix, name] = /^(.+):(votes\.[^:]+):meta$/.exec(keys[0] ?? '') ?? [];
        assert.ok(prefix && name && keys.length === 1, `one gateway, one queue of votes: ${keys}`);
        assert.equal(votesQueue(name.slice('votes.'.length)), name);
        const hold = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(JSON.stringify(card.blocks))?.[0];
        const index =
          JSON.stringify(await redis.hgetall(`countersign:bot:card:${hold}`)) +
          (await redis.get(`countersign:bot:card:${hold}`).catch(() => ''));
        const digest = /digest[\\":]+([0-9a-f]{64})/.exec(index)?.[1];
        assert.ok(digest, `the card’s digest is in the bot’s index: ${index.slice(0, 500)}`);
        const now = Date.now();
        const person = {
          team: 'T0COUNTERSIGN',
          user: carol,
          name: 'carol',
          emailConfirmed: true,
          deleted: false,
          bot: false,
          guest: false,
          stranger: false,
          invited: false,
        };
        const vote = {
          kind: 'vote',
          v: 1,
          id: randomUUID(),
          hold,
          digest,
          revision: 1,
          decision: 'approve',
          voter: { ...person, groups: [{ id: 'S0DBA', handle: 'dba-oncall', readAt: now }], readAt: now, unknown: [] },
          clickedAt: now,
          channel: world.channel,
        };
        const queue = new Queue(name, { connection: redis, prefix });
        const forged = await queue.add('vote', seal(vote, name, signingKey(newKeyPair().secret)));
        const over = await eventually(
          async () =>
            !['waiting', 'active', 'delayed', 'prioritized'].includes(await queue.getJobState(forged.id ?? '')),
        );
        assert.ok(over, 'the forged vote was never taken from the queue');
        const still = await slack.message((_, message) => message.ts === card.ts);
        assert.ok(hasButton(still, 'approve'));
        assert.equal(await rows('anyone_forged'), 3);
        await queue.add('vote', seal({ ...vote, id: randomUUID() }, name, signingKey(world.botKey.secret)));
        await psql.until('DELETE 3'); // the same vote under the bot's own key counts: nothing else was wrong with it
        await queue.close();
      } finally {
        redis.disconnect();
      }
      assert.match(await readFile(world.gateways[0]?.log ?? '', 'utf8'), /forged|FORGED|does not verify|trusted/);
      await psql.close();
    });

    it('withdraws on Ctrl-C, natively and on the card', async () => {
      const { psql, card } = await held('DELETE FROM anyone_agent;');
      psql.signal('SIGINT');
      await psql.until(/ERROR: .*cancel/i);
      const record = await slack.message((shown, message) => message.ts === card.ts && /withdrawn/i.test(shown));
      assert.match(shownBy(record), /nothing was run/i);
      await psql.exited; // a psql that reads a script ends at Ctrl-C
      assert.equal(await rows('anyone_agent'), 3);
    });
  });
