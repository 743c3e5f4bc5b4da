/** App Home through a bot: whose it is, when it is published, what it says of gateways that say nothing. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import type { Answer, Ask, Section } from '../queue/asks.ts';
import { type Consumer, consumeAsks } from '../queue/carry.ts';
import { connectCommands, connected } from '../queue/connection.ts';
import { HOME } from '../queue/home.ts';
import { GATEWAYS_KEY, leaseKey } from '../queue/leases.ts';
import { seal, signingKey, verifyingKey } from '../queue/sign.ts';
import { viewErrors } from '../test/slack/blocks.ts';
import { aCard, type Stage, stage, until } from '../test/support/bot-stage.ts';
import { homeView } from './home-view.ts';

const noop = () => {};
const { waits, gateways, reviews } = HOME;

describe('App Home through two bots', { timeout: 90_000 }, () => {
  let it_: Stage;
  let redis: Redis;
  let consumers: Consumer[];
  let asked: string[];
  let sections: (user: string, gateway: string) => Section[];

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
      handle: async (ask: Ask) => {
        const user = ask.kind === 'ask' ? ask.asker.user : '';
        if (gateway === 'gw-1') asked.push(user);
        return { v: 1, id: ask.id, gateway, ok: true, text: '', sections: sections(user, gateway) };
      },
      onForged: noop,
      onTrouble: noop,
    });
  const open = (user: string, tab: 'home' | 'messages' = 'home') => it_.slack.act('home', { user, tab, follow: false });
  const shownTo = async (user: string): Promise<string> =>
    JSON.stringify(((await it_.slack.read('home', { user, open: 'false' })) as { view?: unknown }).view ?? '');
  const shows = (user: string, text: string, ms?: number) =>
    until(`${user} sees ${text}`, async () => (await shownTo(user)).includes(text), ms);

  before(async () => {
    it_ = await stage({ bots: 2 });
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
    sections = (user, gateway) => [{ title: waits.title, lines: [`${gateway} for ${user}`], at: 1 }];
  });

  it('is published when its tab is opened, from what every gateway says of that person', async () => {
    await open('U0BOB', 'messages');
    await open('U0ALICE');
    await shows('U0ALICE', 'gw-1 for U0ALICE');
    await shows('U0ALICE', 'gw-2 for U0ALICE');
    assert.doesNotMatch(await shownTo('U0ALICE'), /U0BOB|Gateways/);
    assert.deepEqual(asked, ['U0ALICE']);
  });

  it('follows what changes, at most once in three seconds a person, and rests while nothing is new', async () => {
    await until(
      'the last one is old enough',
      async () => (await redis.exists('countersign:bot:home:turn:U0ALICE')) === 0,
    );
    asked = [];
    let version = 0;
    sections = (user) => [{ title: waits.title, lines: [`version ${version} for ${user}`], at: 1 }];
    const from = performance.now();
    for (; version < 20; version++) await it_.card(aCard());
    await shows('U0ALICE', 'version 20');
    await until('it is quiet', () => performance.now() - from > 7_000);
    assert.ok(asked.length <= 3, `${asked.length} in 7 s`);
    assert.equal(asked.includes('U0BOB'), false, 'who never opened it is asked nothing about');
  });

  it('names a gateway that does not answer', async () => {
    await live('gw-3');
    await open('U0CAROL');
    await shows('U0CAROL', 'what is theirs is missing: gw-3', 15_000);
    await shows('U0CAROL', 'gw-1 for U0CAROL');
    await redis.del(leaseKey('gw-3'));
  });

  it('is written afresh when somebody else wrote it meanwhile', async () => {
    await redis.hset('countersign:bot:home:shown', 'U0CAROL', JSON.stringify({ hash: 'old', digest: '' }));
    sections = () => [{ title: waits.title, lines: ['after the conflict'], at: 1 }];
    await open('U0CAROL');
    await shows('U0CAROL', 'after the conflict', 15_000);
  });
});

describe('the view of App Home', () => {
  const answer = (gateway: string, sections: Section[]): Answer => ({
    v: 1,
    id: 'x',
    gateway,
    ok: true,
    text: '',
    sections,
  });

  it('shows when something was in the time zone of whoever looks, in notes too', () => {
    const said = 'since 2026-01-02 14:02:11 UTC';
    const sections = [
      { title: waits.title, lines: ['DELETE', said], at: 1 },
      { title: waits.title, lines: [`As it remembers, ${said}`] },
      { title: waits.title, lines: ['More may wait for you.'] },
    ];
    const view = homeView({ answers: [answer('a', sections)], silent: [] });
    assert.equal(viewErrors(view as never), undefined);
    const json = JSON.stringify(view);
    assert.equal(json.match(/"type":"date","timestamp":1767362531/g)?.length, 2);
    assert.match(json, /"type":"context"[^}]*"text":"More may wait/);
  });

  it('puts parts in their order, the oldest first, and says once what all gateways share', () => {
    const review = { title: reviews.title, lines: ['one release'], at: 5 };
    const json = JSON.stringify(
      homeView({
        answers: [
          answer('a', [review, { title: waits.title, lines: ['younger'], at: 9 }]),
          answer('b', [
            review,
            { title: waits.title, lines: ['older'], at: 2 },
            { title: gateways.title, lines: ['b'], at: 1 },
          ]),
        ],
        silent: [],
      }).blocks,
    );
    assert.equal(json.match(/one release/g)?.length, 1);
    const places = ['Waits for you', 'older', 'younger', 'one release', 'Gateways'].map((text) => json.indexOf(text));
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
    assert.ok(places.every((at) => at >= 0));
  });

  it('stays within Slack’s limits, whatever gateways say', () => {
    for (const c of ['a', '<', '\u202e', '😀', '\n', '\u0000']) {
      const section = (title: string, at: number): Section => ({
        title,
        lines: Array(60).fill(c.repeat(250)),
        link: `https://x.example/${c.repeat(100)}`,
        buttons: Array(5).fill({ label: c.repeat(20), line: c.repeat(250), confirm: c.repeat(140), danger: true }),
        at,
      });
      const sections = Object.values(HOME).flatMap(({ title }) =>
        Array.from({ length: 14 }, (_, at) => section(title, at)),
      );
      const view = homeView({
        answers: [answer('a', sections)],
        silent: Array(30).fill('g'.repeat(64)),
        trouble: c.repeat(900),
      });
      assert.equal(viewErrors(view as never), undefined, JSON.stringify(c));
    }
    assert.equal(viewErrors(homeView({ answers: [], silent: [] }) as never), undefined);
  });
});
