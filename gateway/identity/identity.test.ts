/** Who gets in, and for how long: a real OIDC provider, a real Redis, and tokens nobody should accept. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { after, afterEach, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { type Oidc, startOidc } from '../../test/support/oidc.ts';
import { freePort } from '../../test/support/ports.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { GatewayError } from '../errors.ts';
import { AgentRegister } from '../state/agents.ts';
import { Revocations } from '../state/revocations.ts';
import { SignedStore } from '../state/signed.ts';
import { TokenStore, tokenHash } from '../state/tokens.ts';
import { GatewayAuthenticator } from './authenticator.ts';
import { type IssuerConfig, validateIssuers } from './issuers.ts';
import { createVerifier } from './oidc.ts';
import { type Directory, identityFrom, principalOf } from './principals.ts';

const CLIENTS = [
  { id: 'report-bot', secret: 's3cret-of-report-bot', groups: 'reports' },
  { id: 'deploy-bot', secret: 's3cret-of-deploy-bot' },
];
const gatewayKeys = newKeyPair();
const own = signingKey(gatewayKeys.secret);
const trusted = () => [verifyingKey(gatewayKeys.public)];

let redis: TestRedis;
let oidc: Oidc;
let other: Oidc;
const undo: (() => unknown)[] = [];

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

const directory = (): Directory => ({
  agents: [{ issuer: oidc.issuer, subject: 'report-bot', sponsor: 'U0BOB', purpose: 'nightly' }],
  people: [{ slack: 'U0CAROL', issuer: oidc.issuer, subject: 'carol' }],
});
const issuers = (more: Partial<IssuerConfig> = {}): IssuerConfig[] =>
  [oidc, other].map(({ issuer }) => ({ issuer, audience: 'countersign', groups: 'groups', ...more }));

/** One gateway's identity room; several may share the Redis. */
async function room(
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

const refusedWith = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GatewayError && error.code === 'AUTH', String(error));
  assert.match(error.message, pattern);
  return true;
};
const seconds = (offset = 0) => Math.floor(Date.now() / 1_000) + offset;
const claims = (more: object = {}) => ({
  iss: oidc.issuer,
  aud: 'countersign',
  sub: 'alice',
  iat: seconds(),
  exp: seconds(600),
  ...more,
});
const accepted = async (authenticator: GatewayAuthenticator, token: string) => {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const credential = await authenticator.authenticate(token).catch(() => undefined);
    if (credential) return credential.release();
    assert.ok(performance.now() < deadline, 'never accepted');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
const endOf = (signal: AbortSignal, ms = 10_000) =>
  new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('never ended')), ms);
    const ended = () => {
      clearTimeout(timer);
      resolve(String(signal.reason));
    };
    if (signal.aborted) ended();
    else signal.addEventListener('abort', ended, { once: true });
  });

