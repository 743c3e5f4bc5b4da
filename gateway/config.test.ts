/** Configuration: what it refuses, and how helpfully. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { stringify } from 'yaml';
import {
  at,
  base,
  CERTIFICATE,
  changed,
  example,
  type File,
  own,
  problems,
  set,
  sources,
  stepsOf,
} from '../test/support/config-file.ts';
import { type Config, parseConfig } from './config.ts';
import { GatewayError } from './errors.ts';
import { Secret } from './secrets.ts';

describe('the annotated example', () => {
  const config = parseConfig(example, { sources });

  it('is a configuration', () => {
    assert.deepEqual(config.listen, {
      postgres: { host: '0.0.0.0', port: 15432 },
      web: { host: '127.0.0.1', port: 18081 },
    });
    assert.equal(config.connections[0]?.upstream.password.reveal(), 'hunter2');
    assert.equal(config.connections[0]?.upstream.ca, CERTIFICATE);
    assert.equal(config.keys.own.reveal(), own.secret);
    assert.equal(config.approvals.expiresInTransactionMs, 120_000);
    assert.deepEqual(config.rules[0]?.match, { connection: ['orders'], action: ['ddl'] });
    assert.equal(config.rules[0]?.expiresMs, 1_800_000);
  });

  it('shows every key there is, and each limit with its default', () => {
    assert.deepEqual(
      parseConfig(
        changed((file) => set(file, { limits: undefined })),
        { sources },
      ).limits,
      config.limits,
    );
    const shown = (value: unknown, key = ''): string[] =>
      typeof value === 'object' && value !== null && !(value instanceof Secret)
        ? Object.entries(value).flatMap(([name, item]) => shown(item, Array.isArray(value) ? key : `${key}.${name}`))
        : value === undefined && !/^\.(?:rules|masking)\./.test(key) // not every rule shows every key
          ? [key]
          : [];
    assert.deepEqual(shown(config), []);
  });

  it('is frozen to the bottom', () => {
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      value instanceof Secret ||
      (Object.isFrozen(value) && Object.values(value).every(frozen));
    assert.ok(frozen(config));
    assert.throws(() => {
      (config.rules as Config['rules'][number][]).pop();
    }, TypeError);
  });

  it('prints no secret, however it is printed', () => {
    for (const text of [inspect(config, { depth: 20, showHidden: true }), JSON.stringify(config), stringify(config)]) {
      assert.doesNotMatch(text, /hunter2|s3cret|ed25519-secret/);
    }
  });
});

describe('a mistake', () => {
  const table: [string, Readonly<Record<string, unknown>>, string][] = [
    ['an unknown section', { secrets: [] }, 'secrets: unknown key'],
    ['a near miss', { conections: [] }, 'conections: unknown key; did you mean connections?'],
    [
      'another spelling',
      { 'connections[0].searchPath': 'x' },
      'connections[0].searchPath: unknown key; did you mean search_path?',
    ],
    [
      'a listener of a later day',
      { 'listen.mysql': 'x:1' },
      'listen.mysql: unknown key; expected one of postgres, web',
    ],
    ['no listener', { listen: {} }, 'listen: expected postgres, web or both'],
    ['an address without port', { 'listen.web': '127.0.0.1' }, 'listen.web: expected host:port'],
    ['a port that is none', { 'listen.web': '127.0.0.1:70000' }, 'listen.web: expected host:port'],
    ['a missing section', { audit: undefined }, 'audit: missing; expected a section with dir, key'],
    ['a key in the file', { 'keys.own': own.secret }, `keys.own: expected \${env:NAME} or \${file:/path}`],
    ['a key that is none', { 'audit.key': `\${env:ORDERS_PW}` }, 'audit.key: expected ed25519-secret:…'],
    [
      'a hashing key in the file',
      { 'keys.masking': own.secret },
      `keys.masking: expected \${env:NAME} or \${file:/path}`,
    ],
    ['a hashing key that is none', { 'keys.masking': `\${env:ORDERS_PW}` }, 'keys.masking: expected ed25519-secret:…'],
    ['pages in the clear', { 'web.url': 'http://gate.example.com' }, 'web.url: expected an https:// URL'],
    ['pages below a path', { 'web.url': 'https://example.com/gate' }, 'web.url: expected the https:// address'],
    [
      'pages over TLS, named without it',
      { 'web.url': 'http://127.0.0.1:18081' },
      'web.url: expected https: with `tls`',
    ],
    ['pages nowhere', { 'listen.web': undefined }, 'web: there is no listen.web'],
    [
      'sign-in with somebody unknown',
      { 'web.sign_in.issuer': 'https://login.example.com/' },
      'web.sign_in.issuer: expected one of identity.issuers',
    ],
    ['sign-in that asks for no ID token', { 'web.sign_in.scopes': 'profile' }, 'web.sign_in.scopes: expected scopes'],
    [
      'a client’s secret in the file',
      { 'web.sign_in.client_secret': 'x' },
      'web.sign_in.client_secret: expected ${env',
    ],
    ['a session for ever', { 'web.sign_in.ends': '30d' }, 'web.sign_in.ends: expected a duration from 5m to 7d'],
    ['a public key that is none', { 'keys.bots': ['abc'] }, 'keys.bots[0]: expected ed25519:…'],
    ['a secret as public key', { 'keys.bots': [own.secret] }, 'keys.bots[0]: expected ed25519:…'],
    [
      'a password in the file',
      { 'connections[0].upstream.password': 'hunter2' },
      `connections[0].upstream.password: expected \${env:NAME}`,
    ],
    [
      'a missing variable',
      { 'connections[0].upstream.password': `\${env:NOPE}` },
      'connections[0].upstream.password: environment variable NOPE is not set',
    ],
    [
      'a password in the URL',
      { 'state.redis': 'redis://:pw@h' },
      `state.redis: expected \${env:NAME}, \${file:/path}, or redis://host:port without a password`,
    ],
    ['a URL of something else', { 'state.redis': `\${env:ORDERS_PW}` }, 'state.redis: expected'],
    ['a duration without unit', { 'approvals.expires': '15' }, 'approvals.expires: expected a duration from 1s to 24h'],
    ['a duration as number', { 'state.grace': 60 }, 'state.grace: expected a duration'],
    ['a duration out of range', { 'approvals.expires': '30d' }, 'approvals.expires: expected a duration'],
    [
      'a size out of range',
      { 'limits.statement_bytes': '1GB' },
      'limits.statement_bytes: expected a size from 1KB to 16MB',
    ],
    ['a relative directory', { 'audit.dir': 'audit' }, 'audit.dir: expected an absolute path'],
    ['a mode that is not built', { 'audit.mode': 'lax' }, 'audit.mode: expected strict'],
    ['no issuer', { 'identity.issuers': [] }, 'identity.issuers: expected at least one issuer'],
    [
      'an issuer in the clear',
      { 'identity.issuers[0].issuer': 'http://login.example.com' },
      'identity.issuers[0].issuer: expected an https:// URL',
    ],
    [
      'a public issuer that lets everyone in',
      { 'identity.issuers[1].require': undefined },
      ': identity.issuers[1] (https://token.actions.githubusercontent.com): require: anyone can get a token',
    ],
    ['a channel name', { 'approvals.channel': '#general' }, 'approvals.channel: expected a Slack channel id'],
    [
      'an approver by name',
      { 'approvals.approvers': ['alice'] },
      'approvals.approvers[0]: expected a Slack user group',
    ],
    ['nobody to ask', { 'approvals.approvers': [] }, 'approvals.approvers: expected at least one approver'],
    ['another protocol', { 'connections[0].protocol': 'mysql' }, 'connections[0].protocol: expected postgres'],
    [
      'a name in capitals',
      { 'connections[0].name': 'Orders' },
      'connections[0].name: expected a name of lower-case letters',
    ],
    [
      'a name twice',
      { 'connections[1]': at(base(), stepsOf('connections[0]')) },
      'connections[1].name: connections[0] already has this name',
    ],
    ['an access to nobody', { 'connections[0].access': {} }, 'connections[0].access: expected groups or subjects'],
    [
      'an unknown verdict',
      { 'connections[0].default.read': 'ask' },
      'connections[0].default.read: expected allow, hold or deny',
    ],
    [
      'a missing CA',
      { 'connections[0].upstream.ca': '/missing' },
      'connections[0].upstream.ca: file /missing cannot be read (ENOENT)',
    ],
    [
      'a CA that is a key',
      { 'connections[0].upstream.ca': '/x/tls.key' },
      'connections[0].upstream.ca: file /x/tls.key holds no PEM certificate',
    ],
    ['a rule id twice', { 'rules[1].id': 'schema-changes' }, 'rules[1].id: rules[0] already has this id'],
    [
      'a rule about nothing there',
      { 'rules[0].match.connection': ['orders', 'bills'] },
      'rules[0].match.connection: there is no connection bills',
    ],
    [
      'an exception about nothing there',
      { 'rules[4].match.except': { connection: 'bills' } },
      'rules[4].match.except.connection: there is no connection bills',
    ],
    ['a limit that is none', { 'rules[0].match.rows': 1000 }, 'rules[0].match.rows: expected a limit like ">1000"'],
    ['a limit of less than', { 'rules[0].match.rows': '<1000' }, 'rules[0].match.rows: expected a limit like ">1000"'],
    [
      'a limit of bytes in no unit',
      { 'rules[0].match.bytes_per_hour': '>1 furlong' },
      'rules[0].match.bytes_per_hour: expected a size from 0 to 1048576GB, like 64KB or 1MB',
    ],
    [
      'an exception with a limit',
      { 'rules[0].match.except': { by: 'x', rows: '>1000' } },
      'rules[0].match.except.rows: unknown key',
    ],
    [
      'an unknown action',
      { 'rules[0].match.action': 'drop' },
      'rules[0].match.action[0]: expected one of read, insert',
    ],
    [
      'no match',
      { 'rules[0].match': undefined },
      'rules[0].match: missing; expected a section with connection, object',
    ],
    ['an empty list', { 'rules[0].match.action': [] }, 'rules[0].match.action: expected at least one'],
    ['an empty exception', { 'rules[0].match.except': {} }, 'rules[0].match.except: expected at least one condition'],
    [
      'a wildcard that is none',
      { 'rules[0].match.object': 'orders?' },
      'rules[0].match.object[0]: only * is a wildcard',
    ],
    [
      'a deny that asks',
      { 'rules[2].approvers': ['@dba'] },
      'rules[2].approvers: only a hold asks people; this rule says deny',
    ],
    [
      'an allow by a name that several issuers can have',
      { 'rules[2]': { id: 'nightly', match: { by: 'report-bot', action: 'update' }, verdict: 'allow' } },
      'rules[2].match.by: several issuers can have report-bot: write https://issuer#report-bot',
    ],
    [
      'an exception by such a name',
      { 'rules[2].match.except': { by: ['*', 'report-*', '*#report-bot'] } },
      'rules[2].match.except.by: several issuers can have report-*',
    ],
    [
      'access for a group that several issuers can have',
      { 'identity.issuers[1].groups': 'groups', 'rules[4].match.except': undefined, masking: [] },
      'connections[0].access.groups: several issuers can have data-science',
    ],
    [
      'an agent with two sponsors',
      { 'identity.agents[1]': { ...at(base(), stepsOf('identity.agents[0]')), sponsor: 'U0EVE' } },
      'identity.agents[1].subject: identity.agents[0] already has this subject',
    ],
    ['a bot that has a gateway’s key', { 'keys.bots': [own.public] }, 'keys.bots[0]: this is a gateway’s key as well'],
    [
      'an audit key beside the evidence',
      { 'audit.key': `\${file:/var/lib/countersign/../countersign/k/audit.key}`, 'audit.dir': '/var/lib/countersign' },
      'audit.key: expected a file outside audit.dir',
    ],
    [
      'a recordings key beside the recordings',
      { 'recordings.key': `\${file:/var/lib/kept/recordings.key}`, 'recordings.dir': '/var/lib/kept' },
      'recordings.key: expected a file outside recordings.dir',
    ],
    [
      'a recordings key that is none',
      { 'recordings.key': `\${file:/run/secrets/audit.key}` },
      'recordings.key: expected 32 bytes in base64',
    ],
    [
      'a quorum above its people',
      { 'rules[0].approvers': ['U0A', 'U0A'] },
      'rules[0].quorum: a quorum of 2 can never be met by 1 named people',
    ],
    [
      'a quorum above the default people',
      { 'rules[0].approvers': undefined, 'approvals.approvers': ['U0A'] },
      'rules[0].quorum: a quorum of 2 can never be met by 1 named people (approvals.approvers)',
    ],
  ];
  for (const [what, change, expected] of table) {
    it(`names path and remedy: ${what}`, () => {
      const found = problems(changed((file) => set(file, change)));
      assert.equal(found.length, 1, found.join('\n'));
      assert.ok(found[0]?.startsWith(expected), found[0]);
    });
  }

  it('is told together with all others', () => {
    const found = problems(
      changed((file) =>
        set(file, {
          'listen.web': 'x',
          'rules[0].quorum': 0,
          'connections[1]': { ...at(file, stepsOf('connections[0]')), protocol: 'ssh' },
          extra: 1,
        }),
      ),
    );
    assert.deepEqual(
      found.map((text) => text.split(':')[0]),
      ['extra', 'listen.web', 'connections[1].protocol', 'rules[0].quorum'],
    );
  });

  it('stops with one readable error that repeats no secret', () => {
    const text = changed((file) =>
      set(file, {
        'connections[0].upstream.password': 'hunter2',
        'keys.own': own.secret,
        'state.redis': 'redis://:s3cret@h',
      }),
    );
    assert.throws(
      () => parseConfig(text, { name: '/etc/c.yaml', sources }),
      (error: unknown) => {
        assert.ok(error instanceof GatewayError && error.code === 'CONFIG');
        assert.match(error.message, /^\/etc\/c\.yaml: 3 problems\n {2}state\.redis: /);
        assert.doesNotMatch(error.message, /hunter2|s3cret|ed25519-secret:[A-Za-z0-9]/);
        return true;
      },
    );
  });
});

describe('hostile YAML', () => {
  const refused: [string, string, RegExp][] = [
    ['a key twice', 'listen: {}\nlisten: {}\n', /line 2.*unique/],
    ['two documents', `${example}\n---\na: 1\n`, /document/i],
    ['a list', '- 1\n', /expected sections/],
    ['nothing', '', /expected sections/],
    ['broken syntax', 'listen: {', /line 1/],
    ['a tag', 'listen: !!js/function "x"\n', /tag/i],
    [
      'a bomb of aliases',
      `a: &a [1,1,1,1,1,1,1,1,1]\n${'bcdefgh'
        .split('')
        .map((k, i) => `${k}: &${k} [${`*${'abcdefg'[i]},`.repeat(9)}]`)
        .join('\n')}\n`,
      /alias/i,
    ],
    ['depth', `a: ${'['.repeat(100_000)}`, /./],
    ['nine megabytes', `a: ${'x'.repeat(9 << 20)}`, /longer than 8 MB/],
  ];
  for (const [what, text, expected] of refused) {
    it(`is refused: ${what}`, () => {
      const found = problems(text);
      assert.ok(found.length > 0);
      assert.match(found.join('\n'), expected);
    });
  }

  it('changes no prototype', () => {
    const found = problems(`${example}\n__proto__: { listen: { web: "x:1" } }\nconstructor: 1\n`);
    assert.deepEqual(
      found.map((text) => text.split(';')[0]),
      ['__proto__: unknown key', 'constructor: unknown key'],
    );
    assert.equal(({} as File).listen, undefined);
  });
});
