/** Signing people in with an issuer: authorization code, PKCE, state and nonce. The ID token is verified as tokens at the door are. */
import {
  AuthorizationResponseError,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  buildEndSessionUrl,
  type Configuration,
  calculatePKCECodeChallenge,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
} from 'openid-client';
import { GatewayError } from '../errors.ts';
import type { IssuerConfig } from './issuers.ts';
import { createVerifier, type TokenVerifier } from './oidc.ts';
import type { Identity } from './principals.ts';
import { discovered, endpoint, unreached } from './provider.ts';

const DISCOVERY_MS = 3_600_000;
const FAILED_MS = 1_000; // so that no flood follows a failure

/** What ties the answer of the issuer to the question. */
export type Ties = { readonly state: string; readonly nonce: string; readonly verifier: string };

export type RelyingOptions = {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret?: string | undefined;
  readonly scopes: readonly string[];
  readonly redirectUri: string;
  /** Where the issuer sends people back to whom it signed out. */
  readonly signedOutUri: string;
  /** `identity.issuers`: which claims sign-in asks of an issuer's tokens. Asked each time, so that a reload applies. */
  readonly issuers: () => readonly IssuerConfig[];
  readonly timeoutMs?: number;
  readonly onTrouble?: (details: { readonly issuer: string; readonly reason: string }) => void;
};

export type Finished = { readonly identity: Identity; readonly jti: string | undefined; readonly idToken: string };

export type Relying = {
  /** Where the browser goes to sign in. @throws GatewayError UNAVAILABLE */
  begin(ties: Ties): Promise<URL>;
  /** Who came back with this. @throws GatewayError AUTH | UNAVAILABLE */
  finish(query: string, ties: Ties): Promise<Finished>;
  /** Would somebody who signed in on these terms be asked the same now? */
  trusts(identity: Pick<Identity, 'issuer' | 'terms'>): boolean;
  /** Where the issuer itself signs people out; undefined where it does not, or cannot be asked. */
  signOutUrl(idToken: string | undefined): Promise<URL | undefined>;
  /** Origins that the browser is sent on to after a form. */
  origins(): readonly string[];
};

export function createRelying(options: RelyingOptions): Relying {
  const { issuer, clientId, clientSecret, scopes, redirectUri, signedOutUri, issuers, timeoutMs, onTrouble } = options;
  let found: { readonly config: Promise<Configuration>; readonly until: number } | undefined;
  const origins = new Set([new URL(issuer).origin]);

  const provider = async (): Promise<Configuration> => {
    if (!found || performance.now() >= found.until) {
      const config = discovered({ issuer, clientId, secret: clientSecret, timeoutMs });
      const asked = { config, until: performance.now() + DISCOVERY_MS };
      found = asked;
      config.then(
        (known) => {
          const end = known.serverMetadata().end_session_endpoint;
          if (end !== undefined && URL.canParse(end)) origins.add(new URL(end).origin);
        },
        () => {
          if (found === asked) found = { config, until: performance.now() + FAILED_MS };
        },
      );
    }
    return found.config.catch((error: unknown) => {
      throw unavailable(error);
    });
  };

  const unavailable = (error: unknown): GatewayError => {
    onTrouble?.({ issuer, reason: error instanceof Error ? error.message : String(error) });
    return new GatewayError('UNAVAILABLE', 'the issuer that people sign in with cannot be asked now; try again', {
      cause: error,
    });
  };

  let verifying: { readonly of: readonly IssuerConfig[]; readonly verifier: TokenVerifier } | undefined;
  /** An ID token is for the client that asked; all else is as for tokens of this issuer at the door. */
  const verifier = (): TokenVerifier => {
    const of = issuers();
    if (verifying?.of !== of) {
      const own = of.filter((one) => one.issuer === issuer).map((one) => ({ ...one, audience: clientId }));
      verifying = { of, verifier: createVerifier({ issuers: own, ...(onTrouble ? { onTrouble } : {}) }) };
    }
    return verifying.verifier;
  };

  return {
    begin: async ({ state, nonce, verifier: pkce }) => {
      const config = await provider();
      const parameters = {
        redirect_uri: redirectUri,
        scope: scopes.join(' '),
        state,
        nonce,
        code_challenge: await calculatePKCECodeChallenge(pkce),
        code_challenge_method: 'S256',
      };
      try {
        if (!endpoint(config, 'authorization_endpoint')) throw new Error('the issuer has no authorization_endpoint');
      } catch (error) {
        throw unavailable(error);
      }
      return buildAuthorizationUrl(config, parameters);
    },
    finish: async (query, { state, nonce, verifier: pkce }) => {
      const config = await provider();
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: pkce, idTokenExpected: true };
      let idToken: string;
      try {
        idToken = (await authorizationCodeGrant(config, new URL(`${redirectUri}?${query}`), checks)).id_token ?? '';
      } catch (error) {
        throw explained(error, unavailable);
      }
      const { identity, jti } = await verifier().verify(idToken);
      return { identity, jti, idToken };
    },
    trusts: (identity) => identity.issuer === issuer && verifier().trusts(identity),
    signOutUrl: async (idToken) => {
      try {
        const config = await provider();
        if (!endpoint(config, 'end_session_endpoint')) return undefined;
        const hint: Record<string, string> = idToken === undefined ? {} : { id_token_hint: idToken }; // some issuers sign nobody out without it
        return buildEndSessionUrl(config, { post_logout_redirect_uri: signedOutUri, ...hint });
      } catch {
        return undefined; // they are signed out here, which is what was promised
      }
    },
    origins: () => [...origins],
  };
}

/** Codes only: whatever else came along was written by whoever sent the browser here. */
const CODE = /^[a-z_]{1,60}$/;

function explained(error: unknown, unavailable: (error: unknown) => GatewayError): GatewayError {
  if (error instanceof AuthorizationResponseError || error instanceof ResponseBodyError) {
    const code = CODE.test(error.error) ? error.error : 'an error';
    const message = `the issuer did not sign you in (${code})`;
    return new GatewayError('AUTH', message, { cause: error });
  }
  if (error instanceof WWWAuthenticateChallengeError) {
    return unavailable(new Error('the issuer does not take web.sign_in.client_id with its client_secret'));
  }
  if (unreached(error)) return unavailable(error);
  return new GatewayError('AUTH', 'what came back from the issuer does not fit what was asked', { cause: error });
}
