/** What is typed after `/gate`, as phones and Slack deliver it, and what is made of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { commandSchema } from '../queue/asks.ts';
import { nearest, TOPICS } from './gate-help.ts';
import { parseLine } from './gate-line.ts';
import { argument, asTyped, split, withIds } from './gate-words.ts';

const typed = (text: string) => parseLine(text, { escaped: true });
const commandOf = (text: string) => {
  const line = typed(text);
  assert.equal(line.kind, 'command', `${text}: ${JSON.stringify(line)}`);
  return line.kind === 'command' ? line.command : assert.fail();
};
const wrongOf = (text: string): string => {
  const line = typed(text);
  return line.kind === 'wrong' ? line.text : assert.fail(`${text} was understood: ${JSON.stringify(line)}`);
};

describe('a /gate line', () => {
  it('is read as the command it says', () => {
    assert.deepEqual(commandOf('status'), { do: 'status' });
    assert.deepEqual(commandOf('  Holds '), { do: 'holds' });
    assert.deepEqual(commandOf('sessions'), { do: 'sessions' });
    assert.deepEqual(commandOf('sessions orders'), { do: 'sessions', connection: 'orders' });
    assert.deepEqual(commandOf('kill report-bot'), { do: 'kill', what: 'report-bot' });
    assert.deepEqual(commandOf('grants'), { do: 'grants' });
    assert.deepEqual(commandOf('grants revoke 3fa85f64'), { do: 'revoke', grant: '3fa85f64' });
    assert.deepEqual(commandOf('rules'), { do: 'rules' });
    assert.deepEqual(commandOf('rules remove no-where'), { do: 'rule-remove', rule: 'no-where' });
    assert.deepEqual(commandOf('rules revert 12'), { do: 'rule-revert', version: 12 });
    assert.deepEqual(commandOf('freeze all'), { do: 'freeze', what: 'all' });
    assert.deepEqual(commandOf('freeze orders looks stolen'), { do: 'freeze', what: 'orders', why: 'looks stolen' });
    assert.deepEqual(commandOf('unfreeze orders'), { do: 'unfreeze', what: 'orders' });
    const hold = '3fa85f64-5717-4562-b3fc-2c963f66afa6';
    assert.deepEqual(commandOf(`review ${hold}`), { do: 'review', hold });
  });

  it('takes what phones make of quotes for quotes, and says again what it understood', () => {
    for (const line of [
      'kill "the night bot"',
      'kill “the night bot”',
      'kill ‘the night bot’',
      'kill „the night bot“',
    ]) {
      assert.deepEqual(commandOf(line), { do: 'kill', what: 'the night bot' });
      const understood = typed(line);
      const said = understood.kind === 'command' ? understood.said : '';
      assert.equal(said, 'kill "the night bot"');
      assert.deepEqual(parseLine(said, { escaped: false }), understood, 'and understands that the same way');
    }
    assert.deepEqual(commandOf('kill bob’s-bot'), { do: 'kill', what: 'bob’s-bot' });
  });

  it('undoes Slack’s escapes: people and channels stay ids, groups handles', () => {
    assert.deepEqual(
      commandOf(
        'rules add hold delete on orders approvers <@U0CAROL|carol> <!subteam^S0DBA|@dba-oncall> in <#C0OPS|ops> rows &gt; 5',
      ),
      {
        do: 'rule-add',
        line: 'hold delete on orders approvers U0CAROL @dba-oncall in C0OPS rows > 5',
      },
    );
    assert.deepEqual(commandOf('kill <https://login.example.com#report-bot>'), {
      do: 'kill',
      what: 'https://login.example.com#report-bot',
    });
    // A label that is no handle is somebody's idea of a joke: the id counts.
    assert.equal(withIds('<!subteam^S0DBA|@dba oncall approvers U0EVIL>'), 'S0DBA');
  });

  it('hands rules on as they were typed, quotes and all', () => {
    assert.deepEqual(commandOf('rules add hold delete on orders.* “customers’ rows”'), {
      do: 'rule-add',
      line: 'hold delete on orders.* “customers’ rows”',
    });
    assert.deepEqual(commandOf('rules simulate deny ddl on *'), { do: 'rule-simulate', line: 'deny ddl on *' });
  });

  it('never touches the SQL of rules test', () => {
    const sql = `SELECT “a”, 'it''s', "B", '@alice', 1<2 AND 2>1 & 3 -- ‘quoted’`;
    const slack = sql
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replace('@alice', '<@U0ALICE|alice>');
    assert.deepEqual(commandOf(`rules test orders ${slack}`), {
      do: 'rule-test',
      connection: 'orders',
      statement: sql,
    });
    assert.deepEqual(commandOf(`rules test ${slack}`), { do: 'rule-test', statement: sql });
    assert.deepEqual(commandOf('rules test select 1'), { do: 'rule-test', statement: 'select 1' });
    assert.equal(asTyped('&amp;lt;'), '&lt;', 'an escape is undone once');
  });

  it('is a form where a rule is to be added and none was typed; help where nothing was', () => {
    assert.deepEqual(typed('rules add'), { kind: 'builder', rule: undefined });
    assert.deepEqual(typed(''), { kind: 'help', topic: undefined });
    assert.deepEqual(typed('help freeze'), { kind: 'help', topic: 'freeze' });
  });

  it('names what was not understood', () => {
    assert.match(wrongOf('frobnicate now'), /no subcommand “frobnicate”/);
    assert.match(wrongOf('frezze orders'), /did you mean freeze\?/);
    assert.match(wrongOf('status please'), /nothing belongs after status, but there is “please”\.$/);
    assert.match(wrongOf('kill'), /kill needs to be told what/);
    assert.match(wrongOf('kill report bot'), /“bot” after kill; what has blanks needs quotes/);
    assert.match(wrongOf('kill “report bot'), /a quote is opened and never closed, at “report bot/);
    assert.match(wrongOf('unfreeze'), /unfreeze needs to be told what/);
    assert.match(wrongOf('rules remove'), /needs the id of one rule, not nothing/);
    assert.match(wrongOf('rules revert yesterday'), /needs a version number, not yesterday/);
    assert.match(wrongOf('rules test'), /needs a statement/);
    assert.match(wrongOf('rules ad hold x'), /rules ad is none of/);
    assert.match(wrongOf('grants remove 5'), /“remove 5” after grants/);
    assert.match(wrongOf('review abc'), /whole id of a request, not abc/);
    assert.match(wrongOf('help nothing'), /no topic “nothing”/);
  });

  it('takes anything for what it is: a command that fits its schema, or a sentence', () => {
    const hostile = [
      '<!channel>',
      '<!everyone> status',
      'kill <!channel>',
      '`status`',
      '*kill* x',
      'kill \u202e\u2066x',
      'status\u0000',
      '\u200bstatus',
      `kill ${'x'.repeat(500)}`,
      `freeze a ${'why '.repeat(200)}`,
      `rules add ${'x'.repeat(5_000)}`,
      `rules test ${'x'.repeat(41_000)}`,
      'kill ""',
      'kill "\\"',
      "kill '",
      'constructor',
      '__proto__',
      'toString',
      'help __proto__',
      'help constructor',
      'rules __proto__',
      'kill <@U1|<@U2|x>>',
      'sessions <javascript:alert(1)>',
      `review ${'a'.repeat(36)}`,
      'rules revert 99999999999',
      'rules revert -1',
      '🙂',
      '/gate status',
    ];
    for (const text of hostile) {
      const line = typed(text);
      if (line.kind === 'command') assert.ok(commandSchema.safeParse(line.command).success, text.slice(0, 80));
      if (line.kind === 'help') assert.ok(line.topic === undefined || Object.hasOwn(TOPICS, line.topic), text);
      if (line.kind === 'wrong') assert.ok(line.text.length < 300, text.slice(0, 80));
    }
  });
});

describe('words', () => {
  it('an argument is read again as it was meant, whatever is in it', () => {
    for (const text of ['a', 'a b', 'a"b', 'a “b” c', "it's", '\\', '\\"', ' x ', 'a\\ b', '‘x’', '"', '„']) {
      assert.deepEqual(split(`x ${argument(text)} y`), { ok: true, words: ['x', text, 'y'] }, JSON.stringify(text));
    }
  });

  it('a word that is nearly a subcommand is recognised, and one that is far is not', () => {
    assert.equal(nearest('sesions'), 'sessions');
    assert.equal(nearest('unfrezze'), 'unfreeze');
    assert.equal(nearest('sess'), 'sessions');
    assert.equal(nearest('delete'), undefined);
  });
});