describe('a JWT', () => {
  it('of a client becomes an agent with its sponsor and normalised groups', async () => {
    const { authenticator } = await room();
    const credential = await authenticator.authenticate(await oidc.token('report-bot'));
    const { kind, name, groups, sponsor, purpose } = credential.principal;
    assert.deepEqual(
      { kind, name, groups, sponsor, purpose },
      { kind: 'agent', name: 'report-bot', groups: ['reports'], sponsor: 'U0BOB', purpose: 'nightly' },
    );
    assert.ok(credential.expiresAt() > Date.now() + 11 * 3_600_000);
    credential.release();
    const deploy = await authenticator.authenticate(await oidc.token('deploy-bot'));
    assert.deepEqual([deploy.principal.kind, deploy.principal.groups], ['agent', []]);
    assert.equal(authenticator.size, 1);
    deploy.release();
    assert.equal(authenticator.size, 0);
  });

  it('of a person becomes a human, linked to Slack only by configuration', async () => {
    const { authenticator } = await room();
    const carol = (await authenticator.authenticate(await oidc.personToken('carol'))).principal;
    assert.deepEqual(
      [carol.kind, carol.slack, carol.email, carol.emailVerified],
      ['human', 'U0CAROL', 'carol@example.com', true],
    );
    const bob = (await authenticator.authenticate(await oidc.personToken('bob'))).principal;
    assert.deepEqual([bob.kind, bob.slack], ['human', undefined]);
  });

  it('with the same subject or e-mail address from another issuer is another principal', async () => {
    const { authenticator } = await room();
    const impostor = (await authenticator.authenticate(await other.token('report-bot'))).principal;
    assert.deepEqual([impostor.sponsor, impostor.issuer], [undefined, other.issuer]);
    const mallory = (await authenticator.authenticate(await other.personToken('mallory'))).principal;
    assert.deepEqual([mallory.subject, mallory.slack], ['mallory', undefined]);
  });

  const bad: [name: string, pattern: RegExp, token: () => Promise<string>][] = [
    ['for another audience', /audience/, () => oidc.sign(claims({ aud: 'someone-else' }))],
    ['for no audience', /aud/, () => oidc.sign(claims({ aud: undefined }))],
    ['that has expired', /expired/, () => oidc.sign(claims({ exp: seconds(-5) }))],
    ['that never expires', /exp/, () => oidc.sign(claims({ exp: undefined }))],
    ['without a time of issue', /iat/, () => oidc.sign(claims({ iat: undefined }))],
    ['issued in the future', /future|iat/, () => oidc.sign(claims({ iat: seconds(3_600) }))],
    ['not valid yet', /nbf/, () => oidc.sign(claims({ nbf: seconds(3_600) }))],
    ['without a subject', /sub/, () => oidc.sign(claims({ sub: undefined }))],
    ['with a subject that hides something', /subject/, () => oidc.sign(claims({ sub: 'ali\u202ece' }))],
    ['of another type', /type/, () => oidc.sign(claims(), { typ: 'logout+jwt' })],
    ['bound to a key', /bound/, () => oidc.sign(claims({ cnf: { jkt: 'x' } }))],
    ['of an unknown issuer', /issuer/, () => oidc.sign(claims({ iss: 'https://evil.example' }))],
    ['signed by another issuer', /signed/, () => other.sign(claims())],
    ['with groups nobody can read', /groups/, () => oidc.sign(claims({ groups: [{ name: 'admins' }] }))],
    [
      'with groups left out for their number',
      /too long/,
      () => oidc.sign(claims({ _claim_names: { groups: 'src1' } })),
    ],
    ['with alg none', /algorithm|signed/, async () => unsigned({ alg: 'none' }, '')],
    [
      'with HS256 over the public key',
      /algorithm/,
      async () => {
        const keySet = await (await fetch(`${oidc.issuer}/jwks`)).text();
        return unsigned({ alg: 'HS256' }, keySet);
      },
    ],
    [
      'with a key of its own in the header',
      /signed|algorithm/,
      () => other.sign(claims(), { jwk: { kty: 'RSA' }, jku: other.issuer }),
    ],
    [
      'with a changed claim',
      /signed/,
      async () => {
        const [header, , signature] = (await oidc.token('report-bot')).split('.');
        return [header, Buffer.from(JSON.stringify(claims({ sub: 'alice' }))).toString('base64url'), signature].join(
          '.',
        );
      },
    ],
    ['that is no JWT', /neither/, async () => 'hunter2'],
    ['that is empty', /neither/, async () => ''],
    ['that is too long', /longer/, async () => `eyJ${'a'.repeat(20_000)}`],
    [
      'cut by OpenSSH',
      /cut the token at 1023/,
      async () => `${await oidc.sign(claims({ pad: 'x'.repeat(2_000) }))}`.slice(0, 1_023),
    ],
  ];
  for (const [name, pattern, token] of bad) {
    it(`${name} is refused`, async () => {
      const { authenticator } = await room({ subscribe: false });
      await assert.rejects(authenticator.authenticate(await token()), refusedWith(pattern));
      assert.equal(authenticator.size, 0);
    });
  }

  it('says nothing about e-mail unless the issuer verified it', () => {
    for (const verified of [false, 'true', undefined, 1]) {
      const identity = identityFrom('https://i.example', { sub: 'x', email: 'a@b.example', email_verified: verified });
      assert.equal(principalOf(identity, { agents: [], people: [] }).email, undefined);
    }
  });

  it('must carry required claims exactly', async () => {
    const { authenticator } = await room({
      issuers: issuers({ require: { repository: 'acme/reports', ref: ['main', 'prod'] } }),
    });
    const good = claims({ repository: 'acme/reports', ref: 'prod' });
    (await authenticator.authenticate(await oidc.sign(good))).release();
    for (const more of [
      { repository: 'acme/reports2' },
      { repository: 'ACME/reports' },
      { ref: 'dev' },
      { ref: undefined },
      { ref: ['dev'] },
    ]) {
      await assert.rejects(
        authenticator.authenticate(await oidc.sign({ ...good, ...more })),
        refusedWith(/required claim/),
      );
    }
  });

  it('is verified after the issuer’s keys were rotated, and the old key’s tokens are not', async () => {
    const { authenticator } = await room();
    const old = await oidc.token('report-bot');
    (await authenticator.authenticate(old)).release();
    await oidc.rotateKeys();
    await accepted(authenticator, await oidc.token('report-bot')); // once the cooldown between two looks is over
    await assert.rejects(authenticator.authenticate(old), refusedWith(/signed/));
  });

  it('with invented key ids does not make the gateway flood its issuer', async () => {
    const { authenticator } = await room();
    (await authenticator.authenticate(await oidc.token('report-bot'))).release();
    const asked = oidc.keyRequests();
    const started = performance.now();
    const forged = await Promise.all(Array.from({ length: 50 }, (_, n) => other.sign(claims(), { kid: `k${n}` })));
    for (const token of forged) await assert.rejects(authenticator.authenticate(token));
    assert.ok(oidc.keyRequests() - asked <= 2 + (performance.now() - started) / 100, `${oidc.keyRequests() - asked}`);
  });

  it('is refused while its issuer cannot be reached, and verified as soon as it can', async () => {
    const late = await startOidc({ clients: CLIENTS });
    undo.push(() => late.stop());
    const token = await late.token('report-bot');
    await late.stop();
    const { authenticator } = await room({ issuers: [{ issuer: late.issuer, audience: 'countersign' }] });
    await assert.rejects(authenticator.authenticate(token), refusedWith(/cannot be had now/));
    await late.start();
    await accepted(authenticator, token);
  });

  it('is refused when discovery is hostile: another issuer, a redirect, plain http keys, an endless or slow answer', async () => {
    const port = await freePort();
    const issuer = `http://127.0.0.1:${port}`;
    let answer: (path: string, response: import('node:http').ServerResponse) => void = () => {};
    const server = createServer((request, response) => answer(request.url ?? '', response)).listen(port, '127.0.0.1');
    undo.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const json = (body: object) => (_: string, response: import('node:http').ServerResponse) =>
      void response.end(JSON.stringify(body));
    const token = await oidc.sign(claims({ iss: issuer }));
    const hostile = [
      json({ issuer: oidc.issuer, jwks_uri: `${oidc.issuer}/jwks` }),
      json({ issuer, jwks_uri: 'http://10.0.0.1/jwks' }),
      json({ issuer, jwks_uri: 'file:///etc/passwd' }),
      json({ issuer }),
      (_: string, response: import('node:http').ServerResponse) =>
        void response.writeHead(302, { location: `${oidc.issuer}/.well-known/openid-configuration` }).end(),
      (_: string, response: import('node:http').ServerResponse) => void response.end('x'.repeat(3 << 20)),
      (_: string, response: import('node:http').ServerResponse) => void response.end('not json'),
      () => {},
    ];
    for (answer of hostile) {
      const verifier = createVerifier({
        issuers: [{ issuer, audience: 'countersign' }],
        timeoutMs: 300,
        cooldownMs: 1,
      });
      await assert.rejects(verifier.verify(token), refusedWith(/cannot be had now/));
    }
  });
});

