/** The pages behind sign-in: what is going on, and what was. Each recording is put on record as seen before it is shown. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Audit } from '../../audit/entry.ts';
import { asGatewayError } from '../../errors.ts';
import { principalKey } from '../../operation.ts';
import type { Rule } from '../../policy/policy.ts';
import {
  goesOn,
  maySee,
  type RecordedEvent,
  type RecordedHead,
  type Recordings,
  type SessionSummary,
  type Viewer,
} from '../../recordings/shape.ts';
import type { Guard, SignedIn } from '../guard.ts';
import { assets } from './assets.ts';
import { csv, jsonLines } from './downloads.ts';
import { holdsPage } from './holds.ts';
import { home } from './home.ts';
import { follow } from './live.ts';
import type { Overview, Whose } from './overview.ts';
import { holdBeside, pageOf, type Wanted } from './paging.ts';
import { rulesPage } from './rules.ts';
import { endPage, sessionPage } from './session.ts';
import { askedFor, sessionsPage } from './sessions.ts';
import { show, sorry } from './show.ts';
import { trailPage } from './trail.ts';

export type PagesDeps = {
  /** Absent: sessions are not recorded here. */
  readonly recordings?: Recordings | undefined;
  readonly overview: Overview;
  readonly audit: Pick<Audit, 'commit'>;
  readonly log: { warn(details: object, message: string): void };
  /** How often it is looked whether whoever follows a session still may, ms. */
  readonly lookMs?: number;
};

const MOST_FOLLOWING = 10; // streams of one viewer
const MOST_LIVE = 200;
const ID = /^[A-Za-z0-9-]{1,64}$/;

type Query = Readonly<Record<string, unknown>>;
type Allowed = { readonly who: SignedIn; readonly summary: SessionSummary; readonly recordings: Recordings };

