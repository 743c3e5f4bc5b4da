/** Rules written as YAML are read back to the same rules: what Git keeps is what gateways keep. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { stringify } from 'yaml';
import { parseLine } from '../policy/line.ts';
import { printLine } from '../policy/line-print.ts';
import { writtenRule } from './sections.ts';
import { written } from './written.ts';
import { parseYaml } from './yaml.ts';

const LINES = [
  'hold * on * id all',
  'deny delete on orders.customers where absent by report-bot id x "never: ‘really’ #1"',
  'hold update,delete on orders,billing.public.a,b by bot by group:"data science" rows > 1000000000000 bytes > 1125899906842623B ' +
    'rows per hour > 0 bytes per hour > 10MB except (read on "*".*.t where present by ci,d by group:g) ' +
    'approvers U0ALICE @dba oidc:"our dbas" quorum 3 expires 1500ms require reason confirm rows in C0DBA notify both ' +
    'escalate @leads after 24h id y "It says \\"no\\"\\nand \\u{202e} more"',
  'allow insert on *.carts by "*#ci","no" id z',
];

for (const line of LINES) {
  it(`as YAML and back: ${line.slice(0, 70)}`, () => {
    const parsed = parseLine(line);
    assert.equal(parsed.kind, 'rule', line);
    if (parsed.kind !== 'rule') return;
    const yaml = stringify(written(parsed.rule), { lineWidth: 0 });
    const read = writtenRule.parse(parseYaml(yaml));
    assert.equal(printLine(read), printLine(parsed.rule), yaml);
  });
}
