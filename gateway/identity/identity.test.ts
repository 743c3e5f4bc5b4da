/** Who gets in: a real OIDC provider, and tokens nobody should accept. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { describe, it } from 'node:test';
import {
  accepted,
  CLIENTS,
  claims,
  issuers,
  oidc,
  other,
  refusedWith,
  room,
  seconds,
  undo,
} from '../../test/support/identity-room.ts';
import { startOidc } from '../../test/support/oidc.ts';
import { freePort } from '../../test/support/ports.ts';
import { validateIssuers } from './issuers.ts';
import { createVerifier } from './oidc.ts';
import { identityFrom, principalOf } from './principals.ts';

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

/** A token with a header of the attacker's choice, "signed" with a text everyone knows. */
function unsigned(header: object, secret: string): string {
  const parts = [header, claims()].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${parts}.${secret === '' ? '' : createHmac('sha256', secret).update(parts).digest('base64url')}`;
}