describe('issuers', () => {
  it('that anyone can get a token of must require a telling claim', () => {
    const base = { audience: 'countersign' };
    for (const issuer of [
      'https://token.actions.githubusercontent.com',
      'https://gitlab.com',
      'https://accounts.google.com',
      'https://login.microsoftonline.com/common/v2.0',
    ]) {
      assert.throws(() => validateIssuers([{ issuer, ...base }]), /require/);
      assert.throws(() => validateIssuers([{ issuer, ...base, require: { aud: 'countersign' } }]), /require/);
      assert.throws(() => validateIssuers([{ issuer, ...base, require: { repository: [] } }]), /require/);
      validateIssuers([{ issuer, ...base, require: { repository: 'acme/reports' } }]);
    }
    assert.throws(() => validateIssuers([{ issuer: 'http://idp.example', ...base }]), /https/);
    validateIssuers([{ issuer: 'http://127.0.0.1:9', ...base }]);
  });
});

describe('a gateway token', () => {
  it('is short, kept only as a hash, and good for the same principal until the JWT ends', async () => {
    const { authenticator, post, connection } = await room();
    const { token, expiresAt } = await post(await oidc.token('report-bot'));
    assert.match(token, /^cst_[A-Za-z0-9_-]{43}$/);
    const credential = await authenticator.authenticate(token);
    assert.deepEqual([credential.principal.subject, credential.expiresAt()], ['report-bot', expiresAt]);
    for (const key of await connection.keys('*')) {
      const value = (await connection.type(key)) === 'string' ? await connection.get(key) : '';
      assert.ok(!key.includes(token) && !value?.includes(token));
    }
    assert.ok((await connection.pttl(`countersign:token:${tokenHash(token)}`)) > 0);
    credential.release();
  });

  it('does not outlive the configured maximum', async () => {
    const { post } = await room({ maxTokenMs: 60_000 });
    assert.ok((await post(await oidc.token('report-bot'))).expiresAt <= Date.now() + 60_000);
  });

  it('that is unknown, cut, exchanged again, or forged in Redis is refused', async () => {
    const { authenticator, post, connection } = await room();
    const { token, hash } = await post(await oidc.token('report-bot'));
    await assert.rejects(authenticator.authenticate(`cst_${'a'.repeat(43)}`), refusedWith(/unknown/));
    await assert.rejects(authenticator.authenticate(token.slice(0, -1)), refusedWith(/no gateway token/));
    await assert.rejects(authenticator.exchange(token), refusedWith(/cannot be exchanged/));
    const sealed = (await connection.get(`countersign:token:${hash}`)) ?? '';
    await connection.set(`countersign:token:${tokenHash(`cst_${'b'.repeat(43)}`)}`, sealed); // moved to a token of mine
    await assert.rejects(authenticator.authenticate(`cst_${'b'.repeat(43)}`), refusedWith(/cannot be verified/));
    await connection.set(`countersign:token:${hash}`, sealed.replace('report-bot', 'alice'));
    await assert.rejects(authenticator.authenticate(token), refusedWith(/cannot be verified/));
  });

  it('ends its session when it ends, by a sentence', async () => {
    const { authenticator, post } = await room();
    const { token } = await post(await oidc.sign(claims({ exp: seconds(2) })));
    const credential = await authenticator.authenticate(token);
    assert.match(await endOf(credential.ended), /expired/);
    assert.ok(Date.now() >= credential.expiresAt() - 50);
    await assert.rejects(authenticator.authenticate(token), refusedWith(/expired/));
    assert.equal(authenticator.size, 0);
  });

  it('posted later to another gateway extends live sessions on every gateway, unless the groups differ', async () => {
    const [one, two, deaf] = await Promise.all([room(), room(), room({ subscribe: false })]);
    const short = await oidc.sign(claims({ exp: seconds(4), groups: ['a', 'b'] }));
    const sessions = await Promise.all([one, two, deaf].map(({ authenticator }) => authenticator.authenticate(short)));
    const others = await one.authenticator.authenticate(await oidc.sign(claims({ exp: seconds(4), groups: ['a'] })));
    const bystander = await one.authenticator.authenticate(await oidc.sign(claims({ exp: seconds(4), sub: 'bob' })));
    await two.post(await oidc.sign(claims({ exp: seconds(900), groups: ['b', 'a'] })));
    await Promise.all([endOf(others.ended), endOf(bystander.ended)]);
    for (const session of sessions) {
      assert.equal(session.ended.aborted, false);
      assert.ok(session.expiresAt() > Date.now() + 800_000);
      session.release();
    }
  });
});

