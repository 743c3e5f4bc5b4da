/** Sign-in as configured: who is asked, where sessions are kept, what makes somebody what. Undefined where `web` is left out. */
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { GatewayError } from '../errors.ts';
import type { Holds } from '../holds/broker.ts';
import { principalOf } from '../identity/principals.ts';
import { createRelying } from '../identity/relying.ts';
import type { SignedStore } from '../state/signed.ts';
import { WebSessions } from '../state/web-sessions.ts';
import { createRoles } from '../web/roles.ts';
import type { WebOptions } from '../web/server.ts';
import type { Identity } from './identity.ts';
import { described } from './log.ts';
import type { Rulebook } from './rulebook.ts';

export type SignInDeps = {
  readonly config: () => Pick<Config, 'web' | 'listen' | 'tls' | 'identity' | 'approvals'>;
  readonly store: SignedStore;
  readonly identity: Pick<Identity, 'revocations'> & { readonly register: Pick<Identity['register'], 'signedIn'> };
  readonly holds: { readonly people: Pick<Holds['people'], 'members' | 'known'> };
  readonly rulebook: Pick<Rulebook, 'names'>;
  readonly log: Pick<Logger, 'warn'>;
  readonly now?: () => number;
};

const ANYWHERE = new Set(['0.0.0.0', '::']);

export function createSignIn({ config, store, identity, holds, rulebook, log, now }: SignInDeps): WebOptions['signIn'] {
  const { web, listen, tls } = config();
  if (!web) return undefined;
  const { url: origin, signIn } = web;
  const { revocations, register } = identity;
  const relying = createRelying({
    issuer: signIn.issuer,
    clientId: signIn.clientId,
    clientSecret: signIn.clientSecret?.reveal(),
    scopes: signIn.scopes,
    redirectUri: `${origin}/sign-in/callback`,
    signedOutUri: `${origin}/signed-out`,
    issuers: () => config().identity.issuers,
    onTrouble: ({ issuer, reason }) => log.warn({ ...described(reason), issuer }, 'signing people in'),
  });
  const { host, port } = web.postgres ?? listen.postgres ?? {};
  const postgres = port && {
    host: host === undefined || ANYWHERE.has(host) ? new URL(origin).hostname.replace(/^\[|\]$/g, '') : host,
    port,
    tls: tls !== undefined,
  };
  return {
    origin,
    relying,
    sessions: new WebSessions({ store, idleMs: signIn.idleMs, endsMs: signIn.endsMs, ...(now ? { now } : {}) }),
    admit: async ({ identity: who, jti, hash }) => {
      if (!relying.trusts(who)) {
        throw new GatewayError('AUTH', 'you signed in on terms that this gateway no longer accepts; sign in again');
      }
      if (!revocations.current) await revocations.refresh().catch(() => {});
      const { issuer, subject } = who;
      if (revocations.isRevoked({ issuer, subject, jti, hash })) throw new GatewayError('AUTH', 'access was revoked');
      if (!revocations.current) {
        throw new GatewayError(
          'UNAVAILABLE',
          'the revocation list cannot be read now, so nobody is signed in; try again',
        );
      }
      const principal = principalOf(who, config().identity);
      if (principal.kind === 'human') return principal;
      throw new GatewayError('ACCESS', 'only people sign in here, and this is an agent');
    },
    onSignIn: (principal) => void register.signedIn(principal), // what they are called, on pages and at terminals
    rolesOf: createRoles({
      people: holds.people,
      linked: () => config().identity.people,
      issuers: () => config().identity.issuers,
      admins: () => config().approvals.admins,
      approvers: () => rulebook.names(),
    }),
    admins: () => config().approvals.admins,
    terminal: {
      ...(signIn.deviceClientId === undefined
        ? {}
        : {
            issuer: signIn.issuer,
            client_id: signIn.deviceClientId,
            scopes: signIn.scopes,
            audiences: config()
              .identity.issuers.filter(({ issuer }) => issuer === signIn.issuer)
              .map(({ audience }) => audience),
          }),
      ...(postgres ? { postgres } : {}),
    },
  };
}
