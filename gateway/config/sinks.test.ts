/** `audit.sinks`: what it refuses, and how helpfully. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { changed, problems, set, sources } from '../../test/support/config-file.ts';
import { parseConfig } from '../config.ts';

const syslog = { address: 'siem.internal:6514' };
const webhook = { url: 'https://hooks.example.com/x', secret: `\${env:KEY}` };
const withSinks = (sinks: unknown) => changed((file) => set(file, { 'audit.sinks': sinks }));
const parsed = (...sinks: unknown[]) => parseConfig(withSinks(sinks), { sources }).audit.sinks;

describe('audit.sinks', () => {
  it('has a name for each, made of its host where none is given', () => {
    assert.deepEqual(
      parsed({ syslog }, { webhook }, { name: 'mine', syslog }).map(({ name }) => name),
      ['syslog-siem-internal', 'webhook-hooks-example-com', 'mine'],
    );
  });

  it('may be left out', () => assert.deepEqual(parseConfig(withSinks(undefined), { sources }).audit.sinks, []));

  it('may keep the address of a webhook secret', () => {
    const readFile = (path: string) => (path.endsWith('hook.url') ? webhook.url : sources.readFile(path));
    const text = withSinks([{ webhook: { ...webhook, url: `\${file:/run/hook.url}` } }]);
    const [sink] = parseConfig(text, { sources: { ...sources, readFile } }).audit.sinks;
    assert.equal(sink?.webhook?.url.reveal(), webhook.url);
    assert.doesNotMatch(JSON.stringify(sink), /hooks\.example\.com\/x/);
  });

  const cases: [name: string, sink: object, problem: string][] = [
    ['neither receiver', { name: 'x' }, 'audit.sinks[0]: expected syslog or webhook'],
    ['both receivers', { syslog, webhook }, 'audit.sinks[0]: expected syslog or webhook'],
    ['a key that is none', { syslog: { ...syslog, port: 1 } }, 'audit.sinks[0].syslog.port: unknown key'],
    ['an address without port', { syslog: { address: 'siem' } }, 'audit.sinks[0].syslog.address: expected host:port'],
    [
      'a facility that is none',
      { syslog: { ...syslog, facility: 'x' } },
      'audit.sinks[0].syslog.facility: expected one',
    ],
    [
      'a certificate without its key',
      { syslog: { ...syslog, tls: { cert: '/x/a.crt' } } },
      'audit.sinks[0].syslog.tls: expected cert and key, or neither',
    ],
    [
      'a file that is no certificate',
      { syslog: { ...syslog, tls: { ca: '/x/own.key' } } },
      'audit.sinks[0].syslog.tls.ca: file /x/own.key holds no PEM certificate',
    ],
    [
      'http to another machine',
      { webhook: { ...webhook, url: 'http://hooks.example.com' } },
      'audit.sinks[0].webhook.url: expected an https:// URL',
    ],
    [
      'a password in the URL',
      { webhook: { ...webhook, url: 'https://a:b@h.example' } },
      'audit.sinks[0].webhook.url: expected an https:// URL',
    ],
    [
      'a secret in the file',
      { webhook: { ...webhook, secret: 'x'.repeat(20) } },
      `audit.sinks[0].webhook.secret: expected \${env:NAME}`,
    ],
    [
      'a short secret',
      { webhook: { ...webhook, secret: `\${env:ORDERS_PW}` } },
      'audit.sinks[0].webhook.secret: expected a secret of at least 16 characters',
    ],
    ['no secret', { webhook: { url: webhook.url } }, 'audit.sinks[0].webhook.secret: missing'],
    [
      'a kind that is none',
      { syslog, kinds: ['operations'] },
      'audit.sinks[0].kinds[0]: expected a kind of audit entry',
    ],
    ['no kinds', { syslog, kinds: [] }, 'audit.sinks[0].kinds: expected at least one'],
    ['a name that is no file name', { syslog, name: '../x' }, 'audit.sinks[0].name: expected a name like siem'],
    ['less than a day to wait', { syslog, max_behind: '1h' }, 'audit.sinks[0].max_behind: expected a duration'],
  ];
  for (const [name, sink, problem] of cases) {
    it(`refuses ${name}`, () => {
      const [first = 'nothing', ...more] = problems(withSinks([sink]));
      assert.ok(first.startsWith(problem), first);
      assert.deepEqual(more, []);
    });
  }

  it('refuses two of one name: what was sent is remembered by it', () => {
    assert.deepEqual(problems(withSinks([{ syslog }, { syslog }])), [
      'audit.sinks[1].name: sinks[0] has the name syslog-siem-internal already: what was sent is remembered by it',
    ]);
  });
});
