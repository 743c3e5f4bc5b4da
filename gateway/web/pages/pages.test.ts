/** Every page for everybody: who sees what, that a recording is on record before it is shown, and hostile content. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import Fastify, { type FastifyInstance } from 'fastify';
import { maySee, type RecordedEvent, type RecordedHead, type Recordings, type Viewer } from '../../recordings/shape.ts';
import type { Guard } from '../guard.ts';
import { csv, field } from './downloads.ts';
import type { Overview } from './overview.ts';
import { type PagesDeps, pages } from './pages.ts';
import { pageOf } from './timeline.ts';

type Line = RecordedHead | RecordedEvent;
const AT = Date.parse('2026-11-23T14:00:00Z');
const ID = '11111111-1111-4111-8111-111111111111';
const ISSUER = 'https://login.example.com';
const HOSTILE = '</script><img src=x onerror=alert(1)> \u202e\u001b]52;c;ZXZpbA==\u0007\u001b]8;;http://evil\u0007';

const head: RecordedHead = {
  v: 1,
  kind: 'session',
  session: ID,
  gateway: 'gw-1',
  startedAt: AT,
  connection: 'orders',
  environment: 'production',
  protocol: 'postgres',
  peer: '127.0.0.1:1',
  principal: {
    issuer: ISSUER,
    subject: 'report-bot',
    kind: 'agent',
    name: `report-bot ${HOSTILE}`,
    groups: [],
    sponsor: 'U0BOB',
  },
};
const held: RecordedEvent[] = [
  {
    t: 10,
    kind: 'operation',
    operation: 'a',
    verdict: 'hold',
    headline: HOSTILE,
    statement: HOSTILE,
    parameters: [HOSTILE],
    rules: ['no-where'],
  },
  { t: 11, kind: 'hold.open', operation: 'a', hold: 'h' },
  { t: 20, kind: 'said', operation: 'a', severity: 'NOTICE', code: '', message: HOSTILE },
  {
    t: 900,
    kind: 'hold.vote',
    operation: 'a',
    hold: 'h',
    user: 'U0CAROL',
    decision: 'approve',
    counted: true,
    reason: HOSTILE,
  },
  { t: 901, kind: 'hold.settled', operation: 'a', hold: 'h', state: 'approved', by: ['U0CAROL'] },
  { t: 902, kind: 'hold.released', operation: 'a', hold: 'h' },
  { t: 903, kind: 'columns', operation: 'a', columns: [{ name: HOSTILE, type: 25, binary: false }] },
  { t: 904, kind: 'rows', operation: 'a', rows: [[HOSTILE], [null], [{ hex: '00ff', cut: 3 }]] },
  { t: 905, kind: 'outcome', operation: 'a', outcome: 'done', tag: 'SELECT 3', rows: 3, ms: 2 },
  {
    t: 906,
    kind: 'operation',
    operation: 'b',
    verdict: 'allow',
    headline: 'second',
    statement: '=1+1',
    parameters: [],
    rules: [],
  },
  { t: 907, kind: 'outcome', operation: 'b', outcome: 'failed', sqlstate: '42P01', message: 'no such table', ms: 1 },
];
const end: RecordedEvent = { t: 999, kind: 'session.end', reason: 'the client left' };

async function* from(lines: Iterable<Line>): AsyncGenerator<Line> {
  yield* lines;
}

const viewer = (subject: string, more: Partial<Viewer> = {}): Viewer => ({
  issuer: ISSUER,
  subject,
  name: subject,
  slack: [],
  admin: false,
  approver: false,
  ...more,
});
const PEOPLE = {
  stranger: viewer('mallory'),
  own: viewer('report-bot'),
  sponsor: viewer('bob', { slack: ['U0BOB'] }),
  approver: viewer('carol', { approver: true }),
  admin: viewer('alice', { admin: true }),
};
type Role = keyof typeof PEOPLE;

const apps: FastifyInstance[] = [];
after(() => Promise.all(apps.map((app) => app.close())));

/** Pages for whoever the header `x-role` says; `stage` is what a test may change while it runs. */
async function stage({ live = false, lookMs }: { live?: boolean; lookMs?: number } = {}) {
  const now = {
    entries: [] as Record<string, unknown>[],
    broken: false,
    lost: false,
    ended: [] as string[],
    order: [] as string[],
  };
  const summary = {
    v: 1 as const,
    session: ID,
    gateway: 'gw-1',
    connection: 'orders',
    environment: 'production',
    protocol: 'postgres',
    principal: `${ISSUER}#report-bot`,
    principalKind: 'agent' as const,
    name: head.principal.name,
    sponsor: 'U0BOB',
    startedAt: AT,
    ...(live ? {} : { endedAt: AT + 999, reason: 'the client left' }),
    operations: 2,
    held: 1,
    denied: 0,
    failed: 1,
    verdicts: ['allow', 'hold'] as const,
    relations: [HOSTILE],
    file: 'f',
    bytes: 1,
  };
  const read = async function* (): AsyncGenerator<Line> {
    now.order.push('read');
    yield* live ? [head, ...held] : [head, ...held, end];
  };
  const recordings: Recordings = {
    search: (_query, visible) => ({ sessions: visible(summary) ? [summary] : [], more: false }),
    find: (session) => (session === ID ? summary : undefined),
    read,
    follow: async function* (_session, signal) {
      yield* read();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
    onChange: () => () => {},
  };
  const whose = { principal: summary.principal, sponsor: summary.sponsor, name: summary.name, kind: 'agent' as const };
  const overview: Overview = {
    gateway: 'gw-1',
    version: '0',
    now: () => AT + 5_000,
    live: () => (live ? [{ ...whose, session: ID, gateway: 'gw-1', connection: 'orders', startedAt: AT }] : []),
    holds: async () => [
      {
        ...whose,
        hold: 'h',
        shortId: 'abc123',
        gateway: 'gw-1',
        environment: 'production',
        connection: 'orders',
        headline: HOSTILE,
        openedAt: AT,
        expiresAt: AT + 9_000,
        demands: [],
        link: 'javascript:alert(1)',
      },
    ],
    gateways: async () => ['gw-1'],
    troubles: async () => ({}),
    verdicts: () => ({ since: AT, hours: [{ at: AT, allow: 3, hold: 1, deny: 0, refused: 0 }] }),
    rules: () => ({ version: 'v', slackVersion: 1, rules: [] }),
    trail: async () => ({ trouble: undefined, dir: '/evidence', heads: [], chains: [], moreChains: 0 }),
    names: async () => new Map([['U0CAROL', 'Carol']]),
    endSession: (session, reason) => now.ended.push(`${session}: ${reason}`) > 0,
  };
  const guard: Guard = {
    guard: async (request, reply) => {
      const who = PEOPLE[request.headers['x-role'] as Role];
      if (!who) {
        reply.code(401).send('nobody is signed in');
        return undefined;
      }
      const again = async () => (now.lost ? undefined : { viewer: who, unread: [] });
      return { viewer: who, csrf: 'the-token', unread: [], endsAt: AT + 1e9, again };
    },
    forbidden: (_request, reply, _who, what) => reply.code(403).send(`you may not see ${what}; ask an admin`),
  };
  const app = Fastify();
  apps.push(app);
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, new URLSearchParams(String(body))),
  );
  const commit: PagesDeps['audit']['commit'] = async (entry) => {
    if (now.broken) throw new Error('the disk is full');
    now.order.push(entry.kind);
    now.entries.push(entry);
  };
  const deps = { recordings, overview, audit: { commit }, log: { warn: () => {} }, ...(lookMs ? { lookMs } : {}) };
  await app.register(async (scope) => pages(scope, guard, deps));
  const get = (url: string, role?: Role) => app.inject({ url, headers: role ? { 'x-role': role } : {} });
  const post = (url: string, role: Role, body: string) =>
    app.inject({
      method: 'POST',
      url,
      body,
      headers: { 'x-role': role, 'content-type': 'application/x-www-form-urlencoded' },
    });
  return { app, now, get, post };
}

