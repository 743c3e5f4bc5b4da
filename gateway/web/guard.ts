/** What stands before every page: who is signed in, what they are here, and whether they meant to send this. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Audit } from '../audit/entry.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import { isLoopback } from '../loopback.ts';
import { type Principal, principalKey } from '../operation.ts';
import type { Viewer } from '../recordings/shape.ts';
import type { Cookie } from './cookies.ts';
import type { Limiter } from './limiter.ts';
import { html } from './pages/html.ts';
import { sorry } from './pages/show.ts';
import { escaped, plainPage } from './plain-page.ts';

/** Somebody's stay in a browser, found by the value of its cookie. */
export type WebSession = {
  /** Hash of the cookie's value: what it is known by. */
  readonly hash: string;
  readonly principal: Principal;
  /** When it ends whatever happens, epoch ms. */
  readonly endsAt: number;
};

export type SignedIn = {
  readonly viewer: Viewer;
  /** What a form must send along in its field `csrf`. Of this session only. */
  readonly csrf: string;
  /** Groups of Slack of which it is not known now whether the viewer is in them: they may be more than `viewer` says. */
  readonly unread: readonly string[];
  readonly endsAt: number;
  /** For what stays open, as a stream of events: who they are now, undefined once they are nobody. Not a sign of life. */
  again(): Promise<Pick<SignedIn, 'viewer' | 'unread'> | undefined>;
};

export type Guard = {
  /**
   * Whoever is signed in. Undefined where nobody is, or where what changes something was not sent from a page of this
   * session: it has then been answered, with the way to sign-in for a page and with JSON for anything else. Bodies of
   * forms are URLSearchParams.
   */
  guard(request: FastifyRequest, reply: FastifyReply): Promise<SignedIn | undefined>;
  /** 403, on record: they are known and may not see `what` ("this session"). Says whom to ask. */
  forbidden(request: FastifyRequest, reply: FastifyReply, who: SignedIn, what: string): FastifyReply;
};

export type GuardDeps = {
  /** `web.url`, which has no path. */
  readonly origin: string;
  readonly cookie: Cookie;
  /** `alive`: this is a sign of life. @throws GatewayError UNAVAILABLE while it cannot be known */
  readonly find: (value: string, options: { readonly alive: boolean }) => Promise<WebSession | undefined>;
  readonly rolesOf: (principal: Principal) => Promise<Pick<SignedIn, 'viewer' | 'unread'>>;
  /** `approvals.admins`, as configured. */
  readonly admins: () => readonly string[];
  readonly audit: Pick<Audit, 'append'>;
  /** How often one address's refusals are put on record. */
  readonly recorded: Limiter;
  readonly isLocal?: ((address: string) => boolean) | undefined;
  readonly log?: { warn(details: object, message: string): void } | undefined;
};

type Who = Pick<Principal, 'issuer' | 'subject'>;

/** Where a path of ours leads, and nowhere else: no other host, no scheme, nothing that a browser reads as one. */
export function ownPath(text: unknown): string | undefined {
  if (typeof text !== 'string' || text.length > 2_000 || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(text))
    return undefined;
  return new URL(text, 'http://own.invalid').origin === 'http://own.invalid' ? text : undefined;
}

export const csrfOf = (value: string): string => createHmac('sha256', value).update('csrf').digest('base64url');

/** Cookies are given and taken over TLS or on this machine. @throws GatewayError AUTH_NEEDS_TLS */
export function refuseInTheClear(request: FastifyRequest, isLocal: (address: string) => boolean = isLoopback): void {
  const { socket } = request.raw;
  if ((socket as Partial<TLSSocket>).encrypted === true || isLocal(socket.remoteAddress ?? '')) return;
  throw new GatewayError('AUTH_NEEDS_TLS', 'people sign in over TLS, or from this machine', {
    hint: 'the gateway needs `tls:` in its configuration for that',
  });
}

