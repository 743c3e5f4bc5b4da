/** Detectors: what must be masked, what must be left alone, and that hostile text costs no more than its length. */
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { newKeyPair } from '../../queue/sign.ts';
import { type DetectorName, maskText } from './detectors.ts';

const total = (text: string) => Object.values(maskText(text).hits).reduce((sum, n) => sum + n, 0);
const jwt = `eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJyZXBvcnQtYm90In0.${randomBytes(64).toString('base64url')}`;
const pem = `-----BEGIN PRIVATE KEY-----\n${randomBytes(48).toString('base64')}\n${randomBytes(48).toString('base64')}\nab==\n-----END PRIVATE KEY-----`;

const SENSITIVE: readonly [name: DetectorName, value: string, canary: string][] = [
  ['card', '4111111111111111', '41111111'],
  ['card', '4111 1111 1111 1111', '4111 1'],
  ['card', '5555-5555-5555-4444', '5555-5'],
  ['card', '3782 822463 10005', '822463'],
  ['card', '378282246310005', '3782822'],
  ['card', '6011.1111.1111.1117', '6011'],
  ['card', '4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1', '4 1 1'],
  ['card', '41\u200b1111111111\u00ad1111', '1111111111'],
  ['card', '4111\u00a01111\u20111111\u00a01111'.replace('\u2011', '\u00a0'), '4111'],
  ['card', '４１１１１１１１１１１１１１１１', '４１１１'],
  ['card', '٤١١١١١١١١١١١١١١١', '٤١١١'],
  ['card', '12 4111 1111 1111 1111', '4111 1'],
  ['card', '4111111111111111.00', '4111111'],
  ['ssn', '123-45-6789', '123-45'],
  ['ssn', '123 45 6789', '123 45'],
  ['ssn', '123\u201045\u20106789', '6789'],
  ['ssn', 'SSN: 123456789', '12345'],
  ['ssn', 'row 12 123-45-6789', '123-45'],
  ['email', 'ann.o\u2019neil@example.com'.replace('\u2019', "'"), 'neil@'],
  ['email', "email = 'carol+x@mail.example.co.uk'", 'carol'],
  ['email', 'ann＠example．com', 'example'],
  ['email', 'j\u00f6rg@b\u00fccher.example', 'rg@'],
  ['iban', 'DE89370400440532013000', '37040044'],
  ['iban', 'GB29 NWBK 6016 1331 9268 19', 'NWBK'],
  ['iban', 'fr14 2004 1010 0505 0001 3m02 606', '2004'],
  ['jwt', jwt, 'eyJzdWIi'],
  ['jwt', `is ${jwt.split('.').slice(0, 2).join('.')}.`, 'eyJzdWIi'],
  ['secret', `cst_${randomBytes(32).toString('base64url')}`, 'cst_'],
  ['secret', newKeyPair().secret, 'secret:'],
  ['secret', `AKIA${'IOSFODNN7EXAMPLE'}`, 'IOSFODNN7'],
  ['secret', `ghp_${'a1B2c3D4e5'.repeat(4)}`, 'a1B2'],
  ['secret', `xoxb-${'123456789012-abcdefABCDEF'}`, 'abcdef'],
  ['secret', `sk_${'live'}_51Habcdefghijklmnop`, '51Hab'],
  ['secret', pem, pem.slice(30, 60)],
  ['secret', pem.replaceAll('\n', '\\n'), pem.slice(30, 60)],
  ['secret', pem.slice(0, 150), pem.slice(30, 60)],
  ['secret', "ALTER ROLE app PASSWORD 'hunter2'", 'hunter2'],
  ['secret', "CREATE USER x WITH ENCRYPTED PASSWORD 'it''s me'", 's me'],
  ['secret', "CREATE USER x PASSWORD E'it\\'s me'", 's me'],
  ['secret', '{"password": "correct horse"}', 'horse'],
  ['secret', "api_key='zq81kkv02mmA'", 'zq81'],
  ['secret', 'client_secret=Zx81kkv02mmA&x=1', 'Zx81'],
  ['secret', 'postgres://gate:s3cr3t@db.internal/orders', 's3cr3t'],
  ['secret', 'Authorization: Bearer abcdef0123456789abcdef', 'abcdef0123'],
];

