/** Secrets of the configuration: where they come from, and that they are never shown. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { sources } from '../../test/support/config-file.ts';
import { resolveReference, Secret } from '../secrets.ts';

describe('a secret', () => {
  const secret = new Secret('hunter2');
  it('says [secret] in every disguise', () => {
    const disguises = [
      `${secret}`,
      String(secret),
      ['', secret].join('-'),
      JSON.stringify({ secret }),
      inspect({ secret }),
      inspect(secret, { showHidden: true, customInspect: false }),
      Object.values(secret).join(),
      JSON.stringify(structuredClone({ ...secret })),
    ];
    for (const text of disguises) assert.doesNotMatch(text, /hunter2/);
    assert.equal(secret.reveal(), 'hunter2');
  });

  for (const [reference, expected] of [
    ['hunter2', /expected \$\{env:NAME\}/],
    ['', /expected/],
    [`x\${env:ORDERS_PW}`, /expected/],
    [`\${env:ORDERS_PW}x`, /expected/],
    [`\${env:ORDERS_PW}\${env:KEY}`, /expected/],
    [`\${ENV:ORDERS_PW}`, /expected/],
    [`\${env:MISSING}`, /MISSING is not set/],
    [`\${env:EMPTY}`, /EMPTY is empty/],
    [`\${env:A B}`, /not the name/],
    [`\${env:__proto__}`, /not set/],
    [`\${file:etc/x}`, /not an absolute path/],
    [`\${file:/missing}`, /\/missing cannot be read \(ENOENT\)/],
  ] as const) {
    it(`is not had from ${JSON.stringify(reference)}`, () => {
      assert.throws(() => resolveReference(reference, sources), expected);
    });
  }

  it('does not read on for ever', () => {
    assert.throws(() => resolveReference(`\${file:/dev/zero}`), /longer than 65536 bytes/);
  });
});