export function createGuard(deps: GuardDeps): Guard {
  const { origin, cookie, find, rolesOf, admins, audit, recorded, isLocal, log } = deps;

  const refused = async (request: FastifyRequest, code: string, reason: string, who: Who) => {
    try {
      if (!(await recorded.allow(request.ip))) return;
      audit.append({
        kind: 'web.refused',
        principal: principalKey(who),
        principalKind: 'human',
        address: request.ip,
        code,
        reason,
      });
    } catch (cause) {
      log?.warn({ reason: String(cause) }, 'a refusal could not be recorded'); // nothing passes: the answer stays no
    }
  };

  const signInFirst = (request: FastifyRequest, reply: FastifyReply) => {
    if (cookie.read(request.headers.cookie) !== undefined) reply.header('set-cookie', cookie.clear());
    if (!isRead(request) || !wantsPage(request)) {
      const message = 'nobody is signed in here';
      if (!wantsPage(request)) return reply.code(401).send({ error: 'AUTH', message });
      return plain(reply.code(401), 'Not signed in', [`Nothing was changed: ${message}.`], SIGN_IN);
    }
    const to = ownPath(request.url);
    return reply.redirect(`${origin}/sign-in${to === undefined ? '' : `?to=${encodeURIComponent(to)}`}`, 303);
  };

  const unsure = (request: FastifyRequest, reply: FastifyReply, thrown: unknown) => {
    const { code, message, hint } = asGatewayError(thrown);
    const status = code === 'AUTH_NEEDS_TLS' ? 403 : 503;
    if (status === 503) log?.warn({ reason: String(thrown) }, 'who is signed in cannot be told');
    reply.code(status);
    if (!wantsPage(request)) return reply.send({ error: code, message });
    return plain(reply, 'Not now', [message, ...(hint === undefined ? [] : [hint])]);
  };

  return {
    guard: async (request, reply) => {
      const value = cookie.read(request.headers.cookie);
      try {
        refuseInTheClear(request, isLocal);
        const session = value === undefined ? undefined : await find(value, { alive: true });
        if (value === undefined || session === undefined) {
          signInFirst(request, reply);
          return undefined;
        }
        const objection = changes(request) ? notFromHere(request, origin, value) : undefined;
        if (objection !== undefined) {
          await refused(request, 'CSRF', objection, session.principal);
          const message = `nothing was changed: ${objection}`;
          if (wantsPage(request)) sorry(reply, await rolesOf(session.principal), 403, 'Not done', message);
          else reply.code(403).send({ error: 'CSRF', message });
          return undefined;
        }
        const roles = await rolesOf(session.principal);
        return {
          ...roles,
          csrf: csrfOf(value),
          endsAt: session.endsAt,
          again: async () => {
            const still = await find(value, { alive: false }).catch(() => undefined);
            return still === undefined ? undefined : rolesOf(still.principal).catch(() => undefined);
          },
        };
      } catch (thrown) {
        unsure(request, reply, thrown);
        return undefined;
      }
    },
    forbidden: (request, reply, who, what) => {
      const { viewer } = who;
      const reason = `${what}: not for ${viewer.name}`.slice(0, 300);
      void refused(request, 'ACCESS', reason, viewer);
      if (!wantsPage(request)) return reply.code(403).send({ error: 'ACCESS', message: `you may not see ${what}` });
      const named = admins().join(', ');
      const words = [
        `You are signed in as ${viewer.name}, and may not see ${what}.`,
        named === '' ? 'No admins are configured (approvals.admins) who could be asked.' : `Ask an admin: ${named}.`,
        html`<a href="/me">Who am I here?</a>`,
      ];
      return sorry(reply, who, 403, 'Not for you', ...words);
    },
  };
}

const changes = ({ method }: FastifyRequest): boolean => method !== 'GET' && method !== 'HEAD';

const isRead = ({ method }: FastifyRequest): boolean => method === 'GET';
const wantsPage = ({ headers }: FastifyRequest): boolean => (headers.accept ?? '').includes('text/html');

const SIGN_IN = '<p><a href="/sign-in">Sign in</a></p>';

/** `more` is markup. */
const plain = (reply: FastifyReply, title: string, lines: readonly string[], more = ''): FastifyReply =>
  reply
    .type('text/html; charset=utf-8')
    .send(plainPage(title, `${lines.map((text) => `<p>${escaped(text)}</p>`).join('\n')}\n${more}`));

/** Why what would change something does not come from a page of this session; undefined where it does. */
function notFromHere({ headers, body }: FastifyRequest, origin: string, value: string): string | undefined {
  const site = headers['sec-fetch-site'];
  if (headers.origin === undefined && site === undefined) return 'the browser does not say from which page it was sent';
  if (headers.origin !== undefined && headers.origin !== origin) return 'it was sent from a page of another site';
  if (site !== undefined && site !== 'same-origin') return 'it was sent from a page of another site';
  const given = body instanceof URLSearchParams ? body.getAll('csrf') : [];
  const [sent = '', expected] = [given[0], csrfOf(value)];
  const same = Buffer.byteLength(sent) === expected.length && timingSafeEqual(Buffer.from(sent), Buffer.from(expected));
  return given.length === 1 && same ? undefined : 'it lacks the token of this session; load the page again';
}