const ofSession = (id: string) => [
  `/sessions/${id}`,
  `/sessions/${id}.jsonl`,
  `/sessions/${id}.csv`,
  `/sessions/${id}?op=a`,
  `/sessions/${id}?hold=next&from=b`,
];
const FOREIGN = '22222222-2222-4222-8222-222222222222';

describe('who sees which page', () => {
  it('asks everybody to sign in, on every page', async () => {
    const { get } = await stage();
    for (const url of [
      '/',
      '/sessions',
      '/holds',
      '/rules',
      '/audit',
      ...ofSession(ID),
      `/sessions/${ID}/live`,
      `/sessions/${ID}/end`,
    ]) {
      assert.equal((await get(url)).statusCode, 401, url);
    }
  });

  it('shows a session to admins, approvers, its sponsor and its own, and tells strangers nothing', async () => {
    const { get, now } = await stage();
    for (const role of Object.keys(PEOPLE) as Role[]) {
      const may = role !== 'stranger';
      assert.equal(maySee(PEOPLE[role], { principal: `${ISSUER}#report-bot`, sponsor: 'U0BOB' }), may);
      for (const url of ofSession(ID)) {
        const { statusCode } = await get(url, role);
        assert.ok(may ? statusCode === 200 || statusCode === 303 : statusCode === 403, `${role} ${url}: ${statusCode}`);
      }
      for (const url of [...ofSession(FOREIGN), `/sessions/${FOREIGN}/live`, `/sessions/${FOREIGN}/end`]) {
        const { statusCode } = await get(url, role);
        assert.equal(statusCode, role === 'admin' || role === 'approver' ? 404 : 403, `${role} ${url}`);
      }
    }
    for (const url of [`/sessions/${ID}/live`, `/sessions/${ID}/end`]) {
      const [there, not] = [await get(url, 'stranger'), await get(url.replace(ID, FOREIGN), 'stranger')];
      assert.deepEqual([there.statusCode, there.body], [403, not.body], 'the same of what there is and what not');
    }
    assert.ok(!now.entries.some(({ principal }) => principal === `${ISSUER}#mallory`));
  });

  it('lists to each what is theirs, and the trail to admins alone', async () => {
    const { get } = await stage({ live: true });
    for (const role of Object.keys(PEOPLE) as Role[]) {
      for (const url of ['/', '/sessions', '/holds']) {
        const { statusCode, body } = await get(url, role);
        assert.equal(statusCode, 200);
        assert.equal(body.includes('report-bot'), role !== 'stranger', `${role} ${url}`);
      }
      assert.equal((await get('/audit', role)).statusCode, role === 'admin' ? 200 : 403);
      assert.equal((await get('/rules', role)).statusCode, 200);
    }
  });

  it('puts each view on record before anything is read, and shows nothing where it cannot', async () => {
    const { get, now } = await stage();
    await get(`/sessions/${ID}`, 'sponsor');
    await get(`/sessions/${ID}.csv`, 'sponsor');
    assert.deepEqual(now.order, ['recording.viewed', 'read', 'recording.viewed', 'read']);
    assert.deepEqual(
      now.entries.map(({ principal, session, how }) => [principal, session, how]),
      [
        [`${ISSUER}#bob`, ID, 'page'],
        [`${ISSUER}#bob`, ID, 'download'],
      ],
    );
    now.broken = true;
    for (const url of [...ofSession(ID), `/sessions/${ID}/live`]) {
      const { statusCode, body } = await get(url, 'admin');
      assert.equal(statusCode, 503, url);
      assert.ok(!body.includes('no-where'));
    }
    assert.equal(now.order.filter((one) => one === 'read').length, 2);
  });

  it('ends a session for an admin who says why, on record first, and for nobody else', async () => {
    const { get, post, now } = await stage({ live: true });
    for (const role of ['stranger', 'own', 'sponsor', 'approver'] as const) {
      assert.equal((await post(`/sessions/${ID}/end`, role, 'reason=x')).statusCode, 403, role);
    }
    assert.match((await get(`/sessions/${ID}/end`, 'admin')).body, /name="csrf" value="the-token"/);
    assert.equal((await post(`/sessions/${ID}/end`, 'admin', 'reason=')).statusCode, 400);
    now.broken = true;
    assert.equal((await post(`/sessions/${ID}/end`, 'admin', 'reason=x')).statusCode, 503);
    assert.deepEqual(now.ended, []);
    now.broken = false;
    assert.equal((await post(`/sessions/${ID}/end`, 'admin', 'reason=it+leaks')).statusCode, 303);
    assert.deepEqual(now.ended, [`${ID}: alice ended this session: it leaks`]);
    assert.equal(now.entries.find(({ kind }) => kind === 'kill')?.reason, 'it leaks');
  });
});

