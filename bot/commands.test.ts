/** `/gate` through the bot, over both transports: what reaches gateways, what comes back, and who sees it. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import type { Answer, Ask } from '../queue/asks.ts';
import { type Consumer, consumeAsks } from '../queue/carry.ts';
import { connectCommands, connected } from '../queue/connection.ts';
import { GATEWAYS_KEY, leaseKey } from '../queue/leases.ts';
import { newKeyPair, seal, signingKey, verifyingKey } from '../queue/sign.ts';
import { CHANNEL, type Stage, stage, until } from '../test/support/bot-stage.ts';
import { hasButton, shownBy } from '../test/support/workspace.ts';

const noop = () => {};

for (const mode of ['socket', 'http'] as const) {
  describe(`/gate through a bot, ${mode} mode`, { timeout: 90_000 }, () => {
    let it_: Stage;
    let redis: Redis;
    let consumers: Consumer[];
    let asked: { gateway: string; ask: Extract<Ask, { kind: 'ask' }> }[];
    let onAsk: (ask: Ask, gateway: string) => Promise<Partial<Answer>>;

    const live = async (gateway: string) => {
      const sealed = seal({ v: 1, gateway, at: Date.now() }, leaseKey(gateway), it_.gatewayKey);
      await redis.set(leaseKey(gateway), JSON.stringify(sealed), 'PX', 60_000);
      await redis.sadd(GATEWAYS_KEY, gateway);
    };
    const consumer = (gateway: string): Consumer =>
      consumeAsks({
        url: it_.redis.url,
        gateway,
        key: it_.gatewayKey,
        keys: () => [verifyingKey(signingKey(it_.env.COUNTERSIGN_BOT_KEY ?? '').public)],
        concurrency: 5,
        handle: async (ask) => {
          if (ask.kind === 'ask') asked.push({ gateway, ask });
          return { v: 1, id: ask.id, gateway, ok: true, text: '', sections: [], ...(await onAsk(ask, gateway)) };
        },
        onForged: noop,
        onTrouble: noop,
      });
    const type = (user: string, text: string) =>
      it_.slack.act('command', { user, channel: CHANNEL, command: '/gate', text });
    const whispers = async (user: string) => (await it_.messages(user)).filter(({ ephemeral }) => ephemeral);
    const said = (user: string, text: RegExp, ms?: number) =>
      until(
        `${user} is told ${text}`,
        async () => (await whispers(user)).find((one) => text.test(shownBy(one as never))),
        ms,
      );

    before(async () => {
      it_ = await stage({ mode, bots: mode === 'socket' ? 2 : 1 });
      redis = connectCommands(it_.redis.url, noop);
      await connected(redis, 5_000);
      for (const gateway of ['gw-1', 'gw-2']) await live(gateway);
      consumers = ['gw-1', 'gw-2'].map(consumer);
    });
    after(async () => {
      for (const one of consumers) await one.close();
      redis.disconnect();
      await it_.stop();
    });
    beforeEach(() => {
      asked = [];
      onAsk = async (_ask, gateway) => ({ sections: [{ lines: [`it is ${gateway}`] }] });
    });

    it('asks every live gateway, says who asks, and tells the asker alone', async () => {
      assert.equal((await type('U0BOB', 'status')).ok, true);
      const answer = await said('U0BOB', /it is gw-1[\s\S]*it is gw-2/);
      assert.match(shownBy(answer as never), /\/gate status/);
      assert.deepEqual(asked.map(({ gateway }) => gateway).sort(), ['gw-1', 'gw-2']);
      const [{ ask } = assert.fail()] = asked;
      assert.deepEqual(
        [ask.asker.user, ask.asker.team, ask.asker.stranger, ask.channel],
        ['U0BOB', 'T0COUNTERSIGN', false, CHANNEL],
      );
      assert.equal((await whispers('U0ALICE')).length, 0);
    });

    it('asks one gateway what concerns what they share', async () => {
      onAsk = async () => ({ text: 'Frozen: orders, that is' });
      await type('U0ALICE', 'freeze orders');
      await said('U0ALICE', /Frozen: orders, that is/);
      assert.equal(asked.length, 1);
    });

    it('is acknowledged at once, however long gateways take', async () => {
      onAsk = async () => {
        await new Promise((resolve) => setTimeout(resolve, 3_500));
        return { text: 'after a while' };
      };
      const startedAt = performance.now();
      const acknowledged = it_.slack.act('command', {
        user: 'U0CAROL',
        channel: CHANNEL,
        command: '/gate',
        text: 'holds',
        follow: false,
      });
      assert.equal((await acknowledged).ok, true);
      assert.ok(performance.now() - startedAt < 2_500, 'Slack shows an error after 3 s');
      await said('U0CAROL', /after a while/);
    });

    it('says its answer once, whoever gets the command how often', async () => {
      await it_.slack.act('fault', { kind: 'redeliver', count: 1 });
      const before = (await whispers('U0BOB')).length;
      onAsk = async () => ({ text: 'only this once' });
      await type('U0BOB', 'freeze orders');
      await said('U0BOB', /only this once/);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      assert.equal((await whispers('U0BOB')).length, before + 1);
      assert.equal(asked.length, 1, 'the same ask is the same job');
    });

    it('a button says its line as whoever presses it, without asking again', async () => {
      onAsk = async (ask, gateway) => {
        const check = ask.kind === 'ask' && ask.command.do === 'kill-check';
        return check && gateway === 'gw-2' ? { sections: [{ lines: ['on gw-2'] }] } : { text: 'was asked' };
      };
      await type('U0ALICE', 'kill “the night bot”');
      const first = await said('U0ALICE', /Nothing was ended yet[\s\S]*on gw-2/);
      assert.ok(hasButton(first as never, 'gate.0'));
      const checked = { do: 'kill-check', what: 'the night bot' };
      assert.deepEqual(
        asked.splice(0).map(({ ask }) => ask.command),
        [checked, checked],
      );
      await it_.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts: first.ts, action_id: 'gate.0' });
      await said('U0ALICE', /was asked/);
      assert.deepEqual(
        asked.map(({ ask }) => ask.command),
        [
          { do: 'kill', what: 'the night bot' },
          { do: 'kill', what: 'the night bot' },
        ],
      );
    });

    it('offers to kill nobody: where no gateway has anybody called so, it says what it looked for', async () => {
      onAsk = async () => ({});
      await type('U0CAROL', 'kill nobody-called-so');
      const none = await said('U0CAROL', /Nobody is called nobody-called-so: no session has that id[\s\S]*subject/);
      assert.doesNotMatch(JSON.stringify(none), /"value":"kill/);
      await it_.slack.act('click', { user: 'U0CAROL', channel: CHANNEL, ts: none.ts, action_id: 'gate.0' });
      await until('it leads to who is connected', () => asked.some(({ ask }) => ask.command.do === 'sessions'));
      onAsk = async () => ({ ok: false, text: 'Only admins.' });
      await type('U0BOB', 'kill report-bot');
      assert.ok(!hasButton((await said('U0BOB', /Only admins\./)) as never, 'gate.0'), 'nor is it offered to others');
    });

    it('an answer that no trusted gateway sealed is none', async () => {
      const [honest] = consumers;
      await honest?.close();
      const forger = newKeyPair();
      consumers[0] = consumeAsks({
        url: it_.redis.url,
        gateway: 'gw-1',
        key: signingKey(forger.secret),
        keys: () => [verifyingKey(signingKey(it_.env.COUNTERSIGN_BOT_KEY ?? '').public)],
        concurrency: 5,
        handle: async ({ id }) => ({
          v: 1,
          id,
          gateway: 'gw-1',
          ok: true,
          text: 'forged',
          sections: [{ lines: ['forged'] }],
        }),
        onForged: noop,
        onTrouble: noop,
      });
      await type('U0GUEST', 'status');
      const answer = shownBy((await said('U0GUEST', /it is gw-2/, 15_000)) as never);
      assert.match(answer, /One gateway did not answer: gw-1\./);
      assert.doesNotMatch(answer, /forged/);
    });

    it('says so when no gateway runs', async () => {
      await redis.del(leaseKey('gw-1'), leaseKey('gw-2'));
      await type('U0CAROL', 'status');
      await said('U0CAROL', /No gateway is running\./);
    });
  });
}
