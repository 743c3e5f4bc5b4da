/** Who is at the door: JWTs and gateway tokens in, live credentials out; ends them when they expire or are revoked. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { asGatewayError, GatewayError } from '../errors.ts';
import { type Principal, principalKey } from '../operation.ts';
import type { Revocable, Revocations, Subscriber } from '../state/revocations.ts';
import type { SignedStore } from '../state/signed.ts';
import { isGatewayToken, type TokenStore, tokenHash } from '../state/tokens.ts';
import type { Authenticator } from './identity.ts';
import { LiveCredential } from './live.ts';
import { MAX_JWT_BYTES, type TokenVerifier } from './oidc.ts';
import { type Directory, type Identity, identitySchema, principalOf } from './principals.ts';

const EXTENDED_CHANNEL = 'countersign:extended';
const extensionSchema = z.strictObject({
  v: z.literal(1),
  identity: identitySchema,
  expiresAt: z.number().int().positive(),
  jti: z.string().max(1_000).optional(),
  hash: z.string().length(64),
});

/** What the configuration says about identity; replaced as a whole on reload. */
export type IdentitySettings = { readonly verifier: TokenVerifier; readonly directory: Directory };

export type AuthenticatorOptions = {
  readonly store: SignedStore;
  readonly tokens: TokenStore;
  readonly revocations: Revocations;
  readonly settings: IdentitySettings;
  /** No gateway token lives longer, whatever its JWT says. */
  readonly maxTokenMs?: number;
  readonly now?: () => number;
  readonly onTrouble?: (reason: string) => void;
};

/** An exchange not yet in force: nothing lives longer, and the token is not known to anybody, before `confirm`. */
export type Exchange = {
  readonly token: string;
  readonly hash: string;
  readonly expiresAt: number;
  readonly principal: Principal;
  /** Extends this principal's live sessions, here and on the other gateways. Never throws. */
  confirm(): Promise<void>;
};

const MAX_SECRET_BYTES = MAX_JWT_BYTES;
const OPENSSH_PASSWORD_LIMIT = 1_023;

