/** Around the identity room: a real Redis, two real OIDC providers, and gateways that share them. For one test file each. */
import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { Redis } from 'ioredis';
import type { Ending } from '../../gateway/ending.ts';
import { GatewayError } from '../../gateway/errors.ts';
import { GatewayAuthenticator } from '../../gateway/identity/authenticator.ts';
import type { IssuerConfig } from '../../gateway/identity/issuers.ts';
import { createVerifier } from '../../gateway/identity/oidc.ts';
import type { Directory } from '../../gateway/identity/principals.ts';
import { Revocations } from '../../gateway/state/revocations.ts';
import { SignedStore } from '../../gateway/state/signed.ts';
import { TokenStore } from '../../gateway/state/tokens.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { type Oidc, startOidc } from './oidc.ts';
import { startRedis, type TestRedis } from './redis.ts';

export const CLIENTS = [
  { id: 'report-bot', secret: 's3cret-of-report-bot', groups: 'reports' },
  { id: 'deploy-bot', secret: 's3cret-of-deploy-bot' },
];
const gatewayKeys = newKeyPair();
const own = signingKey(gatewayKeys.secret);
const trusted = () => [verifyingKey(gatewayKeys.public)];

let redis: TestRedis;
export let oidc: Oidc;
export let other: Oidc;
export const undo: (() => unknown)[] = [];

before(async () => {
  [redis, oidc, other] = await Promise.all([
    startRedis(),
    startOidc({ clients: CLIENTS }),
    startOidc({
      clients: CLIENTS,
      accounts: [{ subject: 'mallory', email: 'alice@example.com', emailVerified: true }],
    }),
  ]);
});
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});
after(async () => {
  await Promise.all([redis.stop(), oidc.stop(), other.stop()]);
});

export const directory = (): Directory => ({
  agents: [{ issuer: oidc.issuer, subject: 'report-bot', sponsor: 'U0BOB', purpose: 'nightly' }],
  people: [{ slack: 'U0CAROL', issuer: oidc.issuer, subject: 'carol' }],
});
export const issuers = (more: Partial<IssuerConfig> = {}): IssuerConfig[] =>
  [oidc, other].map(({ issuer }) => ({ issuer, audience: 'countersign', groups: 'groups', ...more }));

/** One gateway's identity room; several may share the Redis. */
export async function room(
  options: { issuers?: IssuerConfig[]; maxTokenMs?: number; subscribe?: boolean; staleMs?: number } = {},
) {
  const connection = new Redis(redis.url, { maxRetriesPerRequest: 1 });
  const subscriber = options.subscribe === false ? undefined : new Redis(redis.url);
  for (const one of [connection, subscriber]) one?.on('error', () => {});
  const store = new SignedStore(connection, { own, trusted });
  const troubles: string[] = [];
  const onTrouble = (reason: string) => void troubles.push(reason);
  let revoked: { issuer: string; subject: string }[] = [];
  const revocations = new Revocations({
    store,
    onTrouble,
    pollMs: 200,
    configured: () => revoked,
    ...(options.staleMs ? { staleMs: options.staleMs } : {}),
  });
  const verifierFor = (list: IssuerConfig[]) => createVerifier({ issuers: list, cooldownMs: 100, timeoutMs: 2_000 });
  const authenticator = new GatewayAuthenticator({
    store,
    tokens: new TokenStore(store),
    revocations,
    settings: { verifier: verifierFor(options.issuers ?? issuers()), directory: directory() },
    onTrouble,
    ...(options.maxTokenMs ? { maxTokenMs: options.maxTokenMs } : {}),
  });
  revocations.start(subscriber);
  authenticator.start(subscriber);
  await revocations.refresh();
  undo.push(() => {
    revocations.stop();
    authenticator.stop();
    connection.disconnect();
    subscriber?.disconnect();
  });
  const post = async (jwt: string) => {
    const exchange = await authenticator.exchange(jwt);
    await exchange.confirm();
    return exchange;
  };
  const setRevoked = (list: { issuer: string; subject: string }[]) => {
    revoked = list;
    revocations.recheck();
  };
  return { store, connection, revocations, authenticator, troubles, post, verifierFor, setRevoked };
}

export const refusedWith = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GatewayError && error.code === 'AUTH', String(error));
  assert.match(error.message, pattern);
  return true;
};
export const seconds = (offset = 0) => Math.floor(Date.now() / 1_000) + offset;
export const claims = (more: object = {}) => ({
  iss: oidc.issuer,
  aud: 'countersign',
  sub: 'alice',
  iat: seconds(),
  exp: seconds(600),
  ...more,
});
export const accepted = async (authenticator: GatewayAuthenticator, token: string) => {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const credential = await authenticator.authenticate(token).catch(() => undefined);
    if (credential) return credential.release();
    assert.ok(performance.now() < deadline, 'never accepted');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
export const endOf = (signal: Ending, ms = 10_000) =>
  new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('never ended')), ms);
    const ended = () => {
      clearTimeout(timer);
      resolve(String(signal.reason));
    };
    if (signal.aborted) ended();
    else signal.addEventListener('abort', ended, { once: true });
  });
