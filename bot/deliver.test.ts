import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import type { Card } from '../queue/cards.ts';
import { CARDS_QUEUE } from '../queue/cards.ts';
import { cardPublisher } from '../queue/carry.ts';
import { newKeyPair, seal, signingKey } from '../queue/sign.ts';
import { aCard, CHANNEL, type Stage, stage, until } from '../test/support/bot-stage.ts';

let serial = 0;
function fresh(changes: Partial<Card> = {}): Card {
  serial += 1;
  return aCard({ shortId: `card-${serial}`.padEnd(9, 'x'), ...changes });
}

describe('delivery with two bots', () => {
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
  const of = async (card: Card) => (await on.messages()).filter(({ text }) => text.includes(card.shortId));
  const ended = (card: Card, sequence: number): Card => ({
    ...card,
    sequence,
    state: 'denied',
    settled: { at: Date.now(), by: 'U0ALICE', reason: `at ${sequence}`, executed: 'no' },
  });

  it('finds a card whose reply was lost instead of posting it twice', async () => {
    const card = fresh();
    await on.slack.fault({ kind: 'lose_reply', method: 'chat.postMessage', count: 1 });
    await on.card(card);
    await until('the gateway knows where it hangs', () =>
      on.got.find((message) => message.kind === 'posted' && message.hold === card.hold && message.ts !== undefined),
    );
    await on.card(ended(card, 2));
    await on.shown(card, 'at 2');
    assert.equal((await of(card)).length, 1);
  });

  it('names the people a rule asks, as Slack calls them', async () => {
    const [demand] = aCard().demands;
    const card = fresh({ demands: [{ ...demand!, approvers: ['@dba-oncall', 'U0CAROL'] }] });
    await on.card(card);
    const { blocks } = await on.shown(card, 'DELETE FROM orders');
    assert.match(JSON.stringify(blocks), / from @dba-oncall, Carol Lindqvist/);
  });

  it('names the people and groups that a change of the rules is about, in quotes where they named themselves', async () => {
    const headline = 'Loosen the rules: drops may be approved by U0CAROL, S0DBA, U0NOBODY, too; UPDATE asks for 1';
    const card = fresh({ protocol: 'gate', connection: 'gate', headline });
    await on.card(card);
    const { text, blocks } = await on.shown(card, 'Loosen the rules');
    for (const shown of [text.replaceAll('&amp;', '&'), JSON.stringify(blocks)])
      assert.match(shown, /approved by “Carol Lindqvist”, @dba-oncall, U0NOBODY, too; UPDATE asks for 1/);
    const other = fresh({ headline: 'DELETE on U0CAROL' });
    await on.card(other);
    assert.match((await on.shown(other, 'DELETE on')).text, /DELETE on U0CAROL/, 'a table keeps its name');
  });

  it('posts again after a server error that posted nothing', async () => {
    const card = fresh();
    await on.slack.fault({ kind: 'http_5xx', method: 'chat.postMessage', count: 2, status: 503 });
    await on.card(card);
    await on.shown(card, 'DELETE FROM orders');
    assert.equal((await of(card)).length, 1);
  });

  it('waits out a rate limit without holding up what is not limited', async () => {
    const limited = fresh();
    await on.slack.fault({ kind: 'rate_limit', method: 'chat.postMessage', count: 1, retryAfter: 1 });
    await on.card(limited);
    const begun = performance.now();
    await on.send({
      kind: 'directory',
      v: 1,
      id: 'while-limited',
      gateway: 'gw-test',
      names: ['@dba-oncall'],
      at: Date.now(),
    });
    await until('the directory', () =>
      on.got.find((message) => message.kind === 'directory' && message.id === 'while-limited'),
    );
    assert.ok(performance.now() - begun < 900);
    await on.shown(limited, 'DELETE FROM orders');
    assert.equal((await of(limited)).length, 1);
  });

  it('never lets an older edit follow a newer one, and shows the newest of many', async () => {
    const card = fresh();
    await on.card(card);
    await on.shown(card, 'DELETE FROM orders');
    const orders = Array.from({ length: 30 }, (_, index) => index + 2).sort(() => Math.random() - 0.5);
    await Promise.all(orders.map((sequence) => on.card(ended(card, sequence))));
    await on.shown(card, 'at 31');
    await until('nothing is due', async () => (await redis.zscore('countersign:bot:due', card.hold)) === null);
    assert.match(JSON.stringify(await of(card)), /at 31/);
    assert.equal((await of(card)).length, 1);
  });

  it('posts a card once when both bots are given its versions at the same time', async () => {
    const cards = Array.from({ length: 4 }, () => fresh());
    await Promise.all(
      cards.flatMap((card) => [on.card(card), on.card({ ...card, sequence: 2 }), on.card(ended(card, 3))]),
    );
    for (const card of cards) await on.shown(card, 'at 3');
    for (const card of cards) assert.equal((await of(card)).length, 1);
  });

  it('puts an open card up again, once, when somebody deletes it', async () => {
    const card = fresh();
    await on.card(card);
    const first = await on.shown(card, 'DELETE FROM orders');
    await on.slack.act('delete', { channel: CHANNEL, ts: first.ts });
    await on.card({ ...card, sequence: 2, estimate: 'about 7 rows' });
    const second = await on.shown(card, 'about 7 rows');
    assert.notEqual(second.ts, first.ts);
    await on.slack.act('delete', { channel: CHANNEL, ts: second.ts });
    await on.card(ended(card, 3));
    await until('nothing is due', async () => (await redis.zscore('countersign:bot:due', card.hold)) === null);
    assert.equal((await of(card)).length, 0);
  });

  it('tells the gateway, in a sentence, when a card cannot be posted', async () => {
    const said = (card: Card) =>
      until('an error', () => {
        const message = on.got.find((one) => one.kind === 'posted' && one.hold === card.hold);
        return message?.kind === 'posted' ? message.error : undefined;
      });
    const nowhere = fresh({ channel: 'C0NOWHERE' });
    await on.card(nowhere);
    assert.match(await said(nowhere), /there is no such channel/);
    await on.card(ended(nowhere, 2));
    await on.slack.act('channel', { channel: 'C0GENERAL', ext_shared: true, add: ['U0GATEBOT'] });
    const shared = fresh({ channel: 'C0GENERAL' });
    await on.card(shared);
    assert.match(await said(shared), /shared with another organisation/);
    await on.card(ended(shared, 2));
  });

  it('falls back to a layout Slack takes, so that no request is lost', async () => {
    const card = fresh();
    await on.slack.fault({ kind: 'error', method: 'chat.postMessage', error: 'invalid_blocks', count: 1 });
    await on.card(card);
    const posted = await on.shown(card, 'Waiting for approval');
    assert.match(JSON.stringify(posted.blocks), /"action_id":"deny"/);
    const plain = fresh();
    await on.slack.fault({ kind: 'error', method: 'chat.postMessage', error: 'invalid_blocks', count: 2 });
    await on.card(plain);
    assert.match((await on.shown(plain, 'waits for approval')).text, /DELETE on public\.orders/);
  });

  it('drops what no gateway sealed, and believes no index that Redis was made to hold', async () => {
    const forger = cardPublisher(redis, signingKey(newKeyPair().secret));
    const forged = fresh();
    await forger.send({ kind: 'card', v: 1, card: forged }, `card-${forged.hold}-1`);
    const card = fresh();
    await on.card(card);
    const { ts } = await on.shown(card, 'DELETE FROM orders');
    assert.equal((await of(forged)).length, 0);
    await forger.close();
    const other = fresh();
    await on.card(other);
    await on.shown(other, 'DELETE FROM orders');
    const swapped = await redis.hget(`countersign:bot:card:${other.hold}`, 'card');
    await redis.hset(`countersign:bot:card:${card.hold}`, { card: swapped ?? '' });
    const answer = await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
    assert.match(JSON.stringify(answer.ephemeral), /no longer known here/);
    assert.equal(
      on.votes().some(({ hold }) => hold === card.hold || hold === other.hold),
      false,
    );
    const own = seal({ kind: 'card', v: 1, card }, CARDS_QUEUE, signingKey(newKeyPair().secret));
    await redis.hset(`countersign:bot:card:${card.hold}`, { card: JSON.stringify(own) });
    const again = await on.slack.act('click', { user: 'U0CAROL', channel: CHANNEL, ts, action_id: 'approve' });
    assert.match(JSON.stringify(again.ephemeral), /no longer known here/);
  });

  it('says a notice once although its reply was lost, and a reply once although it comes twice', async () => {
    await on.slack.fault({ kind: 'lose_reply', method: 'chat.postMessage', count: 1 });
    const id = randomUUID();
    await on.send({
      kind: 'notice',
      v: 1,
      id,
      channel: CHANNEL,
      text: 'membership of <!channel> changed',
      at: Date.now(),
    });
    await until('the notice', async () =>
      (await on.messages()).find(({ text }) => text.includes('&lt;!channel&gt; changed')),
    );
    const reply = { kind: 'reply', v: 1, id: randomUUID(), channel: CHANNEL, user: 'U0BOB', text: 'for bob' } as const;
    await on.send(reply);
    await on.send(reply);
    await until('the reply', async () => (await on.messages('U0BOB')).find(({ text }) => text === 'for bob'));
    const after = fresh();
    await on.card(after);
    await on.shown(after, 'DELETE FROM orders');
    const all = await on.messages('U0BOB');
    assert.equal(all.filter(({ text }) => text.includes('&lt;!channel&gt; changed')).length, 1);
    assert.equal(all.filter(({ text }) => text === 'for bob').length, 1);
    assert.equal(
      (await on.messages('U0CAROL')).some(({ text }) => text === 'for bob'),
      false,
    );
  });

  it('answers who is in a group, what it does not know, and who somebody is now', async () => {
    const names = ['@dba-oncall', 'S0ADMINS', '@nobody', 'U0ALICE', 'oidc:sre'];
    await on.send({ kind: 'directory', v: 1, id: 'who', gateway: 'gw-test', names, at: Date.now() });
    const answer = await until('the directory', () =>
      on.got.find((one) => one.kind === 'directory' && one.id === 'who'),
    );
    assert.ok(answer.kind === 'directory');
    assert.equal(answer.team, 'T0COUNTERSIGN');
    assert.deepEqual(
      answer.groups.map(({ name, id, members }) => [name, id, members]),
      [
        ['@dba-oncall', 'S0DBA', ['U0ALICE', 'U0CAROL']],
        ['S0ADMINS', 'S0ADMINS', ['U0ALICE', 'U0CAROL']],
      ],
    );
    assert.deepEqual([answer.missing, answer.unreadable], [['@nobody'], []]);
    // Membership changes: Slack says so by an event, and the next answer is from after it.
    await on.slack.act('group', { handle: 'dba-oncall', remove: ['U0ALICE'] });
    const attested = async (id: string) => {
      const hold = randomUUID();
      await on.send({
        kind: 'attest',
        v: 1,
        id,
        gateway: 'gw-test',
        hold,
        users: ['U0ALICE', 'U0XNOBODY'],
        names,
        at: Date.now(),
      });
      const message = await until('attestation', () =>
        on.got.find((one) => one.kind === 'attestation' && one.id === id),
      );
      return message.kind === 'attestation' ? message.people : [];
    };
    await until(
      'the change is known to both bots',
      async () => {
        const rounds = await Promise.all([attested(randomUUID()), attested(randomUUID()), attested(randomUUID())]);
        return rounds.every(([alice]) => alice?.groups.every(({ id }) => id !== 'S0DBA'));
      },
      40_000,
    );
    const [alice, nobody] = await attested(randomUUID());
    assert.deepEqual(alice?.unknown, ['@nobody']);
    assert.equal(alice?.stranger, false);
    assert.equal(nobody?.stranger, true);
    await on.slack.act('group', { handle: 'dba-oncall', add: ['U0ALICE'] });
  });
});
