import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import type { Card } from '../queue/cards.ts';
import { aCard, CHANNEL, type Stage, stage, until } from '../test/support/bot-stage.ts';

let serial = 0;
function fresh(changes: Partial<Card> = {}): Card {
  serial += 1;
  return aCard({ shortId: `rt-${serial}`.padEnd(9, 'x'), ...changes });
}
const denied = (card: Card, sequence: number): Card => ({
  ...card,
  sequence,
  state: 'denied',
  settled: { at: Date.now(), by: 'U0ALICE', reason: `at ${sequence}`, executed: 'no' },
});

type Message = { ts: string; thread_ts?: string; text: string; blocks?: unknown[] };
const json = (message: Message | undefined): string => JSON.stringify(message ?? null);

describe('where a card goes', () => {
  let on: Stage;
  let redis: Redis;
  before(async () => {
    on = await stage({ bots: 2 });
    redis = new Redis(on.redis.url);
  });
  after(async () => {
    redis.disconnect();
    await on.stop();
  });
  beforeEach(() => on.slack.fault({ kind: 'clear' }));

  const read = async (channel: string): Promise<Message[]> =>
    ((await on.slack.read('messages', { channel })).messages ?? []) as Message[];
  /** Messages of this card in a channel, threads left out. */
  const of = async (card: Card, channel = CHANNEL) =>
    (await read(channel)).filter((one) => one.thread_ts === undefined && one.text.includes(card.shortId));
  const saying = (card: Card, text: string | RegExp, channel = CHANNEL, ms?: number) =>
    until(
      `${channel} says ${text}`,
      async () =>
        (await of(card, channel)).find((one) =>
          typeof text === 'string' ? json(one).includes(text) : text.test(json(one)),
        ),
      ms,
    );
  const thread = async (channel: string, ts: string) => (await read(channel)).filter((one) => one.thread_ts === ts);
  const notDue = (card: Card) =>
    until('nothing is due', async () => (await redis.zscore('countersign:bot:due', card.hold)) === null);

  describe('when its own channel cannot take it', () => {
    const closed = [
      ['does not exist, or never invited the bot', 'C0NOWHERE', {}, /no such channel/],
      ['has no bot in it', 'C0GENERAL', {}, /not in the channel/],
      ['is archived', 'C0GENERAL', { archived: true, add: ['U0GATEBOT'] }, /archived/],
    ] as const;
    for (const [what, channel, change, why] of closed)
      it(`goes to the default channel with a warning that says why: it ${what}`, async () => {
        if (Object.keys(change).length > 0) await on.slack.act('channel', { channel, ...change });
        const card = fresh({ channel, fallbackChannel: CHANNEL });
        await on.card(card);
        const shown = await saying(card, 'asked here instead');
        assert.match(json(shown), why);
        const answer = await on.slack.act('click', {
          user: 'U0ALICE',
          channel: CHANNEL,
          ts: shown.ts,
          action_id: 'approve',
        });
        assert.equal(answer.ok, true);
        await until('the vote', () => on.votes().some(({ hold }) => hold === card.hold));
        await on.card(denied(card, 2));
        await saying(card, 'at 2');
        assert.equal((await of(card)).length, 1);
      });

    it('tells the gateway when the default channel cannot take it either', async () => {
      const card = fresh({ channel: 'C0NOWHERE', fallbackChannel: 'C0NEVER' });
      await on.card(card);
      const said = await until('the gateway is told', () =>
        on.got.find((one) => one.kind === 'posted' && one.hold === card.hold && one.error !== undefined),
      );
      assert.ok(said.kind === 'posted');
      assert.match(said.error ?? '', /no such channel/);
      assert.equal(said.channel, 'C0NEVER');
      await on.card(denied(card, 2));
    });
  });

  describe('with notify: both', () => {
    it('also sends a working copy to everybody who may decide, but not to who asks or answers for it', async () => {
      const card = fresh({ notify: 'both', people: ['U0BOB', 'U0GUEST'] });
      await on.card(card);
      await saying(card, '"approve"');
      const copy = await saying(card, '"approve"', 'D0ALICE');
      await saying(card, '"approve"', 'D0CAROL');
      await saying(card, '"approve"', 'D0GUEST');
      await notDue(card);
      assert.equal((await of(card, 'D0BOB')).length, 0, 'the sponsor');
      const clicked = { user: 'U0ALICE', channel: 'D0ALICE', ts: copy.ts, action_id: 'approve' };
      assert.equal((await on.slack.act('click', clicked)).ok, true);
      await until('the vote', () =>
        on.votes().some((vote) => vote.hold === card.hold && vote.voter.user === 'U0ALICE'),
      );
      await on.card(denied(card, 2));
      for (const channel of [CHANNEL, 'D0ALICE', 'D0CAROL', 'D0GUEST']) {
        const shown = await saying(card, 'at 2', channel);
        assert.doesNotMatch(json(shown), /"action_id":"approve"/);
        assert.equal((await of(card, channel)).length, 1);
      }
    });

    it('posts no copy twice when replies are lost or Slack limits the rate, and leaves out who cannot be reached', async () => {
      await on.slack.fault({ kind: 'lose_reply', method: 'chat.postMessage', count: 2 });
      await on.slack.fault({ kind: 'rate_limit', method: 'conversations.open', count: 1, retryAfter: 1 });
      const card = fresh({ notify: 'both', people: ['U0XNOBODY'] });
      await on.card(card);
      await saying(card, '"approve"', 'D0ALICE', 15_000);
      await saying(card, '"approve"', 'D0CAROL', 15_000);
      await notDue(card);
      await on.card(denied(card, 2));
      for (const channel of [CHANNEL, 'D0ALICE', 'D0CAROL']) {
        await saying(card, 'at 2', channel);
        assert.equal((await of(card, channel)).length, 1, channel);
      }
    });
  });

  describe('with notify: dm', () => {
    it('leaves the channel quiet; the thread lives under the copies', async () => {
      const card = fresh({ notify: 'dm' });
      await on.card(card);
      const copy = await saying(card, '"approve"', 'D0ALICE');
      const other = await saying(card, '"approve"', 'D0CAROL');
      await notDue(card);
      const notice = {
        kind: 'notice',
        v: 2,
        id: `n-${card.hold}`,
        channel: CHANNEL,
        hold: card.hold,
        at: Date.now(),
      } as const;
      await on.send({ ...notice, text: 'Approved by Alice.' });
      await until('the threads', async () => (await thread('D0CAROL', other.ts)).length === 1);
      await until('the other thread', async () => (await thread('D0ALICE', copy.ts)).length === 1);
      assert.equal((await thread('D0ALICE', copy.ts))[0]?.text, 'Approved by Alice.');
      assert.equal(
        (await read(CHANNEL)).some(({ text }) => text.includes(card.shortId) || text === 'Approved by Alice.'),
        false,
      );
      await on.card(denied(card, 2));
      await saying(card, 'at 2', 'D0ALICE');
      await saying(card, 'at 2', 'D0CAROL');
    });

    it('asks in the channel, with a warning, when no direct message reaches anybody', async () => {
      await on.slack.fault({ kind: 'error', method: 'conversations.open', error: 'messages_tab_disabled', count: 10 });
      const card = fresh({ notify: 'dm', people: ['U0GUEST'] });
      const known = await on.startBot(); // one that knows no channel of anybody yet
      for (const bot of on.bots.slice(0, -1)) await bot.stop();
      assert.equal(known.troubles().length, 0);
      await on.card(card);
      await saying(card, 'No direct message reached anybody');
      await on.card(denied(card, 2));
      await saying(card, 'at 2');
      await on.startBot();
    });
  });

  describe('what follows a card', () => {
    it('goes under it, once although its reply was lost, with those it rings', async () => {
      const card = fresh();
      await on.card(card);
      const { ts } = await saying(card, '"approve"');
      await on.slack.fault({ kind: 'lose_reply', method: 'chat.postMessage', count: 1 });
      const notice = {
        kind: 'notice',
        v: 2,
        id: `r-${card.hold}`,
        channel: CHANNEL,
        hold: card.hold,
        at: Date.now(),
      } as const;
      await on.send({ ...notice, text: 'Half of <the> time is over.', ring: ['@dba-oncall', 'U0BOB'] });
      await until('the reminder', async () => (await thread(CHANNEL, ts)).length > 0);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      assert.deepEqual(
        (await thread(CHANNEL, ts)).map(({ text }) => text),
        ['<!subteam^S0DBA> <@U0BOB> Half of &lt;the&gt; time is over.'],
      );
    });

    it('waits for the card it belongs under, and a person is told with a link to it', async () => {
      const card = fresh();
      await on.slack.fault({ kind: 'error', method: 'chat.postMessage', error: 'restricted_action', count: 1 });
      const text = 'Your request waits.';
      await on.card(card);
      await on.send({ kind: 'reply', v: 2, id: randomUUID(), user: 'U0BOB', text, hold: card.hold });
      await until('the gateway is told', () =>
        on.got.some((one) => one.kind === 'posted' && one.hold === card.hold && one.error),
      );
      assert.equal((await read('D0BOB')).length, 0);
      await on.card({ ...card, sequence: 2, estimate: 'about 7 rows' });
      const { ts } = await saying(card, 'about 7 rows');
      const told = await until('the requester', async () =>
        (await read('D0BOB')).find((one) => one.text.startsWith(text)),
      );
      assert.match(told.text, new RegExp(`archives/${CHANNEL}/p${ts.replace('.', '')}\\|Open its card>$`));
    });
  });

  it('rings on the first post only whom the gateway names in quiet hours', async () => {
    const card = fresh({ ring: ['U0BOB'] });
    await on.card(card);
    const shown = await saying(card, 'please decide');
    assert.match(json(shown), /<@U0BOB> please decide/);
    assert.doesNotMatch(json(shown), /subteam/);
  });
});