const DECOYS: readonly string[] = [
  '2026-11-22 21:12:19.123456+00',
  '20261122211219',
  '1795382339123',
  '1795382339123456',
  '17953823391234567',
  randomUUID(),
  '550e8400-e29b-41d4-a716-446655440000',
  'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  '10.0.19041.1234',
  'v18.1.5-beta.17',
  '114.0.5735.90',
  '192.168.100.200',
  '2001:db8::ff00:42:8329',
  '0.4111111111111111',
  '3.141592653589793',
  '1234567890',
  '123456789',
  '1234567890123456',
  '4111111111111112',
  '41111111111111111111111',
  '000-12-3456',
  '666-12-3456',
  '123-00-4567',
  '100 20 3000 400',
  'DE89370400440532013001',
  'ab12 cdef',
  'INV-2026-000123',
  '+1 (415) 555-0132',
  "a @> b AND c @@ to_tsquery('x')",
  '@dba-oncall',
  'user@localhost',
  'SELECT token FROM tokens WHERE token = $1',
  'ALTER TABLE users ADD COLUMN password text NOT NULL',
  'ALTER ROLE app PASSWORD NULL',
  "UPDATE t SET token = 'paid' WHERE secret_no = 4000000000000000",
  'ALTER TABLE t RENAME COLUMN password TO "pass_phrase"',
  `password: "\${env:ORDERS_PW}"`,
  'https://example.com:8443/path?x=1',
  '$$ begin perform 1; end $$',
  'ed25519:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0',
  '-----BEGIN CERTIFICATE-----',
  'eyJust a word',
];

describe('maskText', () => {
  for (const [name, value, canary] of SENSITIVE) {
    it(`masks ${name}: ${JSON.stringify(value.slice(0, 50))}`, () => {
      for (const text of [value, `before ${value} after`, `x = '${value}';`, `("${value}")`]) {
        const masked = maskText(text);
        assert.ok(masked.hits[name] >= 1, `${text} → ${masked.text} ${JSON.stringify(masked.hits)}`);
        assert.ok(!masked.text.includes(canary), masked.text);
        assert.equal(maskText(masked.text).text, masked.text, 'masking twice changes nothing');
      }
    });
  }

  for (const text of DECOYS) {
    it(`leaves alone: ${text.slice(0, 60)}`, () => {
      assert.equal(maskText(text).text, text);
      assert.equal(maskText(`see ${text}, then`).text, `see ${text}, then`);
      assert.equal(total(text), 0);
    });
  }

  it('keeps the last four digits of a card and everything around it', () => {
    const { text, hits } = maskText('où «4111 1111 1111 1111» été\u200b, 5555555555554444');
    assert.equal(text, 'où «•••1111» été\u200b, •••4444');
    assert.equal(hits.card, 2);
  });

  it('counts an overlap once and covers all of it', () => {
    const { text, hits } = maskText(`Authorization: Bearer ${jwt}`);
    assert.equal(text, 'Authorization: Bearer •••');
    assert.equal(hits.jwt + hits.secret, 1);
  });

  it('does not let a PEM header, a quote or a keyword swallow a statement', () => {
    const hidden = 'DROP TABLE customers';
    for (const text of [
      `-- -----BEGIN PRIVATE KEY-----\n${hidden}\n-- -----END PRIVATE KEY-----`,
      `-- password '\n${hidden};`,
      `/* secret= */ ${hidden}`,
      `select 'password x'; ${hidden}`,
    ]) {
      assert.ok(maskText(text).text.includes(hidden), maskText(text).text);
    }
  });

  // Of truly random UUIDs one in some 20,000 has a card in it as far as anybody can tell: these are the same each time.
  it('hits none of 20,000 ids, times and amounts', () => {
    const digits = (i: number) => createHash('sha256').update(`id ${i}`).digest('hex');
    for (let i = 0; i < 5_000; i++) {
      for (const text of [
        digits(i).replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-4$3-a$4-$5'),
        String(1_795_382_339_000 + i * 7_777),
        new Date(1_795_382_339_000 + i * 86_400_123).toISOString(),
        (Number.parseInt(digits(i).slice(0, 13), 16) / 2 ** 32).toString(),
      ]) {
        assert.equal(maskText(text).text, text);
      }
    }
  });

  it('stays linear on hostile text', { timeout: 20_000 }, () => {
    const seeds = [
      'a',
      'a@',
      '4',
      '4 ',
      '://a:',
      'eyJ',
      'password ',
      "password='",
      '-----BEGIN ',
      'DE89 ',
      'a.',
      'é\u200b',
    ];
    for (const seed of [
      ...seeds,
      '-----BEGIN PRIVATE KEY-----',
      'Bearer aaaaaaaaaaaaa',
      'ssn 123',
      '@a.',
      "E''",
      "secret E'\\",
    ]) {
      const started = performance.now();
      maskText(seed.repeat(200_000 / seed.length));
      // A quadratic pattern takes minutes here; the bound is wide because the machine is shared.
      assert.ok(performance.now() - started < 5_000, `${seed}: ${performance.now() - started} ms`);
    }
  });
});
