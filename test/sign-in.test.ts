/** People sign in to the pages with a real issuer: who gets in, and all the ways that must not work. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../gateway/errors.ts';
import { ownPath } from '../gateway/web/guard.ts';
import { AddressLimiter } from '../gateway/web/limiter.ts';
import { Browser } from './support/sign-in-browser.ts';
import { COOKIE, cameBack, gateway, isSignedIn, oidc, refused, signedIn } from './support/sign-in-stage.ts';
import { eventually } from './support/workspace.ts';

describe('signing in', () => {
  it('leads to the page that was asked for, says who one is, and is on record', async () => {
    const here = await gateway();
    const browser = new Browser();
    const asked = await browser.go(`${here.url}/me?from=card`);
    const page = await browser.go(asked.url, { form: { account: 'alice' } });
    assert.equal(page.url, `${here.url}/me?from=card`);
    assert.match(page.body, /alice@example\.com/);
    assert.match(page.body, /admin, approver/);
    assert.deepEqual(
      here.entries.map(({ kind, principal }) => [kind, principal]),
      [['web.signed-in', `${oidc.issuer}#alice`]],
    );
  });

  it('tells what somebody is called, who is linked to a Slack account', async () => {
    const here = await gateway();
    const linked = here.now.settings.identity.people;
    await signedIn(here, 'bob');
    const name = await eventually(async () => (await here.register.namesOf(linked)).get('U0BOB'));
    assert.equal(name, 'bob@example.com');
  });

  it('gives a cookie that no script reads and no other site sends; over https, one of this host alone', async () => {
    const here = await gateway();
    const browser = await signedIn(here);
    const written = browser.received.filter((one) => one.startsWith(`${COOKIE}=`) && !one.includes('Max-Age=0'));
    assert.equal(written.length, 1);
    assert.match(written[0] ?? '', /^countersign=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Lax$/);
    const tls = await gateway({
      settings: (s) => ({ ...s, web: s.web && { ...s.web, url: 'https://gate.example.com' } }),
    });
    const { headers } = await browser.go(`${tls.url}/sign-in`, { follow: false });
    assert.match(
      headers.getSetCookie()[0] ?? '',
      /^__Host-countersign-signing-in=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/,
    );
    assert.match(headers.get('strict-transport-security') ?? '', /max-age=\d{8}/);
    assert.equal(await isSignedIn(browser, tls), false, 'a cookie of plain http is none over https');
  });

  it('tells browsers to load, frame and leak nothing', async () => {
    const here = await gateway();
    const { headers } = await (await signedIn(here)).go(`${here.url}/me`);
    assert.equal(
      headers.get('content-security-policy'),
      `default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self' ${oidc.issuer}; base-uri 'none'; frame-ancestors 'none'`,
    );
    for (const [name, value] of [
      ['referrer-policy', 'same-origin'],
      ['cross-origin-opener-policy', 'same-origin'],
      ['x-content-type-options', 'nosniff'],
      ['cache-control', 'no-store'],
    ] as const) {
      assert.equal(headers.get(name), value);
    }
  });

  it('keeps neither the cookie nor a token where Redis is read', async () => {
    const here = await gateway();
    const browser = await signedIn(here);
    const keys = await here.store.redis.keys('*');
    const values = await Promise.all(
      keys.filter((key) => /web-session|signing-in/.test(key)).map((key) => here.store.redis.get(key)),
    );
    const kept = [...keys, ...values].join('\n');
    assert.match(kept, /alice/);
    assert.ok(!kept.includes(browser.value(COOKIE) ?? 'x') && !kept.includes('eyJhbGciOi'), kept);
  });

  it('tells a terminal only which issuer and client to ask, and where psql goes', async () => {
    const here = await gateway();
    assert.deepEqual(await (await fetch(`${here.url}/v1/sign-in`)).json(), {
      issuer: oidc.issuer,
      client_id: 'countersign-cli',
      scopes: ['openid', 'profile', 'email'],
      audiences: ['countersign'],
      postgres: { host: '127.0.0.1', port: 15_432, tls: false },
    });
  });

  it('is not there where the configuration leaves it out', async () => {
    const here = await gateway({ settings: (s) => ({ ...s, web: undefined }) });
    for (const path of ['/', '/me', '/sign-in', '/sign-in/callback', '/signed-out', '/v1/sign-in']) {
      assert.equal((await fetch(`${here.url}${path}`)).status, 404, path);
    }
  });
});

describe('where sign-in leads', () => {
  it('is never another site, whatever was asked for', async () => {
    const here = await gateway();
    const browser = await signedIn(here);
    for (const to of [
      'https://evil.example/',
      '//evil.example/',
      '/\\evil.example/',
      '\\\\evil.example',
      '/%5cevil\n/',
      '/\t/evil.example',
      ' //evil.example',
      'javascript:alert(1)',
      '/me\r\nset-cookie: x=y',
      'me',
      '',
      `/${'x'.repeat(3_000)}`,
    ]) {
      const { status, headers } = await browser.go(`${here.url}/sign-in?to=${encodeURIComponent(to)}`, {
        follow: false,
      });
      assert.deepEqual([status, headers.get('location')], [303, '/me'], JSON.stringify(to));
    }
    const twice = await browser.go(`${here.url}/sign-in?to=/me&to=//evil.example`, { follow: false });
    assert.equal(twice.headers.get('location'), '/me');
    const fresh = await new Browser().signIn(here, 'alice', '//evil.example/me');
    assert.equal(fresh.url, `${here.url}/me`);
  });

  it('is a path of the own origin, of all that there are texts', () => {
    const origin = 'https://gate.example.com';
    const part = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '@',
      ':',
      '?',
      '#',
      '%2f',
      '%5c',
      '\t',
      '\n',
      ' ',
      'evil.example',
      'https:',
      'é',
      '\0',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((parts) => parts.join('')),
        ),
        (text) => {
          const path = ownPath(text);
          if (path === undefined) return true;
          return (
            new URL(path, origin).origin === origin &&
            new URL(path, `${origin}/deep/er?x`).origin === origin &&
            !/[\\\s]/.test(path)
          );
        },
      ),
      { numRuns: 2_000 },
    );
    assert.equal(ownPath('/sessions/1?at=2#op-3'), '/sessions/1?at=2#op-3');
  });
});

describe('an answer of the issuer', () => {
  const cases: [string, (url: URL) => void, RegExp][] = [
    ['another state', (url) => url.searchParams.set('state', 'of-somebody-else'), /not the answer to the sign-in/],
    ['another nonce', (url) => url.searchParams.set('nonce', 'of-somebody-else'), /does not fit what was asked/],
    ['another PKCE challenge', (url) => url.searchParams.set('code_challenge', 'x'.repeat(43)), /invalid_grant/],
  ];
  for (const [what, change, why] of cases) {
    it(`with ${what} signs nobody in`, async () => {
      const here = await gateway();
      const browser = new Browser();
      const back = await cameBack(browser, here, change);
      refused(await browser.go(back.href), 400, why);
      assert.equal(browser.value(COOKIE), undefined);
      assert.deepEqual(
        here.entries.map(({ kind }) => kind),
        ['web.refused'],
      );
    });
  }

  it('changed on its way signs nobody in', async () => {
    const here = await gateway();
    for (const [change, why] of [
      [(url: URL) => url.searchParams.set('code', 'made-up'), /invalid_grant/],
      [(url: URL) => url.searchParams.set('iss', 'https://evil.example'), /does not fit/],
      [(url: URL) => url.searchParams.delete('state'), /not the answer/],
      [(url: URL) => url.searchParams.append('state', 'another'), /not the answer/],
      [(url: URL) => url.searchParams.set('error', '<script>alert(1)</script>'), /did not sign you in \(an error\)/],
    ] as const) {
      const browser = new Browser();
      const back = await cameBack(browser, here);
      change(back);
      const page = await browser.go(back.href);
      refused(page, 400, why);
      assert.ok(!page.body.includes('<script'));
      assert.equal(browser.value(COOKIE), undefined);
    }
  });

  it('is good once, and only in the browser that asked', async () => {
    const here = await gateway();
    const browser = new Browser();
    const back = await cameBack(browser, here);
    const before = [...browser.cookies];
    refused(await new Browser().go(back.href), 400, /began in another browser/);
    assert.equal((await browser.go(back.href)).status, 200);
    browser.cookies = before; // as if the answer and its cookies had been copied
    refused(await browser.go(back.href), 400, /used already/);
  });

  it('is not waited for longer than ten minutes', async () => {
    const here = await gateway();
    const browser = new Browser();
    const back = await cameBack(browser, here);
    here.now.aheadMs = 10 * 60_000;
    refused(await browser.go(back.href), 400, /too long ago/);
  });

  it('that says no is told, and signs nobody in', async () => {
    const here = await gateway();
    refused(await new Browser().signIn(here, ''), 400, /did not sign you in \(access_denied\)/);
  });

  it('for a client whose secret is wrong signs nobody in', async () => {
    const here = await gateway({ secret: 'another' });
    refused(await new Browser().signIn(here, 'alice'), 503, /cannot be asked now/);
    assert.match(here.warnings.join(), /does not take web\.sign_in\.client_id with its client_secret/);
  });

  it('is not used where the audit trail does not take it', async () => {
    const here = await gateway({
      web: { audit: { append() {}, commit: () => Promise.reject(new GatewayError('AUDIT', 'the disk is full')) } },
    });
    const browser = new Browser();
    refused(await browser.signIn(here, 'alice'), 503, /the disk is full/);
    assert.equal(await isSignedIn(browser, here), false);
  });

  it('that does not come is said to be missing', async () => {
    const dead = 'http://127.0.0.1:9';
    const here = await gateway({
      settings: (s) => ({
        ...s,
        identity: { ...s.identity, issuers: [{ issuer: dead, audience: 'countersign' } as never] },
        web: s.web && { ...s.web, signIn: { ...s.web.signIn, issuer: dead } },
      }),
    });
    refused(await new Browser().go(`${here.url}/sign-in`), 503, /issuer that people sign in with cannot be asked now/);
    assert.equal(here.warnings.length, 1);
  });
});

describe('whom sign-in does not take', () => {
  it('an agent', async () => {
    const here = await gateway();
    const browser = new Browser();
    refused(await browser.signIn(here, 'report-bot'), 403, /only people sign in here/);
    assert.equal(browser.value(COOKIE), undefined);
    assert.deepEqual(
      here.entries.map(({ kind, code }) => [kind, code]),
      [['web.refused', 'ACCESS']],
    );
  });

  it('a revoked person', async () => {
    const here = await gateway();
    const revoked = { issuer: oidc.issuer, subject: 'carol' };
    here.now.settings = { ...here.now.settings, identity: { ...here.now.settings.identity, revoked: [revoked] } };
    refused(await new Browser().signIn(here, 'carol'), 400, /access was revoked/);
  });

  it('somebody whose token lacks what the issuer’s must have', async () => {
    const settings: Parameters<typeof gateway>[0] = {
      settings: (s) => ({
        ...s,
        identity: { ...s.identity, issuers: s.identity.issuers.map((one) => ({ ...one, require: { groups: 'dba' } })) },
      }),
    };
    const here = await gateway(settings);
    refused(await new Browser().signIn(here, 'carol'), 400, /lacks the required claim groups/);
    assert.equal((await new Browser().signIn(here, 'alice')).status, 200);
  });

  it('anybody over a network in the clear', async () => {
    const here = await gateway({ web: { isLocal: () => false } });
    const page = await new Browser().go(`${here.url}/sign-in`);
    refused(page, 403, /over TLS, or from this machine/);
    assert.ok(!page.headers.getSetCookie().some((one) => !one.includes('Max-Age=0')));
    assert.equal((await new Browser().go(`${here.url}/me`, { follow: false })).status, 403);
  });

  it('a flood, which is recorded once', async () => {
    const here = await gateway({
      web: { limiter: (_name, rate) => new AddressLimiter({ ...rate, burst: Math.min(rate.burst, 5), perSecond: 0 }) },
    });
    const statuses = new Set<number>();
    for (let n = 0; n < 30; n++)
      statuses.add((await new Browser().go(`${here.url}/sign-in/callback?state=x&code=${n}`)).status);
    assert.deepEqual([...statuses], [400, 429]);
    assert.deepEqual(
      here.entries.map(({ code }) => code),
      ['AUTH', 'LIMIT'],
    );
  });
});