describe('a channel that strangers read', () => {
  it('gets no card: the default channel does, with a warning', async () => {
    const on = await stage();
    try {
      await on.slack.act('channel', { channel: 'C0GENERAL', ext_shared: true, add: ['U0GATEBOT'] });
      const card = fresh({ channel: 'C0GENERAL', fallbackChannel: CHANNEL });
      await on.card(card);
      assert.match(json(await on.shown(card, 'asked here instead')), /shared with another organisation/);
      const strangers = (await on.slack.read('messages', { channel: 'C0GENERAL' })).messages as Message[];
      assert.deepEqual(strangers, []);
    } finally {
      await on.stop();
    }
  });
});

describe('whose card is next', () => {
  it('posts nothing of what was withdrawn first, and lets no flood delay another agent by more than 2 s', async () => {
    const on = await stage({ bots: 2, rate: 'strict' });
    try {
      const flood = Array.from({ length: 60 }, () => fresh());
      for (const card of flood) await on.card(card);
      await until('the flood has begun', async () => (await on.messages()).length > 2);
      const other = fresh({ requester: { ...aCard().requester, name: 'deploy-bot', subject: 'deploy-bot' } });
      const begun = performance.now();
      await on.card(other);
      await on.shown(other, 'DELETE FROM orders', 6_000);
      const took = performance.now() - begun;
      assert.ok(took < 2_000, `${Math.round(took)} ms`);
      const settled = { at: Date.now(), reason: 'cancelled', executed: 'no' } as const;
      for (const card of flood) await on.card({ ...card, sequence: 2, state: 'withdrawn', settled });
      await until(
        'all withdrawn',
        async () => {
          const left = (await on.messages()).filter(({ text }) => text.includes('waits for approval')).length;
          return left === 1;
        },
        30_000,
      );
      const posted = (await on.messages()).length;
      assert.ok(posted < 15, `${posted} messages of 61`);
      const later = fresh();
      const again = performance.now();
      await on.card(later);
      await on.shown(later, 'DELETE FROM orders', 6_000);
      assert.ok(performance.now() - again < 2_000, 'the withdrawn ones hold nothing up');
    } finally {
      await on.stop();
    }
  });
});
