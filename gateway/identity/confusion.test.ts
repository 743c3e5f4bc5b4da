/** Tokens and issuers that are almost right: names one slash apart, audiences in lists, keys that are none. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { GatewayError } from '../errors.ts';
import { createVerifier } from './oidc.ts';

type Key = Awaited<ReturnType<typeof generateKeyPair>>;
const SECRET = new TextEncoder().encode('a secret that somebody put into a public key set');

let key: Key;
let issuer: string;
let jwk: JWK;
/** What the provider answers, by path. */
let answers: Record<string, (response: ServerResponse) => void>;
const server = createServer((request, response) => {
  const answer = answers[request.url ?? ''];
  if (answer) answer(response);
  else response.writeHead(404).end();
});
const json = (body: unknown) => (response: ServerResponse) => void response.end(JSON.stringify(body));
const publish = (keys: JWK[], more: object = {}) => {
  answers = {
    '/.well-known/openid-configuration': json({ issuer, jwks_uri: `${issuer}/jwks`, ...more }),
    '/jwks': json({ keys }),
  };
};

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  key = await generateKeyPair('RS256', { extractable: true });
  jwk = { ...(await exportJWK(key.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const claims = (more: object = {}): JWTPayload => {
  const now = Math.floor(Date.now() / 1_000);
  return { iss: issuer, aud: 'countersign', sub: 'report-bot', iat: now, exp: now + 300, ...more };
};
const signed = (payload: JWTPayload, header: object = {}) =>
  new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid: 'one', ...header }).sign(key.privateKey);
const verify = (token: string, configured = issuer) =>
  createVerifier({
    issuers: [{ issuer: configured, audience: 'countersign' }],
    timeoutMs: 1_000,
    cooldownMs: 1,
  }).verify(token);
const refuses = async (token: string, why: RegExp, configured = issuer) =>
  assert.rejects(verify(token, configured), (error: unknown) => {
    assert.ok(error instanceof GatewayError && error.code === 'AUTH', String(error));
    assert.match(error.message, why);
    return true;
  });

describe('an issuer', () => {
  it('is the configured one to the letter: no slash more, no other case, no list', async () => {
    publish([jwk]);
    assert.equal((await verify(await signed(claims()))).identity.issuer, issuer);
    for (const iss of [`${issuer}/`, issuer.toUpperCase(), [issuer], { issuer }, 7, '', undefined]) {
      await refuses(await signed(claims({ iss: iss as string })), /issuer that this gateway trusts/);
    }
    publish([jwk], { issuer: `${issuer}/` });
    await refuses(await signed(claims()), /cannot be had now/);
    publish([jwk]);
    await refuses(await signed(claims({ iss: `${issuer}/` })), /cannot be had now/, `${issuer}/`);
  });

  it('may list several audiences, and this gateway must be one', async () => {
    publish([jwk]);
    assert.ok(await verify(await signed(claims({ aud: ['billing', 'countersign'] }))));
    for (const aud of [[], ['billing'], ['countersign2'], [['countersign']], 'countersign ', 'COUNTERSIGN']) {
      await refuses(await signed(claims({ aud: aud as string[] })), /audience|aud/);
    }
  });

  it('is believed half a minute of difference between clocks, and no lifetime beyond the end', async () => {
    publish([jwk]);
    const now = Math.floor(Date.now() / 1_000);
    assert.ok(await verify(await signed(claims({ iat: now + 20, nbf: now + 20 }))));
    await refuses(await signed(claims({ nbf: now + 60 })), /nbf/);
    await refuses(await signed(claims({ exp: now })), /expired/);
    await refuses(await signed(claims({ exp: now + 0.5e15, iat: now + 60 })), /future|iat/);
  });
});

describe('a key', () => {
  it('is never a shared secret, not even one that the issuer publishes', async () => {
    publish([jwk, { kty: 'oct', kid: 'secret', alg: 'HS256', k: Buffer.from(SECRET).toString('base64url') }]);
    const hmac = new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: 'secret' });
    await refuses(await hmac.sign(SECRET), /algorithm/);
    await refuses(await signed(claims(), { kid: 'secret' }), /not signed by its issuer|cannot be had/);
  });

  it('is not found by a strange id, nor by what the header claims about itself', async () => {
    publish([jwk]);
    for (const kid of ['../one', 'one\u0000', '', 'x'.repeat(5_000), `${issuer}/jwks`]) {
      await refuses(await signed(claims(), { kid }), /not signed by its issuer/);
    }
    const evil = await generateKeyPair('RS256', { extractable: true });
    const own = { ...(await exportJWK(evil.publicKey)), kid: 'evil' };
    const header = { alg: 'RS256', kid: 'evil', jwk: own, jku: 'http://127.0.0.1:1/jwks', x5u: 'http://127.0.0.1:1/' };
    await refuses(await new SignJWT(claims()).setProtectedHeader(header).sign(evil.privateKey), /not signed/);
  });

  it('is not fetched where a redirect points, nor from an answer of another status', async () => {
    const token = await signed(claims());
    publish([jwk]);
    const keys = answers['/jwks'];
    for (const status of [301, 302, 307, 308]) {
      answers = {
        ...answers,
        '/moved': keys ?? assert.fail(),
        '/jwks': (response) => void response.writeHead(status, { location: `${issuer}/moved` }).end(),
      };
      await refuses(token, /cannot be had now/);
    }
    answers = { ...answers, '/jwks': (response) => void response.writeHead(500).end(JSON.stringify({ keys: [jwk] })) };
    await refuses(token, /cannot be had now/);
  });
});
