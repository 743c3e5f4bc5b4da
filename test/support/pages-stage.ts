/** Pages over Fastify for whoever a header names, and a recording with hostile content. */
import { after } from 'node:test';
import Fastify, { type FastifyInstance } from 'fastify';
import { Index } from '../../gateway/recordings/search.ts';
import type { RecordedEvent, RecordedHead, Recordings, Viewer } from '../../gateway/recordings/shape.ts';
import type { Ended } from '../../gateway/state/endings.ts';
import type { Guard } from '../../gateway/web/guard.ts';
import type { Overview } from '../../gateway/web/pages/overview.ts';
import { type PagesDeps, pages } from '../../gateway/web/pages/pages.ts';

export type Line = RecordedHead | RecordedEvent;
const AT = Date.parse('2026-11-23T14:00:00Z');
export const ID = '11111111-1111-4111-8111-111111111111';
export const ISSUER = 'https://login.example.com';
export const HOSTILE =
  '</script><img src=x onerror=alert(1)> \u202e\u001b]52;c;ZXZpbA==\u0007\u001b]8;;http://evil\u0007';

export const head: RecordedHead = {
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
export const held: RecordedEvent[] = [
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
export const end: RecordedEvent = { t: 999, kind: 'session.end', reason: 'the client left' };

export async function* from(lines: Iterable<Line>): AsyncGenerator<Line> {
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
export const PEOPLE = {
  stranger: viewer('mallory'),
  own: viewer('report-bot'),
  sponsor: viewer('bob', { slack: ['U0BOB'] }),
  approver: viewer('carol', { approver: true }),
  admin: viewer('alice', { admin: true }),
};
export type Role = keyof typeof PEOPLE;

const apps: FastifyInstance[] = [];
after(() => Promise.all(apps.map((app) => app.close())));

/** Pages for whoever the header `x-role` says; `stage` is what a test may change while it runs. */
export async function stage({
  live = false,
  lost = false,
  lookMs,
}: {
  live?: boolean;
  lost?: boolean;
  lookMs?: number;
} = {}) {
  const now = {
    entries: [] as Record<string, unknown>[],
    broken: false,
    lost: false,
    /** What was asked of `endSession`, and what it answers. */
    wishes: [] as string[],
    ending: 'ended' as Ended | undefined,
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
    ...(live ? {} : lost ? { lost } : { endedAt: AT + 999, reason: 'the client left' }),
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
  const index = new Index(1);
  index.add(summary);
  const recordings: Recordings = {
    search: (query, visible) => index.search(query, visible),
    find: (session) => (session === ID ? summary : undefined),
    read,
    canFollow: async () => live,
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
    names: async () =>
      new Map([
        ['U0CAROL', 'Carol'],
        ['U0BOB', 'bob.lang@example.com'],
        ['U0BOB2', 'bob.lang@example.com'],
      ]),
    endSession: async (gateway, { session, name, reason }) => {
      now.wishes.push(`${name} at ${gateway}, ${session}: ${reason}`);
      return now.ending;
    },
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
