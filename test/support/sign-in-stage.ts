/** Gateways' web listeners with sign-in, over one real Redis and one real OIDC provider. For one test file each. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import type { AuditEntry } from '../../gateway/audit/entry.ts';
import { createSignIn, type SignInDeps } from '../../gateway/compose/sign-in.ts';
import { GatewayError } from '../../gateway/errors.ts';
import { AgentRegister } from '../../gateway/state/agents.ts';
import { Revocations } from '../../gateway/state/revocations.ts';
import { SignedStore } from '../../gateway/state/signed.ts';
import type { Guard } from '../../gateway/web/guard.ts';
import type { Rate } from '../../gateway/web/limiter.ts';
import { createMetrics } from '../../gateway/web/metrics.ts';
import { createWeb, type WebOptions } from '../../gateway/web/server.ts';
import { connectCommands } from '../../queue/connection.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { type Oidc, startOidc } from './oidc.ts';
import { DEVICE_CLIENT, WEB_CLIENT } from './oidc-people.ts';
import { freePort } from './ports.ts';
import { startRedis, type TestRedis } from './redis.ts';
import { Browser, type Page } from './sign-in-browser.ts';

type Settings = ReturnType<SignInDeps['config']>;

const pair = newKeyPair();
export let redis: TestRedis;
export let oidc: Oidc;
const undo: (() => unknown)[] = [];

before(async () => {
  const person = (subject: string, groups?: string[]) => ({
    subject,
    email: `${subject}@example.com`,
    emailVerified: true,
    ...(groups ? { groups } : {}),
  });
  const accounts = [
    person('alice', ['dba']),
    person('bob'),
    person('carol', ['staff']),
    person('dave'),
    person('report-bot'),
  ];
  [redis, oidc] = await Promise.all([startRedis(), startOidc({ clients: [], accounts })]);
});
after(async () => {
  for (const step of undo.reverse()) await step();
  await Promise.all([redis.stop(), oidc.stop()]);
});

export type SignInGateway = Awaited<ReturnType<typeof gateway>>;

/** One gateway's web listener. `at`: of another gateway, behind the same address: only what is sent tells them apart. */
export async function gateway(
  options: {
    readonly behind?: SignInGateway;
    readonly settings?: (settings: Settings) => Settings;
    readonly pages?: (app: FastifyInstance, guard: Guard) => void;
    readonly web?: Partial<WebOptions>;
    readonly key?: ReturnType<typeof newKeyPair>;
    readonly secret?: string;
    readonly rate?: Rate;
  } = {},
) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const key = options.key ?? pair;
  const connection: Redis = connectCommands(redis.url, () => {});
  await new Promise((resolve) => connection.once('ready', resolve));
  const store = new SignedStore(connection, {
    own: signingKey(key.secret),
    trusted: () => [verifyingKey(pair.public)],
  });
  const revocations = new Revocations({
    store,
    configured: () => now.settings.identity.revoked,
    pollMs: 100,
    staleMs: 1_500,
  });
  const register = new AgentRegister({ store });
  revocations.start();
  await revocations.refresh();
  const { issuer } = oidc;
  const base: Settings = {
    listen: { web: { host: '127.0.0.1', port }, postgres: { host: '0.0.0.0', port: 15_432 } },
    tls: undefined,
    identity: {
      issuers: [{ issuer, audience: 'countersign', groups: 'groups' }],
      agents: [{ issuer, subject: 'report-bot', sponsor: 'U0BOB' }],
      people: [
        { slack: 'U0BOB', issuer, subject: 'bob' },
        { slack: 'U0CAROL', issuer, subject: 'carol' },
      ],
      revoked: [],
    },
    approvals: { admins: ['oidc:dba'], approvers: ['@dba-oncall'] } as unknown as Settings['approvals'],
    web: {
      url: options.behind?.url ?? url,
      signIn: {
        issuer,
        clientId: WEB_CLIENT.id,
        clientSecret: { reveal: () => options.secret ?? WEB_CLIENT.secret } as never,
        deviceClientId: DEVICE_CLIENT,
        scopes: ['openid', 'profile', 'email'],
        idleMs: 30 * 60_000,
        endsMs: 12 * 3_600_000,
      },
    },
  };
  /** What a test may change while it runs. */
  const now = {
    settings: options.settings?.(base) ?? base,
    aheadMs: 0,
    groups: new Map<string, readonly string[]>(),
  };
  const entries: AuditEntry[] = [];
  const warnings: string[] = [];
  const log = {
    warn: (details: object, message?: string) => void warnings.push(`${message} ${JSON.stringify(details)}`),
  };
  const metrics = createMetrics({
    sessions: () => 0,
    holdsOpen: () => 0,
    oldestHoldMs: () => 0,
    catalogueAges: () => [],
    auditLag: () => ({ bytes: 0, ms: 0 }),
    connections: () => [],
    logLost: () => 0,
  });
  const signIn = createSignIn({
    config: () => now.settings,
    store,
    identity: { revocations, register },
    holds: { people: { members: (name) => now.groups.get(name), known: async () => {} } },
    rulebook: { names: () => [...now.settings.approvals.approvers, ...now.settings.approvals.admins] },
    log: log as SignInDeps['log'],
    now: () => Date.now() + now.aheadMs,
  });
  const web = createWeb({
    host: '127.0.0.1',
    port,
    exchange: () => Promise.reject(new GatewayError('AUTH', 'not here')),
    metrics,
    audit: { append: (entry) => void entries.push(entry), commit: async (entry) => void entries.push(entry) },
    troubles: async () => ({}),
    signIn,
    ...(options.pages ? { pages: options.pages } : {}),
    log,
    ...options.web,
  });
  await web.start();
  undo.push(async () => {
    await web.stop();
    metrics.stop();
    revocations.stop();
    connection.disconnect();
  });
  return { url, now, entries, warnings, revocations, register, store };
}

export const csrfIn = (body: string): string => /name="csrf" value="([^"]+)"/.exec(body)?.[1] ?? '';

export const COOKIE = 'countersign';
export const isSignedIn = async (browser: Browser, at: { url: string }): Promise<boolean> => {
  const { status } = await browser.go(`${at.url}/me`, { follow: false });
  assert.ok(status === 200 || status === 303, `${status}`);
  return status === 200;
};
export const signedIn = async (at: { readonly url: string }, account = 'alice'): Promise<Browser> => {
  const browser = new Browser();
  const page = await browser.signIn(at, account);
  assert.equal(page.status, 200, page.body);
  return browser;
};
export const refused = (page: Page, status: number, why: RegExp) => {
  assert.equal(page.status, status, page.body);
  assert.match(page.body, why);
};
/** From `/sign-in` to the issuer, by way of `change`, and back as far as the callback's own address. */
export const cameBack = async (
  browser: Browser,
  at: { readonly url: string },
  change: (url: URL) => void = () => {},
): Promise<URL> => {
  const begun = await browser.go(`${at.url}/sign-in`, { follow: false });
  const url = new URL(begun.headers.get('location') ?? '');
  change(url);
  let next = (await browser.go(url.href)).url;
  let form: Record<string, string> | undefined = { account: 'alice' };
  while (!next.includes('/sign-in/callback')) {
    const page: Page = await browser.go(next, { follow: false, ...(form ? { form } : {}) });
    form = undefined;
    const location = page.headers.get('location');
    assert.ok(location, page.body);
    next = new URL(location, next).href;
  }
  return new URL(next);
};
