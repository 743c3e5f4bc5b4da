/** Tokens of configured issuers: discovery, keys and claims. Nothing is fetched before the first token needs it. */
import { createHash } from 'node:crypto';
import {
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { allowInsecureRequests, discovery, customFetch as discoveryFetch } from 'openid-client';
import { GatewayError } from '../errors.ts';
import { boundedFetch } from './bounded.ts';
import { type IssuerConfig, isLoopbackHost, validateIssuers } from './issuers.ts';
import { type Identity, identityFrom } from './principals.ts';

type VerifiedToken = {
  readonly identity: Identity;
  /** Epoch ms. */
  readonly expiresAt: number;
  readonly jti: string | undefined;
};

export type TokenVerifier = {
  /** @throws GatewayError AUTH with a sentence for whoever presented it. */
  verify(jwt: string): Promise<VerifiedToken>;
  /** Would the token that this was read from still be asked the same? Gateway tokens from any other are worth nothing. */
  trusts(identity: Pick<Identity, 'issuer' | 'terms'>): boolean;
};

export type VerifierOptions = {
  readonly issuers: readonly IssuerConfig[];
  readonly now?: () => number;
  /** Least time between two looks for a key that is not there, ms. */
  readonly cooldownMs?: number;
  readonly timeoutMs?: number;
  readonly onTrouble?: (details: { readonly issuer: string; readonly reason: string }) => void;
};

/** Signatures by a key pair only: `none` verifies nothing, and HS* would make the public key a secret. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const TYPES = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt']);
export const MAX_JWT_BYTES = 16 * 1024; // with hundreds of groups; the longest seen in the wild are about 8 KB
const CLOCK_SKEW_S = 30;
const DISCOVERY_MS = 3_600_000;
const UNUSED = 'countersign'; // a client id, which only what follows discovery would need

/** @throws GatewayError CONFIG as `validateIssuers` does. */
export function createVerifier(options: VerifierOptions): TokenVerifier {
  validateIssuers(options.issuers);
  const sources = new Map<string, KeySource>();
  for (const { issuer } of options.issuers) {
    if (!sources.has(issuer)) sources.set(issuer, new KeySource(issuer, options));
  }
  const now = options.now ?? Date.now;

  const verifyWith = async (jwt: string, config: IssuerConfig, source: KeySource): Promise<VerifiedToken> => {
    const { payload, protectedHeader } = await jwtVerify(jwt, await source.keys(), {
      issuer: config.issuer,
      audience: config.audience,
      algorithms: ALGORITHMS,
      requiredClaims: ['sub', 'exp', 'iat'],
      clockTolerance: CLOCK_SKEW_S,
      currentDate: new Date(now()),
      ...(config.maxAgeMs === undefined ? {} : { maxTokenAge: config.maxAgeMs / 1_000 }),
    });
    if (!TYPES.has(protectedHeader.typ?.toLowerCase())) throw refused('the token is of another type');
    if (payload.cnf !== undefined) throw refused('the token is bound to a key, which cannot be checked here');
    const expiresAt = Math.floor((payload.exp ?? 0) * 1_000);
    if (expiresAt <= now()) throw refused('the token has expired'); // no tolerance: a session ends with its token
    if ((payload.iat ?? 0) > now() / 1_000 + CLOCK_SKEW_S) throw refused('the token was issued in the future');
    checkRequired(payload, config);
    const identity = { ...identityFrom(config.issuer, payload, config.groups), terms: termsOf(config) };
    return { identity, expiresAt, jti: payload.jti };
  };

  return {
    trusts: ({ issuer, terms }) =>
      options.issuers.some((config) => config.issuer === issuer && termsOf(config) === terms),
    verify: async (jwt) => {
      const issuer = unverifiedIssuer(jwt);
      const source = sources.get(issuer);
      if (!source) throw refused('the token is not of an issuer that this gateway trusts');
      let refusal: unknown;
      for (const config of options.issuers.filter((one) => one.issuer === issuer)) {
        try {
          return await verifyWith(jwt, config, source);
        } catch (error) {
          refusal = error;
        }
      }
      throw explain(refusal, issuer, options.onTrouble);
    },
  };
}

/** Everything that decides whether a token of this issuer is taken, and what is read from it. */
const termsOf = ({ issuer, audience, groups, require = {}, maxAgeMs }: IssuerConfig): string =>
  createHash('sha256')
    .update(JSON.stringify([issuer, audience, groups, Object.entries(require).sort(), maxAgeMs]))
    .digest('base64url');

const refused = (message: string, cause?: unknown): GatewayError => new GatewayError('AUTH', message, { cause });

function unverifiedIssuer(jwt: string): string {
  if (jwt.length > MAX_JWT_BYTES) throw refused(`the token is longer than ${MAX_JWT_BYTES} bytes`);
  try {
    return decodeJwt(jwt).iss ?? '';
  } catch {
    throw refused('this is neither a JWT nor a gateway token');
  }
}

function checkRequired(payload: JWTPayload, { require = {} }: IssuerConfig): void {
  for (const [claim, wanted] of Object.entries(require)) {
    const allowed: readonly unknown[] = Array.isArray(wanted) ? wanted : [wanted];
    const value = Object.hasOwn(payload, claim) ? payload[claim] : undefined;
    const values: unknown[] = Array.isArray(value) ? value : [value];
    const fits = values.some((one) => one !== undefined && one !== null && allowed.includes(String(one)));
    if (!fits) throw refused(`the token lacks the required claim ${claim}`);
  }
}

/** What the bearer may know: which check failed. Whether the issuer can be reached is for them to wait out. */
function explain(error: unknown, issuer: string, onTrouble: VerifierOptions['onTrouble']): GatewayError {
  if (error instanceof GatewayError) return error;
  if (error instanceof errors.JWTExpired) return refused('the token has expired', error);
  if (error instanceof errors.JWTClaimValidationFailed) {
    const what = error.claim === 'aud' ? 'is for another audience' : `fails the check of its claim ${error.claim}`;
    return refused(`the token ${what}`, error);
  }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return refused('the token is signed with an algorithm not allowed', error);
  const badToken =
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported;
  if (badToken) return refused('the token is not signed by its issuer', error);
  onTrouble?.({ issuer, reason: error instanceof Error ? error.message : String(error) });
  return refused('the issuer’s keys cannot be had now, so the token cannot be verified; try again', error);
}

/** One issuer's keys, found by discovery and followed as they rotate. */
class KeySource {
  readonly #issuer: string;
  readonly #cooldownMs: number;
  readonly #timeoutMs: number;
  #uri = '';
  #found: { readonly keys: JWTVerifyGetKey; readonly until: number } | undefined;
  #finding: Promise<JWTVerifyGetKey> | undefined;
  #failed: { readonly error: unknown; readonly until: number } | undefined;

  constructor(issuer: string, { cooldownMs = 5_000, timeoutMs = 5_000 }: VerifierOptions) {
    this.#issuer = issuer;
    this.#cooldownMs = cooldownMs;
    this.#timeoutMs = timeoutMs;
  }

  async keys(): Promise<JWTVerifyGetKey> {
    if (this.#found && performance.now() < this.#found.until) return this.#found.keys;
    this.#finding ??= this.#find().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  /** Where the issuer says its keys are; an old answer serves on while the issuer is away, the keys themselves expire. */
  async #find(): Promise<JWTVerifyGetKey> {
    try {
      const config = await discovery(new URL(this.#issuer), UNUSED, undefined, undefined, {
        timeout: this.#timeoutMs / 1_000,
        [discoveryFetch]: (at, init) => this.#fetch(at, init),
        execute: this.#issuer.startsWith('http:') ? [allowInsecureRequests] : [], // loopback: see validateIssuers
      });
      const { issuer, jwks_uri: uri } = config.serverMetadata();
      // The library forgives some providers another name, and every one a slash; a token's `iss` is compared exactly.
      if (issuer !== this.#issuer) throw new Error('the discovery document names another issuer');
      if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error('the discovery document has no jwks_uri');
      const url = new URL(uri);
      const plain = url.protocol === 'http:' && isLoopbackHost(url.hostname) && this.#issuer.startsWith('http:');
      if (url.protocol !== 'https:' && !plain) throw new Error('the issuer’s keys are not served over https');
      const keys =
        this.#found && this.#uri === url.href
          ? this.#found.keys
          : createRemoteJWKSet(url, {
              cooldownDuration: this.#cooldownMs,
              timeoutDuration: this.#timeoutMs,
              [customFetch]: (at, init) => this.#fetch(at, init),
            });
      this.#uri = url.href;
      this.#found = { keys, until: performance.now() + DISCOVERY_MS };
      return keys;
    } catch (error) {
      if (this.#found) return this.#found.keys;
      throw error;
    }
  }

  /** Bounded in time and size, without redirects; a failure stands for a second, so that no flood follows it. */
  async #fetch(
    url: string,
    init: { headers?: Headers | Record<string, string> | undefined; signal?: AbortSignal | undefined },
  ): Promise<Response> {
    if (this.#failed && performance.now() < this.#failed.until) throw this.#failed.error;
    try {
      const response = await boundedFetch(url, { headers: init.headers, signal: init.signal }, this.#timeoutMs);
      if (response.status !== 200) throw new Error(`${url} answered ${response.status}`);
      return new Response(await response.text(), {
        status: 200,
        headers: { 'content-type': 'application/json' },
      });
    } catch (error) {
      this.#failed = { error, until: performance.now() + Math.min(1_000, this.#cooldownMs) };
      throw error;
    }
  }
}
