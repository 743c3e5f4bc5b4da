/** Signed in: how long for, on which gateways, as what; and who else's clicks and cookies do nothing. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { decodeJwt } from 'jose';
import { newKeyPair } from '../queue/sign.ts';
import { Browser } from './support/sign-in-browser.ts';
import {
  COOKIE,
  cameBack,
  csrfIn,
  gateway,
  isSignedIn,
  oidc,
  redis,
  refused,
  type SignInGateway,
  signedIn,
} from './support/sign-in-stage.ts';

describe('a session', () => {
  it('has a value that nobody could know before, and ends the one before it', async () => {
    const here = await gateway();
    const browser = new Browser();
    const chosen = 'a'.repeat(43);
    browser.cookies.push({ name: COOKIE, path: '/', value: chosen, written: '' });
    await browser.signIn(here, 'alice');
    assert.notEqual(browser.value(COOKIE), chosen);
    const thief = new Browser();
    thief.cookies.push({ name: COOKIE, path: '/', value: chosen, written: '' });
    assert.equal(await isSignedIn(thief, here), false);

    const other = new Browser();
    const back = await cameBack(other, here);
    const bob = await signedIn(here, 'bob');
    other.cookies.push({ name: COOKIE, path: '/', value: bob.value(COOKIE) ?? '', written: '' });
    await other.go(back.href);
    assert.equal(await isSignedIn(bob, here), false);
    assert.match((await other.go(`${here.url}/me`)).body, /alice/);
  });

  it('is not taken from two cookies of its name, nor from one that is none', async () => {
    const here = await gateway();
    const value = (await signedIn(here)).value(COOKIE);
    for (const cookie of [
      `${COOKIE}=${value}; ${COOKIE}=${value}`,
      `${COOKIE}="${value}"`,
      `${COOKIE}=${value}x`,
      `x${COOKIE}=${value}`,
      COOKIE,
    ]) {
      const { status } = await fetch(`${here.url}/me`, { headers: { cookie }, redirect: 'manual' });
      assert.equal(status, 401, cookie);
    }
    assert.equal((await fetch(`${here.url}/me`, { headers: { cookie: `a=b; ${COOKIE}=${value}` } })).status, 200);
  });

  it('ends when nobody used it for so long, and at its end however it is used', async () => {
    const here = await gateway();
    const minutes = (count: number) => {
      here.now.aheadMs += count * 60_000;
    };
    const browser = await signedIn(here);
    for (let n = 0; n < 3; n++) {
      minutes(29);
      assert.equal(await isSignedIn(browser, here), true, `${n}`);
    }
    minutes(30);
    assert.equal(await isSignedIn(browser, here), false);

    const busy = await signedIn(here);
    for (let n = 0; n < 28; n++) {
      minutes(25);
      assert.equal(await isSignedIn(busy, here), true, `${n}`);
    }
    minutes(20);
    assert.equal(await isSignedIn(busy, here), false);
  });

  it('is not kept alive by a page that only goes on watching', async () => {
    const here = await gateway({
      pages: (app, { guard }) => {
        app.get('/watch', async (request, reply) => {
          const who = await guard(request, reply);
          if (!who) return reply;
          here.now.aheadMs += 20 * 60_000;
          const first = await who.again();
          here.now.aheadMs += 20 * 60_000;
          return reply.send([first?.viewer.name, (await who.again())?.viewer.name ?? null]);
        });
      },
    });
    const { body } = await (await signedIn(here)).go(`${here.url}/watch`);
    assert.deepEqual(JSON.parse(body), ['alice@example.com', null]);
  });

  it('ends, for good, with its person’s access', async () => {
    const here = await gateway();
    const browser = await signedIn(here, 'carol');
    const { settings } = here.now;
    const revoked = [{ issuer: oidc.issuer, subject: 'carol' }];
    here.now.settings = { ...settings, identity: { ...settings.identity, revoked } };
    const copy = new Browser();
    copy.cookies = [...browser.cookies];
    assert.equal(await isSignedIn(browser, here), false);
    here.now.settings = settings;
    assert.equal(await isSignedIn(copy, here), false, 'the list forgot it, the session stays ended');

    const again = await signedIn(here, 'dave');
    await here.revocations.revoke({ kind: 'principal', value: `${oidc.issuer}#dave`, by: 'test', reason: 'left' });
    assert.equal(await isSignedIn(again, here), false);
  });

  it('ends when the configuration asks something else of its issuer, or calls its person an agent', async () => {
    const here = await gateway();
    const { settings } = here.now;
    for (const identity of [
      { ...settings.identity, issuers: settings.identity.issuers.map((one) => ({ ...one, groups: 'roles' })) },
      { ...settings.identity, issuers: [] },
      {
        ...settings.identity,
        agents: [{ issuer: oidc.issuer, subject: 'alice', sponsor: undefined, purpose: undefined }],
      },
    ]) {
      const browser = await signedIn(here);
      here.now.settings = { ...settings, identity };
      assert.equal(await isSignedIn(browser, here), false);
      here.now.settings = settings;
    }
  });

  it('that was signed out meanwhile is not brought back by what was under way', async () => {
    const here = await gateway();
    const browser = await signedIn(here);
    const { redis: own } = here.store;
    const get = own.get.bind(own);
    own.get = (async (key: string) => {
      const raw = await get(key);
      await own.del(key);
      return raw;
    }) as typeof own.get;
    here.now.aheadMs = 10 * 60_000;
    await browser.go(`${here.url}/me`);
    own.get = get;
    assert.equal(await isSignedIn(browser, here), false);
  });

  it('is known to every gateway, ends on all, and is none when no trusted gateway wrote it', async () => {
    const first = await gateway();
    const second = await gateway({ behind: first });
    const browser = await signedIn(first);
    assert.equal(await isSignedIn(browser, second), true);
    const { body } = await browser.go(`${second.url}/me`);
    const out = await browser.go(`${second.url}/sign-out`, {
      form: { csrf: csrfIn(body) },
      headers: { origin: first.url },
      follow: false,
    });
    assert.equal(out.status, 303);
    const copy = new Browser();
    copy.cookies = browser.cookies;
    assert.equal(await isSignedIn(copy, first), false);

    const back = await cameBack(new Browser(), first); // begun at the first; the balancer chose the second for the answer
    assert.equal((await new Browser().go(`${second.url}${back.pathname}${back.search}`)).status, 400);
    const stranger = await gateway({ behind: first, key: newKeyPair() });
    const value = 'f'.repeat(43);
    const key = `countersign:web-session:${createHash('sha256').update(value).digest('hex')}`;
    const real = await signedIn(first);
    const there = await first.store.redis.get(
      `countersign:web-session:${createHash('sha256')
        .update(real.value(COOKIE) ?? '')
        .digest('hex')}`,
    );
    for (const planted of [there ?? '', stranger.store.sealed(JSON.parse(JSON.parse(there ?? '').body), key), '{}']) {
      await first.store.redis.set(key, planted);
      const thief = new Browser();
      thief.cookies.push({ name: COOKIE, path: '/', value, written: '' });
      assert.equal(await isSignedIn(thief, first), false, planted.slice(0, 100));
    }
  });

  it('that began at one gateway is finished at another', async () => {
    const first = await gateway();
    const second = await gateway({ behind: first });
    const browser = new Browser();
    const back = await cameBack(browser, first);
    const done = await browser.go(`${second.url}${back.pathname}${back.search}`, { follow: false });
    assert.equal(done.status, 303, done.body);
    assert.equal(await isSignedIn(browser, first), true);
  });
});

describe('what would change something', () => {
  it('is done only when it comes from a page of that very session', async () => {
    const here = await gateway();
    const browser = await signedIn(here);
    const csrf = csrfIn((await browser.go(`${here.url}/me`)).body);
    const foreign = csrfIn((await (await signedIn(here, 'bob')).go(`${here.url}/me`)).body);
    const own = { cookie: `${COOKIE}=${browser.value(COOKIE)}`, 'content-type': 'application/x-www-form-urlencoded' };
    const cases: [string, Record<string, string>, string][] = [
      ['no token', { origin: here.url }, ''],
      ['an empty token', { origin: here.url }, 'csrf='],
      ['the token of another session', { origin: here.url }, `csrf=${foreign}`],
      ['a token cut short', { origin: here.url }, `csrf=${csrf.slice(0, -1)}`],
      ['the token twice', { origin: here.url }, `csrf=${csrf}&csrf=${csrf}`],
      ['another origin', { origin: 'https://evil.example' }, `csrf=${csrf}`],
      ['an origin that is hidden', { origin: 'null' }, `csrf=${csrf}`],
      ['another port of this host', { origin: 'http://127.0.0.1:1' }, `csrf=${csrf}`],
      ['no word of where it is from', {}, `csrf=${csrf}`],
      ['a page of another site', { origin: here.url, 'sec-fetch-site': 'cross-site' }, `csrf=${csrf}`],
      ['a page of a sister', { 'sec-fetch-site': 'same-site' }, `csrf=${csrf}`],
      ['JSON', { origin: here.url, 'content-type': 'application/json' }, JSON.stringify({ csrf })],
      ['plain text', { origin: here.url, 'content-type': 'text/plain' }, `csrf=${csrf}`],
    ];
    for (const [what, headers, body] of cases) {
      const { status } = await fetch(`${here.url}/sign-out`, {
        method: 'POST',
        headers: { ...own, ...headers },
        body,
        redirect: 'manual',
      });
      assert.equal(status, 403, what);
    }
    assert.equal(await isSignedIn(browser, here), true);
    assert.equal(
      here.entries.filter(
        ({ kind, code, principal }) =>
          kind === 'web.refused' && code === 'CSRF' && principal === `${oidc.issuer}#alice`,
      ).length,
      cases.length,
    );
    const nobody = await fetch(`${here.url}/sign-out`, {
      method: 'POST',
      headers: { origin: here.url },
      body: new URLSearchParams({ csrf }),
    });
    assert.equal(nobody.status, 401);
  });

  it('is refused with a page to whoever reads pages, and nothing of theirs is on it', async () => {
    const here = await gateway();
    const browser = await signedIn(here);
    const page = await browser.go(`${here.url}/sign-out`, { form: { csrf: '<script>' } });
    refused(page, 403, /<p>nothing was changed: it lacks the token of this session; load the page again<\/p>/);
    const late = await new Browser().go(`${here.url}/sign-out`, { form: { csrf: 'x' } });
    refused(late, 401, /Nothing was changed: nobody is signed in here.*href="\/sign-in"/s);
  });

  it('signs out here, and leads on to the issuer to sign out there', async () => {
    const here = await gateway();
    const browser = await signedIn(here);
    const before = [...browser.cookies];
    const csrf = csrfIn((await browser.go(`${here.url}/me`)).body);
    const out = await browser.go(`${here.url}/sign-out`, {
      form: { csrf },
      headers: { 'sec-fetch-site': 'same-origin' },
    });
    const issuer = new URL(out.url);
    assert.equal(issuer.origin, oidc.issuer);
    assert.equal(issuer.searchParams.get('post_logout_redirect_uri'), `${here.url}/signed-out`);
    assert.equal(decodeJwt(issuer.searchParams.get('id_token_hint') ?? '').sub, 'alice', 'which some issuers need');
    assert.equal(browser.value(COOKIE), undefined);
    browser.cookies = before;
    assert.equal(await isSignedIn(browser, here), false, 'a copy of the cookie is worth nothing');
    assert.equal(here.entries.at(-1)?.kind, 'web.signed-out');
    assert.match((await browser.go(`${here.url}/signed-out`)).body, /You are signed out/);
  });
});

describe('what somebody is here', () => {
  const rolesOf = async (at: SignInGateway, account: string): Promise<string> => {
    const { body } = await (await signedIn(at, account)).go(`${at.url}/me`);
    return /<dt>Roles<\/dt><dd>([^<]*)/.exec(body)?.[1]?.replace(/:.*/, '') ?? '';
  };
  const naming = (admins: string[], approvers: string[] = ['@dba-oncall']) =>
    gateway({ settings: (s) => ({ ...s, approvals: { admins, approvers } as never }) });

  it('follows from the groups of their sign-in, their Slack accounts, and who is in groups of Slack', async () => {
    assert.equal(await rolesOf(await naming(['oidc:dba']), 'alice'), 'admin, approver');
    assert.equal(await rolesOf(await naming([`oidc:${oidc.issuer}#dba`]), 'alice'), 'admin, approver');
    assert.equal(await rolesOf(await naming(['U0BOB']), 'bob'), 'admin, approver');
    for (const admins of [['oidc:staff2'], ['oidc:https://other.example#dba'], ['U0CAROL'], ['dba'], []]) {
      assert.equal(await rolesOf(await naming(admins), 'alice'), 'none', admins.join());
    }
    const here = await naming(['@gate-admins']);
    here.now.groups.set('@gate-admins', ['U0BOB']).set('@dba-oncall', ['U0CAROL']);
    assert.equal(await rolesOf(here, 'bob'), 'admin, approver');
    assert.equal(await rolesOf(here, 'carol'), 'approver');
    assert.equal(await rolesOf(here, 'alice'), 'none');
  });

  it('follows links of accounts to identities to accounts', async () => {
    const here = await gateway({
      settings: (s) => ({
        ...s,
        approvals: { admins: ['U0OTHER'], approvers: ['U0X'] } as never,
        identity: {
          ...s.identity,
          people: [
            ...s.identity.people,
            { slack: 'U0BOB', issuer: 'https://b.example', subject: 'b' },
            { slack: 'U0OTHER', issuer: 'https://b.example', subject: 'b' },
          ],
        },
      }),
    });
    assert.equal(await rolesOf(here, 'bob'), 'admin, approver');
  });

  it('is nothing by a bare group where several issuers have groups', async () => {
    const here = await gateway({
      settings: (s) => ({
        ...s,
        identity: {
          ...s.identity,
          issuers: [...s.identity.issuers, { issuer: 'https://b.example', audience: 'x', groups: 'groups' } as never],
        },
      }),
    });
    assert.equal(await rolesOf(here, 'alice'), 'none');
  });

  it('is nothing by a group that cannot be read now, and the page says so', async () => {
    const here = await naming(['@gate-admins']);
    const browser = await signedIn(here, 'bob');
    const page = await browser.go(`${here.url}/me`);
    assert.match(page.body, /<dd>none/);
    assert.match(page.body, /Who is in @gate-admins, @dba-oncall could not be read from Slack/);
    here.now.groups.set('@gate-admins', ['U0BOB']).set('@dba-oncall', []);
    assert.match((await browser.go(`${here.url}/me`)).body, /<dd>admin/, 'worked out for each request');
  });

  it('is told to strangers with a 403 that says whom to ask, on record', async () => {
    const here = await gateway({
      pages: (app, { guard, forbidden }) => {
        app.get('/secret', async (request, reply) => {
          const who = await guard(request, reply);
          if (!who) return reply;
          return who.viewer.admin ? reply.send('shown') : forbidden(request, reply, who, 'this <session>');
        });
      },
    });
    const carol = await signedIn(here, 'carol');
    const page = await carol.go(`${here.url}/secret`);
    refused(page, 403, /Ask an admin: oidc:dba/);
    assert.ok(!page.body.includes('<session>'));
    const json = await carol.go(`${here.url}/secret`, { headers: { accept: 'application/json' } });
    assert.deepEqual([json.status, JSON.parse(json.body).error], [403, 'ACCESS']);
    assert.deepEqual(
      here.entries.filter(({ code }) => code === 'ACCESS').map(({ principal }) => principal),
      Array(2).fill(`${oidc.issuer}#carol`),
    );
    assert.equal((await (await signedIn(here)).go(`${here.url}/secret`)).body, 'shown');
    assert.equal((await fetch(`${here.url}/secret`)).status, 401);
  });
});

describe('without Redis', () => {
  it('nobody is signed in or out, and the page says why; what was before is there again with it', async () => {
    const here = await gateway();
    const browser = await signedIn(here);
    const back = await cameBack(new Browser(), here);
    await redis.kill();
    try {
      refused(await browser.go(`${here.url}/me`), 503, /Redis does not answer, so it cannot be told who is signed in/);
      refused(await new Browser().go(`${here.url}/sign-in`), 503, /Redis does not answer/);
      const late = new Browser();
      late.cookies.push({ name: 'countersign-signing-in', path: '/', value: 'b'.repeat(43), written: '' });
      refused(await late.go(back.href), 503, /Redis does not answer/);
      assert.equal((await fetch(`${here.url}/healthz`)).status, 200);
    } finally {
      await redis.start();
    }
    for (const end = performance.now() + 20_000; performance.now() < end; ) {
      if ((await browser.go(`${here.url}/me`)).status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.fail('never signed in again');
  });
});