export class GatewayAuthenticator implements Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #now: () => number;
  readonly #live = new Set<LiveCredential>();
  #settings: IdentitySettings;
  readonly #unlisten: () => void;
  #unwatch: () => void = () => {};

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#settings = options.settings;
    this.#unlisten = options.revocations.onChange(() => this.#endRevoked());
  }

  /** Hear at once of tokens posted to other gateways; without it they are looked up before a credential ends. */
  start(subscriber?: Subscriber): void {
    const heard = (channel: string, message: string) => {
      if (channel !== EXTENDED_CHANNEL) return;
      for (const live of this.#live) if (idOf(live.identity) === message) void this.#lookForLater(live);
    };
    subscriber?.on('message', heard);
    subscriber?.subscribe(EXTENDED_CHANNEL).catch(() => {}); // looked up before the end all the same
    this.#unwatch = () => subscriber?.off('message', heard);
  }

  stop(): void {
    this.#unlisten();
    this.#unwatch();
    for (const live of [...this.#live]) live.release();
  }

  /** How many credentials are in use. */
  get size(): number {
    return this.#live.size;
  }

  readonly #onEnding = (ending: LiveCredential): void => void this.#lookForLater(ending);
  readonly #onReleased = (released: LiveCredential): void => void this.#live.delete(released);

  async authenticate(secret: string): Promise<LiveCredential> {
    const { identity, expiresAt, revocable } = isGatewayToken(secret)
      ? await this.#fromToken(secret)
      : await this.#fromJwt(secret);
    await this.#lookAgain();
    // No await from here to the registration: a revocation is seen by this check or finds the credential listed.
    this.#refuseRevoked(revocable);
    const live = new LiveCredential({
      identity,
      principal: principalOf(identity, this.#settings.directory),
      revocable,
      expiresAt,
      now: this.#now,
      onEnding: this.#onEnding,
      onReleased: this.#onReleased,
    });
    if (!live.ended.aborted) this.#live.add(live);
    return live;
  }

  /** A JWT for a gateway token. @throws GatewayError AUTH, or UNAVAILABLE when the token cannot be stored. */
  async exchange(jwt: string): Promise<Exchange> {
    if (isGatewayToken(jwt))
      throw new GatewayError('AUTH', 'a gateway token cannot be exchanged; present the issuer’s JWT');
    const verified = await this.#fromJwt(jwt);
    await this.#lookAgain();
    this.#refuseRevoked(verified.revocable);
    const { identity } = verified;
    const { jti } = verified.revocable;
    const expiresAt = Math.min(verified.expiresAt, this.#now() + (this.#options.maxTokenMs ?? 86_400_000));
    const issued = await this.#options.tokens
      .issue({ identity, expiresAt, ...(jti === undefined ? {} : { jti }) })
      .catch((error: unknown) => {
        throw new GatewayError('UNAVAILABLE', 'the token cannot be stored now; try again', { cause: error });
      });
    return {
      ...issued,
      expiresAt,
      principal: principalOf(identity, this.#settings.directory),
      confirm: () =>
        this.#extend({ v: 1, identity, expiresAt, hash: issued.hash, ...(jti === undefined ? {} : { jti }) }),
    };
  }

  /** After a reload: whoever the new configuration knows differently, or no longer trusts, has to sign in again. */
  reconfigure(settings: IdentitySettings): void {
    this.#settings = settings;
    for (const live of [...this.#live]) {
      const { identity, principal } = live;
      if (!settings.verifier.trusts(identity))
        live.end('the gateway no longer takes your token on the terms it was given; sign in again');
      else if (JSON.stringify(principalOf(identity, settings.directory)) !== JSON.stringify(principal)) {
        live.end('the gateway’s configuration of who you are has changed; sign in again');
      }
    }
    this.#endRevoked();
  }

  async #fromToken(token: string): Promise<{ identity: Identity; expiresAt: number; revocable: Revocable }> {
    const record = await this.#options.tokens.find(token).catch((error: unknown) => {
      const known = asGatewayError(error);
      if (known.code === 'AUTH') throw known;
      this.#options.onTrouble?.(known.message);
      const code = known.code === 'FORGED' ? 'AUTH' : 'UNAVAILABLE';
      throw new GatewayError(code, 'the token cannot be verified now; try again', { cause: error });
    });
    if (!record) throw new GatewayError('AUTH', 'the token is unknown or has expired');
    const { identity, expiresAt, jti, hash } = record;
    if (!this.#settings.verifier.trusts(identity)) {
      throw new GatewayError('AUTH', 'the token was given on terms that this gateway no longer accepts; get a new one');
    }
    return { identity, expiresAt, revocable: { issuer: identity.issuer, subject: identity.subject, jti, hash } };
  }

  async #fromJwt(jwt: string): Promise<{ identity: Identity; expiresAt: number; revocable: Revocable }> {
    if (jwt.length > MAX_SECRET_BYTES)
      throw new GatewayError('AUTH', `the token is longer than ${MAX_SECRET_BYTES} bytes`);
    try {
      const { identity, expiresAt, jti } = await this.#settings.verifier.verify(jwt);
      const revocable = { issuer: identity.issuer, subject: identity.subject, jti, hash: tokenHash(jwt) };
      return { identity, expiresAt, revocable };
    } catch (error) {
      if (jwt.length === OPENSSH_PASSWORD_LIMIT) {
        throw new GatewayError('AUTH', `your client cut the token at ${OPENSSH_PASSWORD_LIMIT} bytes`, {
          cause: error,
          hint: 'exchange it for a short one: POST /v1/token',
        });
      }
      throw asGatewayError(error, 'AUTH');
    }
  }

  /** A list that could not be read may be there again: nobody is turned away before that was looked at. */
  async #lookAgain(): Promise<void> {
    const { revocations } = this.#options;
    if (!revocations.current) await revocations.refresh().catch(() => {});
  }

  #refuseRevoked(revocable: Revocable): void {
    const { revocations } = this.#options;
    if (revocations.isRevoked(revocable)) throw new GatewayError('AUTH', 'access was revoked');
    if (!revocations.current) {
      // Not AUTH: the token may be good, and who tries again is not guessing.
      throw new GatewayError(
        'UNAVAILABLE',
        'the revocation list cannot be read now, so the token cannot be verified; try again',
      );
    }
  }

  #endRevoked(): void {
    for (const live of [...this.#live]) {
      if (live.revocables.some((one) => this.#options.revocations.isRevoked(one))) live.end('access was revoked');
    }
  }

  /** Leave word of a later token where other gateways look for it, then tell them to. */
  async #extend(extension: z.infer<typeof extensionSchema>): Promise<void> {
    const id = idOf(extension.identity);
    for (const live of this.#live) if (idOf(live.identity) === id) this.#apply(live, extension);
    try {
      const { store } = this.#options;
      const there = await store.read(extensionKey(id), extensionSchema);
      if (there && there.expiresAt >= extension.expiresAt) return;
      await store.write(extensionKey(id), extension, { ttlMs: extension.expiresAt - this.#now() });
      await store.redis.publish(EXTENDED_CHANNEL, id);
    } catch (error) {
      this.#options.onTrouble?.(error instanceof Error ? error.message : String(error));
    }
  }

  async #lookForLater(live: LiveCredential): Promise<void> {
    try {
      const extension = await this.#options.store.read(extensionKey(idOf(live.identity)), extensionSchema);
      if (extension) this.#apply(live, extension);
    } catch (error) {
      this.#options.onTrouble?.(error instanceof Error ? error.message : String(error));
    }
  }

  #apply(live: LiveCredential, { identity, expiresAt, jti, hash }: z.infer<typeof extensionSchema>): void {
    const { issuer, subject } = identity;
    if (principalKey(live.identity) !== principalKey(identity) || expiresAt <= this.#now()) return;
    const revocable = { issuer, subject, jti, hash };
    if (this.#options.revocations.isRevoked(revocable) || !this.#settings.verifier.trusts(identity)) return;
    live.extend(expiresAt, identity.groups, revocable);
  }
}

const idOf = (identity: Identity): string => createHash('sha256').update(principalKey(identity)).digest('hex');
const extensionKey = (id: string): string => `countersign:extension:${id}`;
