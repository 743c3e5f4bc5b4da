/** For how long somebody is in: gateway tokens, revocations, reloads, and what is remembered of each principal. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  claims,
  directory,
  endOf,
  issuers,
  oidc,
  other,
  refusedWith,
  room,
  seconds,
} from '../../test/support/identity-room.ts';
import { GatewayError } from '../errors.ts';
import { AgentRegister } from '../state/agents.ts';
import type { Revocations } from '../state/revocations.ts';
import { tokenHash } from '../state/tokens.ts';
import { identityFrom, principalOf } from './principals.ts';

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

  it('survives many gateways revoking at once', async () => {
    const rooms = await Promise.all(Array.from({ length: 8 }, () => room()));
    await Promise.all(
      [...rooms, ...rooms, ...rooms].map(({ revocations }, n) =>
        revocations.revoke({ kind: 'principal', value: `https://race.example#${n}`, by: 'x', reason: '' }),
      ),
    );
    const { revocations } = await room();
    assert.equal(revocations.list().filter(({ value }) => value.startsWith('https://race')).length, 24);
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
    await assert.rejects(
      authenticator.authenticate(token),
      (error) => error instanceof GatewayError && error.code === 'UNAVAILABLE' && /cannot be read/.test(error.message),
    );
    await connection.connect();
    (await authenticator.authenticate(token)).release(); // at once, not with the next poll
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
    await shows(['auditors']); // and back again
    assert.deepEqual([await members('auditors'), await members('dba')], [['U0ALICE'], []]);
    await shows(['dba']);
    now += 12 * 3_600_000 + 1;
    assert.deepEqual(await members('dba'), []);
    const [field] = await connection.hkeys('countersign:agents');
    await connection.hset('countersign:agents', field ?? '', 'forged');
    assert.deepEqual(await members('dba'), []);
  });

  it('are not those of a sign-in in a browser, which tells their name', async () => {
    const { store } = await room();
    let now = 1_000;
    const register = new AgentRegister({ store, now: () => now });
    const alice = { slack: 'U0ALICE', issuer: 'https://i.example', subject: 'alice' };
    const principal = (claims: Record<string, unknown>) =>
      principalOf(identityFrom(alice.issuer, { sub: 'alice', ...claims }, 'groups'), { agents: [], people: [alice] });
    const inBrowser = principal({ email: 'alice@example.com', email_verified: true, groups: ['admins'] });
    await register.signedIn(inBrowser);
    assert.deepEqual(await register.namesOf([alice]), new Map([['U0ALICE', 'alice@example.com']]));
    await register.seen(principal({ groups: ['dba'] }));
    now += 3_600_000;
    await register.signedIn(inBrowser);
    const members = async (group: string) => (await register.membersOf(group, [alice])).length;
    assert.deepEqual([await members('dba'), await members('admins')], [1, 0]);
    now += 11 * 3_600_000 + 1;
    assert.equal(await members('dba'), 0, 'nor does it make them any younger');
  });
});