describe('a revocation', () => {
  it('ends live sessions everywhere within two seconds and refuses new ones: by principal, jti or token', async () => {
    const [one, two] = await Promise.all([room(), room({ subscribe: false })]);
    const cases: [Parameters<Revocations['revoke']>[0]['kind'], (jwt: string, hash: string) => string][] = [
      [
        'jti',
        (jwt) => `${oidc.issuer}#${JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()).jti}`,
      ],
      ['token', (_, hash) => hash],
      ['principal', () => `${oidc.issuer}#alice`],
    ];
    for (const [kind, value] of cases) {
      const jwt = await oidc.personToken('alice');
      const { token, hash } = await one.post(jwt);
      const live = await Promise.all([one.authenticator.authenticate(token), two.authenticator.authenticate(token)]);
      const bystander = await two.authenticator.authenticate(await oidc.personToken('bob'));
      const started = performance.now();
      await one.revocations.revoke({ kind, value: value(jwt, hash), by: 'U0CAROL', reason: 'left the company' });
      for (const { ended } of live) assert.match(await endOf(ended), /revoked/);
      assert.ok(performance.now() - started < 2_000);
      assert.equal(bystander.ended.aborted, false);
      bystander.release();
      await assert.rejects(two.authenticator.authenticate(token), refusedWith(/revoked/));
    }
    await assert.rejects(one.authenticator.exchange(await oidc.personToken('alice')), refusedWith(/revoked/));
  });

  it('cannot be undone by deleting, rolling back or forging the list in Redis', async () => {
    const { revocations, connection, troubles } = await room();
    const key = 'countersign:revocations';
    await revocations.revoke({ kind: 'principal', value: 'https://i.example#one', by: 'x', reason: '' });
    const older = (await connection.get(key)) ?? '';
    await revocations.revoke({ kind: 'principal', value: 'https://i.example#two', by: 'x', reason: '' });
    const revoked = (subject: string) =>
      revocations.isRevoked({ issuer: 'https://i.example', subject, jti: undefined, hash: undefined });
    for (const raw of [undefined, older, 'nonsense', '{"by":"x","body":"{}","sig":"x"}']) {
      if (raw === undefined) await connection.del(key);
      else await connection.set(key, raw);
      const deadline = performance.now() + 5_000;
      while ((await connection.get(key)) === (raw ?? null)) {
        assert.ok(performance.now() < deadline, 'never put back');
        await revocations.refresh();
        assert.ok(revoked('one') && revoked('two'));
      }
    }
    assert.ok(troubles.length >= 4);
  });

  it('survives two gateways revoking at once', async () => {
    const [one, two] = await Promise.all([room(), room()]);
    await Promise.all(
      [one, two, one, two].map(({ revocations }, n) =>
        revocations.revoke({ kind: 'principal', value: `https://race.example#${n}`, by: 'x', reason: '' }),
      ),
    );
    const { revocations } = await room();
    assert.equal(revocations.list().filter(({ value }) => value.startsWith('https://race')).length, 4);
  });

  it('by configuration holds without Redis and ends live sessions', async () => {
    const { authenticator, setRevoked } = await room();
    const live = await authenticator.authenticate(await oidc.token('deploy-bot'));
    setRevoked([{ issuer: oidc.issuer, subject: 'deploy-bot' }]);
    assert.match(await endOf(live.ended), /revoked/);
    await assert.rejects(authenticator.authenticate(await oidc.token('deploy-bot')), refusedWith(/revoked/));
  });

  it('that cannot be looked up refuses log-ins', async () => {
    const { authenticator, revocations, connection } = await room({ staleMs: 300, subscribe: false });
    const token = await oidc.token('deploy-bot');
    (await authenticator.authenticate(token)).release();
    connection.disconnect();
    const deadline = performance.now() + 5_000;
    while (revocations.current) {
      assert.ok(performance.now() < deadline);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await assert.rejects(authenticator.authenticate(token), refusedWith(/cannot be read/));
  });
});

describe('a reload', () => {
  it('ends the sessions of whoever it knows differently, and nobody else’s', async () => {
    const { authenticator, verifierFor } = await room();
    const report = await authenticator.authenticate(await oidc.token('report-bot'));
    const deploy = await authenticator.authenticate(await oidc.token('deploy-bot'));
    const foreign = await authenticator.authenticate(await other.token('deploy-bot'));
    const { token } = await authenticator.exchange(await other.token('deploy-bot'));
    const changed = { ...directory(), agents: [{ issuer: oidc.issuer, subject: 'report-bot', sponsor: 'U0CAROL' }] };
    authenticator.reconfigure({ verifier: verifierFor(issuers().slice(0, 1)), directory: changed });
    assert.match(String(report.ended.reason), /changed/);
    assert.match(String(foreign.ended.reason), /no longer takes/);
    assert.equal(deploy.ended.aborted, false);
    deploy.release();
    await assert.rejects(authenticator.authenticate(token), refusedWith(/terms/));
  });

  it('that asks more of an issuer’s tokens ends what was given for less, and gives anew to whoever meets it', async () => {
    const { authenticator, post, verifierFor } = await room();
    const jwt = await oidc.sign(claims({ sub: 'zoe', repository: 'acme/reports' }));
    const { token } = await post(jwt);
    const live = await authenticator.authenticate(token);
    const asking = (repository: string) =>
      authenticator.reconfigure({
        verifier: verifierFor(issuers({ require: { repository } })),
        directory: directory(),
      });
    asking('acme/deploys');
    assert.match(await endOf(live.ended), /no longer takes/);
    await assert.rejects(authenticator.authenticate(token), refusedWith(/terms/));
    asking('acme/reports');
    await assert.rejects(authenticator.authenticate(token), refusedWith(/terms/), 'it was never held against this');
    (await authenticator.authenticate((await post(jwt)).token)).release();
  });
});

describe('the register', () => {
  it('remembers first and last sight and every connection, from several gateways at once', async () => {
    const { store, connection } = await room();
    let now = 1_000;
    const registers = [1, 2].map(() => new AgentRegister({ store, now: () => now, everyMs: 10 }));
    const identity = identityFrom('https://i.example', { sub: 'bot', client_id: 'bot' });
    const principal = principalOf(identity, { agents: [], people: [] });
    await Promise.all(
      registers.flatMap((register) => ['orders', 'billing'].map((name) => register.seen(principal, name))),
    );
    now = 5_000;
    await registers[0]?.seen(principal, 'orders');
    const [entry, ...rest] = (await registers[1]?.list()) ?? [];
    assert.deepEqual(
      [rest.length, entry?.firstSeen, entry?.lastSeen, entry?.connections.toSorted()],
      [0, 1_000, 5_000, ['billing', 'orders']],
    );
    const [field] = await connection.hkeys('countersign:agents');
    await connection.hset('countersign:agents', field ?? '', 'forged');
    assert.deepEqual(await registers[0]?.list(), []);
  });
});

describe('the groups of people who may approve', () => {
  it('are those of their last token, of their own issuer, and forgotten after twelve hours', async () => {
    const { store, connection } = await room();
    let now = 1_000;
    const register = new AgentRegister({ store, now: () => now });
    const alice = { slack: 'U0ALICE', issuer: 'https://i.example', subject: 'alice' };
    const mallory = { slack: 'U0MALLORY', issuer: 'https://other.example', subject: 'alice' };
    const shows = (groups: string[]) =>
      register.seen(
        principalOf(identityFrom(alice.issuer, { sub: 'alice', groups }, 'groups'), { agents: [], people: [alice] }),
      );
    const members = (group: string) => register.membersOf(group, [alice, mallory]);
    assert.deepEqual(await members('auditors'), []);
    await shows(['auditors']);
    assert.deepEqual([await members('auditors'), await members('dba')], [['U0ALICE'], []]);
    await shows(['dba']); // a moment later, and with another set
    assert.deepEqual([await members('auditors'), await members('dba')], [[], ['U0ALICE']]);
    now += 12 * 3_600_000 + 1;
    assert.deepEqual(await members('dba'), []);
    const [field] = await connection.hkeys('countersign:agents');
    await connection.hset('countersign:agents', field ?? '', 'forged');
    assert.deepEqual(await members('dba'), []);
  });
});

/** A token with a header of the attacker's choice, "signed" with a text everyone knows. */
function unsigned(header: object, secret: string): string {
  const parts = [header, claims()].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${parts}.${secret === '' ? '' : createHmac('sha256', secret).update(parts).digest('base64url')}`;
}
