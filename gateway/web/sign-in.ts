/** People sign in here with their company's issuer, see who they are, and sign out. Every other page is registered beside it. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Audit } from '../audit/entry.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import type { Relying, Ties } from '../identity/relying.ts';
import { type Principal, principalKey } from '../operation.ts';
import type { WebSessions } from '../state/web-sessions.ts';
import { cookie } from './cookies.ts';
import { createGuard, type Guard, type GuardDeps, ownPath, refuseInTheClear } from './guard.ts';
import { AddressLimiter, type Limiter, type Rate } from './limiter.ts';
import { mePage } from './pages/me.ts';
import { show } from './pages/show.ts';
import { escaped, plainPage } from './plain-page.ts';

const ME = '/me';
const CALLBACK = '/sign-in/callback';
const SIGNED_OUT = '/signed-out';
const MAX_FORM_BYTES = 16 * 1024;
const SIGN_INS: Rate = { burst: 120, perSecond: 2 }; // two requests each: an office behind one address, on Monday morning
const REFUSAL_COST = 4; // beside its own: guessing is slower than signing in
const REFUSALS: Rate = { burst: 30, perSecond: 0.2 };
const FLOODS: Rate = { burst: 1, perSecond: 1 / 60 };
const YEAR_S = 31_536_000;

export type SignInOptions = {
  /** `web.url`. */
  readonly origin: string;
  readonly relying: Relying;
  readonly sessions: WebSessions;
  /**
   * Who that is, if they may be signed in now.
   * @throws GatewayError AUTH (revoked, no longer trusted) | ACCESS (no person) | UNAVAILABLE
   */
  readonly admit: (who: {
    readonly identity: Parameters<WebSessions['open']>[0];
    readonly jti: string | undefined;
    readonly hash?: string;
  }) => Promise<Principal>;
  /** Told of each sign-in. */
  readonly onSignIn?: (principal: Principal) => void;
  readonly rolesOf: GuardDeps['rolesOf'];
  readonly admins: () => readonly string[];
  /** What `countersign login` needs to know, which is no secret. */
  readonly terminal: Readonly<Record<string, unknown>>;
  readonly audit: Pick<Audit, 'append' | 'commit'>;
  readonly metrics: { signIn(accepted: boolean): void };
  readonly limiter?: ((name: string, rate: Rate) => Limiter) | undefined;
  readonly isLocal?: ((address: string) => boolean) | undefined;
  readonly log?: { warn(details: object, message: string): void } | undefined;
  /** Registers the pages that `guard` stands before, and what they look like: `/me` looks like them. */
  readonly pages?: ((app: FastifyInstance, guard: Guard) => void) | undefined;
};

