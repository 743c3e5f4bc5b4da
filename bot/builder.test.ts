/** The form of a rule: within Slack's limits, filled with a rule it says that rule's line, mistakes find their field. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formOf } from '../gateway/asks/rule-words.ts';
import { ACTIONS } from '../gateway/operation.ts';
import { parseLine } from '../gateway/policy/line.ts';
import { printLine } from '../gateway/policy/line-print.ts';
import type { Rule } from '../gateway/policy/policy.ts';
import { viewErrors } from '../test/slack/blocks.ts';
import { blockOf, builderView, fieldsIn, lineOf, noteView, waitingView } from './builder.ts';

const LINES = [
  'hold * on * id all',
  'deny delete on orders.customers where absent by report-bot id x "never"',
  'hold update,delete on orders,billing.public.a,b by bot by group:"data science" rows > 5 except (read on *.t by ci) ' +
    'approvers U0ALICE @dba oidc:"our dbas" quorum 3 expires 7m require reason confirm rows in C0DBA notify both ' +
    'escalate @leads after 5m id y "It says \\"no\\""',
  'deny read on "*".*.secrets bytes > 10MB rows per hour > 5 bytes per hour > 1GB id z',
];
const choice = { connections: ['orders', 'billing'], actions: [...ACTIONS] };
const rule = (line: string): Rule => {
  const parsed = parseLine(line);
  assert.equal(parsed.kind, 'rule', line);
  return (parsed as { rule: Rule }).rule;
};
/** What Slack would send when it is submitted as it is. */
const initialOf = (view: object): unknown => {
  const values: Record<string, Record<string, unknown>> = {};
  for (const block of (view as { blocks: Record<string, never>[] }).blocks) {
    if (block.type !== 'input') continue;
    const { action_id, initial_value, initial_option, initial_options, initial_users, initial_conversation } =
      block.element as unknown as Record<string, string>;
    values[String(block.block_id)] = {
      [String(action_id)]: {
        value: initial_value ?? null,
        selected_option: initial_option ?? null,
        selected_options: initial_options ?? [],
        selected_users: initial_users ?? [],
        selected_conversation: initial_conversation ?? null,
      },
    };
  }
  return values;
};

describe('the form of a rule', () => {
  for (const line of LINES) {
    it(`filled and submitted as it is says the same rule: ${line.slice(0, 60)}`, () => {
      const made = rule(line);
      const view = builderView({ ...choice, rule: formOf(made) }, { channel: 'C0A', rule: made.id });
      assert.equal(viewErrors(view), undefined);
      const said = lineOf(fieldsIn(initialOf(view)), made.id);
      assert.equal(printLine(rule(said)), printLine(made), said);
    });
  }

  it('never says fewer approvers, actions or words than stand in it', () => {
    const people = Array.from({ length: 60 }, (_, at) => `U${String(at).padStart(8, '0')}`);
    const of = (change: object) => ({ 'rule.field': { value: null, ...change } });
    const values = {
      people: of({ selected_users: people }),
      by: of({ value: 'b'.repeat(3_500) }),
      why: of({ value: 'one\r\ntwo\u2028three' }),
    };
    const line = lineOf(fieldsIn(values), undefined);
    for (const person of people) assert.ok(line.includes(person), person);
    assert.ok(line.includes('b'.repeat(3_500)));
    const parsed = parseLine(lineOf(fieldsIn({ people: values.people }), undefined));
    assert.equal(parsed.kind, 'mistake', 'the gateway refuses what is too many, and nobody is left out in silence');
    const view = builderView(choice, { channel: 'C0A' }) as { blocks: { block_id?: string; element?: object }[] };
    const chooser = view.blocks.find(({ block_id }) => block_id === 'people')?.element;
    assert.equal((chooser as { max_selected_items?: number }).max_selected_items, 50);
  });

  it('empty, waiting or with a note is a view Slack takes, and says the widest rule there is', () => {
    const memory = { channel: 'C0A' };
    const view = builderView(choice, memory, { line: 'x'.repeat(2_800), said: '<!channel>\u202e'.repeat(300) });
    for (const one of [view, waitingView(memory), noteView(memory, '')]) assert.equal(viewErrors(one), undefined);
    assert.equal(lineOf(fieldsIn(initialOf(view)), undefined), 'hold * on *');
    assert.equal(lineOf(fieldsIn('hostile'), undefined), 'hold * on *');
    const many = { connections: Array.from({ length: 100 }, (_, n) => `c${n}`), actions: [...ACTIONS] };
    assert.equal(viewErrors(builderView(many, memory)), undefined);
  });

  it('quotes a why whatever stands in it, and takes no line break for an end', () => {
    const fields = { ...fieldsIn({}), why: 'a "b" \\ c\nid other' };
    assert.equal(rule(lineOf(fields, 'mine')).why, 'a "b" \\ c\nid other');
    assert.equal(rule(lineOf(fields, 'mine')).id, 'mine');
  });

  it('shows a mistake at a field that is there', () => {
    const blocks = builderView(choice, { channel: 'C0A' }).blocks.flatMap((block) =>
      block.type === 'input' ? [block.block_id] : [],
    );
    const full = fieldsIn({});
    const filled = { ...full, object: 'a', rows: '1', groups: '@a', more: 'x' };
    const parts = [
      'verdict',
      'action',
      'on',
      'where',
      'by',
      'rows',
      'except',
      'approvers',
      'quorum',
      'expires',
      'require',
    ];
    for (const part of [...parts, 'confirm', 'in', 'notify', 'escalate', 'id', 'why', undefined, 'else']) {
      for (const fields of [full, filled])
        for (let at = 0; at < 40; at++) assert.ok(blocks.includes(blockOf({ part, at }, fields, 'x')), part);
    }
  });
});