/** `app` is the scope in which `guard` reads forms. */
export function pages(app: FastifyInstance, guard: Guard, deps: PagesDeps): void {
  const { recordings, overview, audit, log } = deps;
  const stopping = new AbortController();
  const following = new Map<string, number>();
  app.addHook('preClose', async () => stopping.abort());

  const { css, js } = assets();
  for (const asset of [css, js]) {
    app.get(
      asset.path,
      { onSend: async (_request, reply) => void reply.header('cache-control', 'public, max-age=31536000, immutable') },
      async (_request, reply) => reply.type(asset.type).send(asset.body),
    );
  }

  type Answer = (request: FastifyRequest, reply: FastifyReply, who: SignedIn) => Promise<FastifyReply>;
  const signedIn = (answer: Answer) => async (request: FastifyRequest, reply: FastifyReply) => {
    const who = await guard.guard(request, reply);
    return who ? answer(request, reply, who) : reply;
  };

  const holds = async (viewer: Viewer) => {
    const all = await overview.holds().catch(() => undefined);
    return all?.filter((hold) => maySee(viewer, hold));
  };
  const names = () => overview.names().catch((): ReadonlyMap<string, string> => new Map());

  app.get(
    '/',
    signedIn(async (_request, reply, who) => {
      const { viewer } = who;
      const visible = (whose: Whose) => maySee(viewer, whose);
      const recorded = recordings?.search({ live: true, limit: MOST_LIVE }, visible).sessions ?? [];
      const here = overview.live().filter(visible);
      const known = new Set(here.map(({ session }) => session));
      const elsewhere = recorded
        .filter(({ session }) => !known.has(session))
        .map((summary) => ({ ...summary, kind: summary.principalKind, summary }));
      const [open, gateways, troubles, called] = await Promise.all([
        holds(viewer),
        overview.gateways().catch(() => undefined),
        overview.troubles(),
        names(),
      ]);
      const of = {
        now: overview.now(),
        gateway: overview.gateway,
        version: overview.version,
        live: [...here, ...elsewhere].sort((a, b) => b.startedAt - a.startedAt),
        holds: open,
        gateways,
        troubles,
        verdicts: overview.verdicts(visible),
        names: called,
        all: seesAll(viewer),
      };
      return show(reply, who, '/', 'Overview', home(of));
    }),
  );

  app.get(
    '/holds',
    signedIn(async (_request, reply, who) => {
      const open = await holds(who.viewer);
      return show(reply, who, '/holds', 'Open holds', holdsPage(open, overview.now(), seesAll(who.viewer)));
    }),
  );

  app.get(
    '/rules',
    signedIn(async (_request, reply, who) => {
      const { rules, ...versions } = overview.rules();
      const about = seesAll(who.viewer) ? rules : rules.filter((rule) => concerns(rule, who.viewer));
      const of = { ...versions, rules: about, hidden: rules.length - about.length, names: await names() };
      return show(reply, who, '/rules', 'Rules', rulesPage(of));
    }),
  );

  app.get(
    '/audit',
    signedIn(async (request, reply, who) => {
      if (!who.viewer.admin) return guard.forbidden(request, reply, who, 'the audit trail');
      const recorded = recordings
        ? 'Recordings are verified with it: --recordings DIR.'
        : 'Sessions are not recorded here (recordings in the configuration).';
      return show(reply, who, '/audit', 'Audit trail', trailPage(await overview.trail(), recorded));
    }),
  );

  app.get(
    '/sessions',
    signedIn(async (request, reply, who) => {
      if (!recordings) return sorry(reply, who, 404, 'Sessions', NOT_RECORDED);
      const called = await names();
      const asked = askedFor(request.query as Query, called);
      const found = recordings.search(asked.search, (summary) => maySee(who.viewer, summary));
      const of = { asked, found, now: overview.now(), all: seesAll(who.viewer), names: called };
      return show(reply, who, '/sessions', 'Sessions', sessionsPage(of));
    }),
  );

  /** Who does not see all is told the same of what they may not see and of what there is not. */
  const allowed = (request: FastifyRequest, reply: FastifyReply, who: SignedIn, id: string): Allowed | undefined => {
    const summary = ID.test(id) ? recordings?.find(id) : undefined;
    if (recordings && summary && maySee(who.viewer, summary)) return { who, summary, recordings };
    if (seesAll(who.viewer)) {
      const words = recordings ? 'No session of that id is known here.' : NOT_RECORDED;
      sorry(reply, who, 404, 'No such session', words);
    } else guard.forbidden(request, reply, who, 'this session');
    return undefined;
  };
  /** False where it could not be put on record, and so must not be shown: that has been answered. */
  const recorded = async (reply: FastifyReply, { who, summary }: Allowed, how: string): Promise<boolean> => {
    try {
      await audit.commit({
        kind: 'recording.viewed',
        session: summary.session,
        principal: principalKey(who.viewer),
        principalKind: 'human',
        connection: summary.connection,
        address: reply.request.ip,
        how,
      });
      return true;
    } catch (cause) {
      log.warn({ reason: String(cause) }, 'a view of a recording could not be recorded, and was refused');
      const words = 'The audit trail cannot be written now, and nobody looks at a recording without that being on it.';
      sorry(reply, who, 503, 'Not now', words);
      return false;
    }
  };

  const sessionView = async (request: FastifyRequest, reply: FastifyReply, of: Allowed): Promise<FastifyReply> => {
    const { who, summary } = of;
    const query = request.query as Query;
    const { session } = summary;
    const one = (name: string) => (typeof query[name] === 'string' ? (query[name] as string).slice(0, 200) : undefined);
    const filter = { text: one('q')?.trim(), held: one('held') === '1' };
    if (!(await recorded(reply, of, 'page'))) return reply;
    const lines = () => of.recordings.read(session);
    const hop = one('hold');
    let [part, why]: [Awaited<ReturnType<typeof pageOf>>, string | undefined] = [undefined, undefined];
    try {
      if (hop === 'next' || hop === 'previous') {
        const found = await holdBeside(lines(), one('from') ?? '', hop);
        const at = found ?? one('from') ?? '';
        return reply.redirect(`/sessions/${session}?op=${encodeURIComponent(at)}#op-${encodeURIComponent(at)}`, 303);
      }
      part = await pageOf(lines(), wanted(one('op'), one('page')), filter);
      if (!part) {
        why = one('op') === undefined ? 'It has no such page.' : 'No such operation is in this recording.';
        part = await pageOf(lines(), { page: 1 }, filter);
      }
    } catch (thrown) {
      log.warn({ session, reason: String(thrown) }, 'a recording could not be shown');
      why = unreadable(asGatewayError(thrown, 'RECORDING').message, summary, overview.gateway);
    }
    const { admin } = who.viewer;
    const follows = await of.recordings.canFollow(session);
    const seen = { summary, part, why, filter, now: overview.now(), follows, admin, names: await names() };
    return show(reply, who, '/sessions', `${summary.name} on ${summary.connection}`, sessionPage(seen));
  };

  const download = async (reply: FastifyReply, of: Allowed, as: 'jsonl' | 'csv'): Promise<FastifyReply> => {
    if (!(await recorded(reply, of, 'download'))) return reply;
    const { session } = of.summary;
    const lines = of.recordings.read(session)[Symbol.asyncIterator]();
    let first: IteratorResult<RecordedHead | RecordedEvent>;
    try {
      first = await lines.next();
    } catch (thrown) {
      log.warn({ session, reason: String(thrown) }, 'a recording could not be read');
      const why = unreadable(asGatewayError(thrown, 'RECORDING').message, of.summary, overview.gateway);
      return sorry(reply, of.who, 503, 'Not readable', why);
    }
    const all = { [Symbol.asyncIterator]: () => again(first, lines) };
    return reply
      .header('content-disposition', `attachment; filename="session-${session}.${as}"`)
      .type(as === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8')
      .send(Readable.from(as === 'csv' ? csv(all) : jsonLines(all), { objectMode: false, highWaterMark: 1 << 18 }));
  };

  app.get(
    '/sessions/:name',
    signedIn(async (request, reply, who) => {
      const { name } = request.params as { name: string };
      const [, id = '', as] = /^(.*?)(?:\.(jsonl|csv))?$/s.exec(name) ?? [];
      const of = allowed(request, reply, who, id);
      if (!of) return reply;
      return as === 'jsonl' || as === 'csv' ? download(reply, of, as) : sessionView(request, reply, of);
    }),
  );

  app.get(
    '/sessions/:id/live',
    { exposeHeadRoute: false },
    signedIn(async (request, reply, who) => {
      const of = allowed(request, reply, who, (request.params as { id: string }).id);
      if (!of) return reply;
      const key = principalKey(who.viewer);
      const already = following.get(key) ?? 0;
      if (already >= MOST_FOLLOWING) return sorry(reply, who, 429, 'Too many', 'You follow too many sessions at once.');
      following.set(key, already + 1);
      try {
        if (!(await recorded(reply, of, 'live'))) return reply;
        const { after } = request.query as Query;
        const seen = Number(request.headers['last-event-id'] ?? after ?? 0) || 0;
        const { summary } = of;
        const look = deps.lookMs === undefined ? {} : { lookMs: deps.lookMs };
        const named = await names();
        const { signal } = stopping;
        await follow(reply, {
          recordings: of.recordings,
          summary,
          again: who.again,
          names: named,
          seen,
          signal,
          log,
          ...look,
        });
      } finally {
        const left = (following.get(key) ?? 1) - 1;
        if (left > 0) following.set(key, left);
        else following.delete(key);
      }
      return reply;
    }),
  );

  const ending = async (reply: FastifyReply, { who, summary }: Allowed, objection?: string) =>
    show(reply, who, '/sessions', 'End a session', endPage({ summary, csrf: who.csrf, objection }));
  /** Answers what stands against it, undefined where it may be tried. */
  const toEnd = (request: FastifyRequest, reply: FastifyReply, who: SignedIn): Allowed | undefined => {
    const of = allowed(request, reply, who, (request.params as { id: string }).id);
    if (!of || who.viewer.admin) return of;
    guard.forbidden(request, reply, who, 'how sessions are ended: admins do that');
    return undefined;
  };
  app.get(
    '/sessions/:id/end',
    signedIn(async (request, reply, who) => {
      const of = toEnd(request, reply, who);
      return of ? ending(reply, of) : reply;
    }),
  );
  app.post(
    '/sessions/:id/end',
    signedIn(async (request, reply, who) => {
      const of = toEnd(request, reply, who);
      if (!of) return reply;
      const { session, gateway } = of.summary;
      const given = request.body instanceof URLSearchParams ? request.body.get('reason') : null;
      const reason = (given ?? '').trim().slice(0, 300);
      if (!goesOn(of.summary)) return ending(reply.code(409), of, 'It has ended already.');
      if (reason === '') return ending(reply.code(400), of, 'Say why: its client is told, and it goes on record.');
      const wish = { session, by: principalKey(who.viewer), name: who.viewer.name, reason };
      switch (await overview.endSession(gateway, wish)) {
        case 'ended':
          return reply.redirect(`/sessions/${session}`, 303);
        case 'gone':
          return ending(reply.code(409), of, 'It has just ended.');
        case 'unrecorded':
          return ending(reply.code(503), of, 'The audit trail cannot be written now, so nothing was ended.');
        default: {
          const silent = `Its gateway, ${gateway}, does not answer: look again whether it ended.`;
          return ending(reply.code(504), of, `${silent} In Slack, say: /gate kill ${session}`);
        }
      }
    }),
  );
}

const NOT_RECORDED = 'Sessions are not recorded by this gateway: its configuration has no recordings.';

const seesAll = ({ admin, approver }: Viewer): boolean => admin || approver;

/** Names of others in `by` make a rule theirs; all others may be about anybody. */
const concerns = ({ match: { by } }: Rule, { issuer, subject, name }: Viewer): boolean =>
  by === undefined ||
  by.some((one) => /[*?]/.test(one) || one === name || one === subject || one === `${issuer}#${subject}`);

const wanted = (op: string | undefined, number: string | undefined): Wanted => {
  if (op !== undefined) return { op };
  return { page: number !== undefined && /^[1-9]\d{0,8}$/.test(number) ? Number(number) : 1 };
};

const unreadable = (message: string, summary: SessionSummary, here: string): string =>
  goesOn(summary) && summary.gateway !== here
    ? `It is being recorded by gateway ${summary.gateway}, and can be read here once it has ended.`
    : `${message}.`;

async function* again<T>(first: IteratorResult<T>, rest: AsyncIterator<T>): AsyncGenerator<T> {
  try {
    for (let each = first; !each.done; each = await rest.next()) yield each.value;
  } finally {
    await rest.return?.();
  }
}