/** `app` is a scope of its own: here forms are read, and what browsers are told differs. */
export function signIn(app: FastifyInstance, options: SignInOptions): void {
  const { origin, relying, sessions, admit, audit, metrics, isLocal, log } = options;
  const { limiter = (_name: string, rate: Rate): Limiter => new AddressLimiter(rate) } = options;
  const [pace, recorded, floods] = [
    limiter('sign-ins', SIGN_INS),
    limiter('sign-in-refusals', REFUSALS),
    limiter('sign-in-floods', FLOODS),
  ];
  const home = options.pages ? '/' : ME; // of those who asked for no page in particular
  const secure = origin.startsWith('https:');
  const own = cookie('countersign', { secure });
  const begun = cookie('countersign-signing-in', { secure });

  const find: GuardDeps['find'] = async (value, alive) => {
    const session = await sessions.find(value, alive);
    if (!session) return undefined;
    const { hash, endsAt } = session;
    try {
      return { hash, endsAt, principal: await admit(session) };
    } catch (thrown) {
      const error = asGatewayError(thrown);
      if (error.code !== 'AUTH' && error.code !== 'ACCESS') throw error;
      await sessions.end(value); // for good: what was revoked does not come back when the list forgets it
      return undefined;
    }
  };
  const guards = createGuard({ ...options, cookie: own, find, recorded });

  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: MAX_FORM_BYTES },
    (_request, body, done) => done(null, new URLSearchParams(String(body))),
  );
  app.addHook('onSend', async (request, reply) => {
    const encrypted = (request.raw.socket as Partial<TLSSocket>).encrypted === true;
    reply.headers({
      'content-security-policy': policyFor(relying.origins()),
      'referrer-policy': 'same-origin', // `no-referrer` would make the Origin of our own forms `null`
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      ...(encrypted || secure ? { 'strict-transport-security': `max-age=${YEAR_S}` } : {}),
    });
  });

  const refuse = async (request: FastifyRequest, reply: FastifyReply, thrown: unknown): Promise<FastifyReply> => {
    const error = asGatewayError(thrown);
    metrics.signIn(false);
    if (error.code === 'AUTH') await pace.allow(request.ip, REFUSAL_COST);
    try {
      if (await (error.code === 'LIMIT' ? floods : recorded).allow(request.ip)) {
        audit.append({ kind: 'web.refused', address: request.ip, code: error.code, reason: error.message });
      }
    } catch (cause) {
      log?.warn({ reason: String(cause) }, 'a refused sign-in could not be recorded'); // the answer stays no
    }
    reply.header('set-cookie', begun.clear()).code(STATUS[error.code] ?? 503);
    return page(reply, 'Not signed in', `${said(error)}\n<p><a href="/sign-in">Sign in again</a></p>`);
  };
  const paced =
    (answer: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>) =>
    async (request: FastifyRequest, reply: FastifyReply) => {
      try {
        refuseInTheClear(request, isLocal);
        if (await pace.allow(request.ip)) return await answer(request, reply);
        throw new GatewayError('LIMIT', 'too many sign-ins from this address; wait a little');
      } catch (thrown) {
        return refuse(request, reply, thrown);
      }
    };

  app.get(
    '/sign-in',
    paced(async (request, reply) => {
      const to = ownPath((request.query as Record<string, unknown>).to) ?? home;
      const there = own.read(request.headers.cookie);
      if (there !== undefined && (await find(there, { alive: true }))) return reply.redirect(to, 303);
      const { value, ms } = await sessions.begin(to);
      const url = await relying.begin(tiesOf(value));
      return reply.header('set-cookie', begun.set(value, ms)).redirect(url.href, 303);
    }),
  );

  app.get(
    CALLBACK,
    paced(async (request, reply) => {
      const value = begun.read(request.headers.cookie);
      const started = value === undefined ? undefined : await sessions.take(value);
      if (value === undefined || started === undefined) {
        throw new GatewayError('AUTH', 'this sign-in began in another browser, too long ago, or was used already');
      }
      const ties = tiesOf(value);
      const query = request.url.slice(request.url.indexOf('?') + 1);
      if (!same(new URLSearchParams(query).getAll('state'), ties.state)) {
        throw new GatewayError('AUTH', 'what came back is not the answer to the sign-in that this browser began');
      }
      const { identity, jti, idToken } = await relying.finish(query, ties);
      const principal = await admit({ identity, jti });
      const before = own.read(request.headers.cookie);
      if (before !== undefined) await sessions.end(before); // whoever knew the old value knows nothing of the new one
      await audit.commit({
        kind: 'web.signed-in',
        principal: principalKey(principal),
        principalKind: principal.kind,
        address: request.ip,
      });
      const session = await sessions.open(identity, { jti, idToken });
      metrics.signIn(true);
      options.onSignIn?.(principal);
      reply.header('set-cookie', [begun.clear(), own.set(session.value, session.ms)]);
      return reply.redirect(started.to, 303);
    }),
  );

  app.post('/sign-out', async (request, reply) => {
    const who = await guards.guard(request, reply);
    if (!who) return reply;
    const value = own.read(request.headers.cookie);
    let idToken: string | undefined;
    try {
      if (value !== undefined) {
        idToken = (await sessions.find(value, { alive: false }))?.idToken;
        await sessions.end(value);
      }
    } catch (thrown) {
      return refuse(request, reply, thrown);
    }
    try {
      audit.append({ kind: 'web.signed-out', principal: principalKey(who.viewer), address: request.ip });
    } catch (cause) {
      log?.warn({ reason: String(cause) }, 'a sign-out could not be recorded'); // keeping them signed in would be worse
    }
    const there = await relying.signOutUrl(idToken);
    return reply.header('set-cookie', own.clear()).redirect(there?.href ?? SIGNED_OUT, 303);
  });

  app.get(SIGNED_OUT, async (_request, reply) =>
    page(reply, 'Signed out', '<p>You are signed out.</p>\n<p><a href="/sign-in">Sign in</a></p>'),
  );

  app.get(ME, async (request, reply) => {
    const who = await guards.guard(request, reply);
    if (!who) return reply;
    return show(reply, who, ME, 'Who you are', mePage(who));
  });

  app.get('/v1/sign-in', async (_request, reply) => reply.send(options.terminal));
  options.pages?.(app, guards);
}

const STATUS: Readonly<Partial<Record<GatewayError['code'], number>>> = {
  AUTH: 400, // not 401: it names no scheme that a browser could try
  ACCESS: 403,
  AUTH_NEEDS_TLS: 403,
  LIMIT: 429,
};

/** All that ties the issuer's answer to this browser is made of its cookie: who reads Redis learns none of it. */
function tiesOf(value: string): Ties {
  const made = (what: string) => createHmac('sha256', value).update(what).digest('base64url');
  return { state: made('state'), nonce: made('nonce'), verifier: made('verifier') };
}

function same(given: readonly string[], expected: string): boolean {
  const [sent = ''] = given;
  if (given.length !== 1 || Buffer.byteLength(sent) !== Buffer.byteLength(expected)) return false;
  return timingSafeEqual(Buffer.from(sent), Buffer.from(expected));
}

const policyFor = (origins: readonly string[]): string =>
  [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    `form-action 'self' ${origins.join(' ')}`, // signing out leads on to the issuer
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

const page = (reply: FastifyReply, title: string, body: string): FastifyReply =>
  reply.type('text/html; charset=utf-8').send(plainPage(title, body));

const said = ({ message, hint }: GatewayError): string =>
  [message, ...(hint === undefined ? [] : [hint])].map((text) => `<p>${escaped(text)}</p>`).join('\n');
