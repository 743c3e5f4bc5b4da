/** Every page for everybody: who sees what, that a recording is on record before it is shown, and hostile content. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  end,
  from,
  HOSTILE,
  head,
  held,
  ID,
  ISSUER,
  type Line,
  PEOPLE,
  type Role,
  stage,
} from '../../../test/support/pages-stage.ts';
import { maySee } from '../../recordings/shape.ts';
import { csv } from './downloads.ts';
import { operation } from './operation.ts';
import { pageOf } from './paging.ts';

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

  it('finds sessions by their sponsor, of whom an id or part of a name is known', async () => {
    const { get } = await stage();
    for (const [sponsor, found] of [
      ['U0BOB', true],
      ['u0bob', true],
      ['bob.lang@example.com', true],
      ['Lang', true],
      ['U0BO', false],
      ['U0BOB2', false],
      ['Carol', false],
      ['nobody', false],
    ] as const) {
      const { body } = await get(`/sessions?sponsor=${encodeURIComponent(sponsor)}`, 'admin');
      assert.equal(body.includes(`href="/sessions/${ID}"`), found, sponsor);
      assert.ok(body.includes(`name="sponsor" value="${sponsor}"`), 'the form keeps what was asked');
    }
    const { body } = await get('/sessions?sponsor=lang', 'stranger');
    assert.ok(!body.includes(`href="/sessions/${ID}"`), 'of those they may see');
  });

  it('does not call live what a dead gateway left', async () => {
    const { get } = await stage({ lost: true });
    for (const url of ['/sessions', `/sessions/${ID}`]) {
      const { body } = await get(url, 'admin');
      assert.match(body, /its gateway died/, url);
      assert.doesNotMatch(body, /live-word|class="pulse"/, url);
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

  it('ends a session for an admin who says why, on its own gateway, and for nobody else', async () => {
    const { get, post, now } = await stage({ live: true });
    for (const role of ['stranger', 'own', 'sponsor', 'approver'] as const) {
      assert.equal((await post(`/sessions/${ID}/end`, role, 'reason=x')).statusCode, 403, role);
    }
    assert.match((await get(`/sessions/${ID}/end`, 'admin')).body, /name="csrf" value="the-token"/);
    assert.equal((await post(`/sessions/${ID}/end`, 'admin', 'reason=')).statusCode, 400);
    assert.deepEqual(now.wishes, []);
    assert.equal((await post(`/sessions/${ID}/end`, 'admin', 'reason=it+leaks')).statusCode, 303);
    assert.deepEqual(now.wishes, [`alice at gw-1, ${ID}: it leaks`]);
  });

  it('says why a session goes on, or that nobody knows whether it does', async () => {
    const { post, now } = await stage({ live: true });
    for (const [ending, status, words] of [
      ['gone', 409, /It has just ended/],
      ['unrecorded', 503, /trail cannot be written now, so nothing was ended/],
      [undefined, 504, /gw-1, does not answer: look again[\s\S]*\/gate kill/],
    ] as const) {
      now.ending = ending;
      const { statusCode, body } = await post(`/sessions/${ID}/end`, 'admin', 'reason=x');
      assert.equal(statusCode, status);
      assert.match(body, words);
    }
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
      assert.doesNotMatch(body.replaceAll(/[\t\n]/g, ''), /[\p{Cc}\p{Bidi_Control}]/u, url);
      assert.match(body, /⟨U\+202E⟩/, url);
    }
  });

  it('is run by no spreadsheet and obeyed by no terminal, taken away as a file', async () => {
    let text = '';
    for await (const piece of csv(from([head, ...held, end]))) text += piece;
    const rows = text.trim().split('\r\n');
    assert.equal(rows.length, 3);
    assert.match(rows[1] ?? '', /U0CAROL approve/);
    assert.match(rows[1] ?? '', /\\u\{202e\}\\u\{1b\}\]52/);
    assert.match(rows[2] ?? '', /second,"'=1\+1"/);
    assert.doesNotMatch(rows.join(''), /[\p{Cc}\p{Bidi_Control}]/u);
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

describe('an operation that is asked about again', () => {
  const again = { t: 20, kind: 'operation', operation: 'a', verdict: 'hold', headline: 'the rest', rules: ['rows'] };
  const asked: Line[] = [
    head,
    { t: 1, kind: 'operation', operation: 'a', verdict: 'hold', headline: 'SELECT', statement: 'SELECT', rules: ['r'] },
    { t: 2, kind: 'hold.open', operation: 'a', hold: 'h1' },
    { t: 3, kind: 'hold.vote', operation: 'a', hold: 'h1', user: 'U0CAROL', decision: 'approve', counted: true },
    { t: 4, kind: 'hold.settled', operation: 'a', hold: 'h1', state: 'approved', by: ['U0CAROL'] },
    { t: 5, kind: 'hold.released', operation: 'a', hold: 'h1' },
    { t: 6, kind: 'rows', operation: 'a', rows: [['one'], ['two']] },
    { ...again, stopped: { rows: 2, bytes: 6 } },
    { t: 21, kind: 'hold.open', operation: 'a', hold: 'h2' },
  ];
  const refused: Line[] = [
    { t: 30, kind: 'hold.vote', operation: 'a', hold: 'h2', user: 'U0DAVE', decision: 'deny', counted: true },
    { t: 31, kind: 'hold.settled', operation: 'a', hold: 'h2', state: 'denied', by: ['U0DAVE'] },
  ];
  const drawn = async (lines: Line[]) => {
    const part = await pageOf(from(lines), { page: 1 }, {});
    const [item, ...others] = part?.items ?? [];
    assert.ok(item && others.length === 0, 'it stays one');
    return { item, text: operation(item, { session: ID, startedAt: 0, live: false, names: new Map() }).toString() };
  };

  it('stays one, with what was sent before and every hold of it', async () => {
    const more: Line = { t: 40, kind: 'rows', operation: 'a', rows: [['three']] };
    const { item, text } = await drawn([...asked, { ...refused[1]!, state: 'approved' } as Line, more]);
    assert.equal(item.tables[0]?.recorded, 3);
    assert.deepEqual(
      [...item.before, item.held].map((one) => one?.id),
      ['h1', 'h2'],
    );
    assert.equal(text.match(/aria-label="Held"/g)?.length, 2);
  });

  it('does not say that nothing was run when the rest was refused', async () => {
    const { text } = await drawn([...asked, ...refused]);
    assert.match(text, /The first 2 rows were sent, the rest was not\./);
    assert.doesNotMatch(text, /Nothing was run/);
    const rolledBack = { ...again, touched: { rows: 9, estimate: 1 } } as Line;
    const { text: confirmed } = await drawn([...asked.slice(0, 6), rolledBack, ...asked.slice(8), ...refused]);
    assert.match(confirmed, /It was rolled back: nothing of it was kept\./);
  });

  it('is one row of a table, with the votes of all its holds', async () => {
    let text = '';
    for await (const piece of csv(from([...asked, ...refused]))) text += piece;
    const rows = text.trim().split('\r\n');
    assert.equal(rows.length, 2);
    assert.match(rows[1] ?? '', /U0CAROL approve; U0DAVE deny/);
  });
});