describe('a live session', () => {
  it('is followed from the line that the viewer has, until they may not see it any more', {
    timeout: 30_000,
  }, async () => {
    const { app, now } = await stage({ live: true, lookMs: 20 });
    const address = await app.listen({ port: 0, host: '127.0.0.1' });
    const headers = { 'x-role': 'sponsor', 'last-event-id': '10' };
    const response = await fetch(`${address}/sessions/${ID}/live`, { headers });
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    let text = '';
    for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(piece).toString();
      if (text.includes('event: upto')) now.lost = true;
    }
    assert.match(text, /event: operation\ndata: \{"id":"b"/);
    assert.doesNotMatch(text, /"id":"a"/);
    assert.match(text, /id: 12\nevent: upto/);
    assert.match(text, /event: gone/);
    assert.equal(now.entries.at(-1)?.how, 'live');
  });
});

describe('hostile content', () => {
  it('is text on every page, and what hides in it is written out', async () => {
    const { get } = await stage({ live: true });
    for (const url of [
      '/',
      '/sessions',
      '/holds',
      `/sessions/${ID}`,
      `/sessions?text=${encodeURIComponent(HOSTILE)}`,
    ]) {
      const { body, headers } = await get(url, 'admin');
      assert.match(String(headers['content-type']), /text\/html/);
      assert.doesNotMatch(
        body,
        /<img|onerror=[^"&]*>|javascript:|<script(?! type="module" src="\/assets\/)|\sstyle="/i,
        url,
      );
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      assert.doesNotMatch(body, /[\u0000-\u0008\u000b-\u001f\u202a-\u202e]/, url);
      assert.match(body, /⟨U\+202E⟩/, url);
    }
  });

  it('is no formula in a spreadsheet', async () => {
    for (const formula of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', ' =1']) {
      assert.match(field(formula), /^"?'/, JSON.stringify(formula));
    }
    assert.equal(field('a "b", c'), '"a ""b"", c"');
    assert.equal(field(-5), '-5');
    let text = '';
    for await (const piece of csv(from([head, ...held, end]))) text += piece;
    const rows = text.trim().split('\r\n');
    assert.equal(rows.length, 3);
    assert.match(rows[1] ?? '', /U0CAROL approve/);
    assert.match(rows[2] ?? '', /second,"'=1\+1"/);
  });

  it('of a million rows or a line of 10 MB is a page of bounded size', async () => {
    const row = {
      t: 1,
      kind: 'rows',
      operation: 'a',
      rows: Array.from({ length: 1_000 }, (_, n) => [String(n), 'x'.repeat(20)]),
    };
    const long = { t: 1, kind: 'rows', operation: 'a', rows: [['y'.repeat(10 << 20)]] };
    const million = function* (): Generator<Line> {
      yield head;
      yield held[0]!;
      yield long;
      for (let n = 0; n < 1_000; n++) yield row;
    };
    const part = await pageOf(from(million()), { page: 1 }, {});
    const [table] = part?.items[0]?.tables ?? [];
    assert.equal(table?.recorded, 1_000_001);
    assert.equal(table?.rows.length, 100);
    assert.equal(table?.rows[0]?.[0]?.text?.length, 1_000);
    assert.ok(JSON.stringify(part).length < 200_000);
  });

  it('of many operations comes 200 a page, and an operation is found on its own', async () => {
    const many = function* (): Generator<Line> {
      yield head;
      for (let n = 1; n <= 1_000; n++) {
        yield {
          t: n,
          kind: 'operation',
          operation: `o${n}`,
          verdict: n % 300 === 0 ? 'hold' : 'allow',
          headline: `number ${n}`,
        };
        yield { t: n, kind: 'outcome', operation: `o${n}`, outcome: 'done', tag: '', ms: 1 };
      }
    };
    const second = await pageOf(from(many()), { page: 2 }, {});
    assert.deepEqual([second?.items.length, second?.items[0]?.id, second?.more], [200, 'o201', true]);
    const fifth = await pageOf(from(many()), { op: 'o900' }, {});
    assert.deepEqual([fifth?.page, fifth?.items.at(-1)?.id, fifth?.more], [5, 'o1000', false]);
    const onlyHeld = await pageOf(from(many()), { page: 1 }, { held: true });
    assert.deepEqual(
      onlyHeld?.items.map(({ id }) => id),
      ['o300', 'o600', 'o900'],
    );
    assert.equal(await pageOf(from(many()), { page: 9 }, {}), undefined);
    assert.equal(await pageOf(from(many()), { op: 'nobody' }, {}), undefined);
  });
});
