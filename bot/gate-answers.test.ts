/** Answers on their way to Slack: whole, within its limits, nothing of them markup. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Answer, answerSchema, type Section } from '../queue/asks.ts';
import { blockErrors, blocksTooLong } from '../test/slack/blocks.ts';
import { aCard } from '../test/support/bot-stage.ts';
import { shownBy } from '../test/support/workspace.ts';
import { cardView } from './cards.ts';
import { answerViews, helpAnswer, wrongAnswer } from './gate-answers.ts';
import type { Heard } from './gate-ask.ts';
import { TOPICS } from './gate-help.ts';
import { parseLine } from './gate-line.ts';
import { merged } from './gate-merge.ts';

const answer = (change: Partial<Answer> = {}): Answer =>
  answerSchema.parse({ v: 1, id: 'ask', gateway: 'gw-1', ok: true, text: '', sections: [], ...change });
const heard = (answers: Answer[], more: Partial<Heard> = {}): Heard => ({ answers, silent: [], ...more });
const fits = (views: ReturnType<typeof answerViews>) => {
  assert.ok(views.length >= 1 && views.length <= 4, `${views.length} messages`);
  for (const { text, blocks } of views) {
    assert.deepEqual(blockErrors(blocks, 'message'), []);
    assert.equal(blocksTooLong(blocks), false);
    assert.ok(text.trim().length > 0 && text.length <= 3_000);
    const ids = blocks.map(({ block_id }) => block_id);
    assert.equal(new Set(ids).size, ids.length);
  }
};
const allOf = (views: ReturnType<typeof answerViews>) => views.map((view) => shownBy(view as never)).join('\n');

describe('an answer', () => {
  it('fits into Slack whatever it holds, and says how much is missing', () => {
    for (const character of ['a', '\n', ' ', '<', '&', '`', '\u202e', '🙂', '\ud83d', '\u0000']) {
      const long = (max: number) => character.repeat(max).slice(0, max);
      const section: Section = {
        title: long(150),
        lines: Array.from({ length: 60 }, () => long(500)),
        people: Array.from({ length: 60 }, () => long(32)),
        code: long(3_000),
        link: long(500),
        buttons: Array.from({ length: 5 }, () => ({
          label: long(40),
          line: long(500),
          confirm: long(280),
          danger: true,
        })),
        at: 1,
      };
      const views = answerViews(
        long(4_000),
        merged(heard([answer({ text: long(2_900), sections: Array(30).fill(section) })]), 'holds'),
      );
      fits(views);
      if (character === 'a') assert.match(allOf(views), /… and \d+ more\./);
    }
    fits(answerViews(undefined, merged(heard([answer()]), 'status')));
    fits(answerViews('', merged(heard([answer({ sections: [{ lines: [] }] })]), 'status')));
    fits(answerViews('status', merged(heard([], { trouble: 'No gateway is running.' }), 'status')));
  });

  it('shows as people the Slack ids that the gateway says are people, and nothing that only looks like one', () => {
    const lines = ['report-bot (agent, sponsor U0BOB), since U0BOBBY', 'one: 0 of 2 from U0BOB, U0EVE, @dba'];
    const of = (people: string[]) => {
      const views = answerViews('holds', merged(heard([answer({ sections: [{ lines, people }] })]), 'holds'));
      fits(views);
      return JSON.stringify(views[0]?.blocks);
    };
    const shown = of(['U0BOB', '<!channel>', '.*']);
    assert.equal(shown.match(/"user_id":"U0BOB"/g)?.length, 2);
    assert.match(shown, /"text":"\), since U0BOBBY"/);
    assert.match(shown, /"text":", U0EVE, @dba"/);
    assert.doesNotMatch(of([]), /user_id/);
  });

  it('shows when something was in the time zone of whoever reads it, and what is no such moment as it stands', () => {
    const at = Date.UTC(2026, 0, 2, 14, 2, 11);
    const lines = ['Since 2026-01-02 14:02:11 UTC, 4 min ago', 'until 14:02:11 UTC, or 2026-99-02 14:02:11 UTC'];
    const simulated = { operations: 1, held: 1, denied: 0, allowed: 0, unknown: 0, agents: [], samples: [] as never[] };
    const samples = [{ at, headline: 'DELETE', agent: 'report-bot', verdict: 'hold' }];
    const heardOf = heard([answer({ sections: [{ lines }], simulated: { ...simulated, samples } })]);
    const views = answerViews('sessions', merged(heardOf, 'sessions'));
    fits(views);
    const blocks = JSON.stringify(views[0]?.blocks);
    const moment = (fallback: string, of: number) =>
      `{"type":"date","timestamp":${of / 1_000},"format":"{date_short_pretty} at {time}","fallback":"${fallback}"}`;
    for (const said of [
      `"Since "},${moment('2026-01-02 14:02:11 UTC', at)},{"type":"text","text":", 4 min ago`,
      `${moment('2026-01-02 14:02 UTC', at - 11_000)},{"type":"text","text":" report-bot`,
    ])
      assert.equal(blocks.includes(said), true, said);
    assert.equal(blocks.match(/"type":"date"/g)?.length, 2);
    assert.match(blocks, /until 14:02:11 UTC, or /);
    assert.match(blocks, /2026-99-02 14:02:11 UTC/);
  });

  it('parses nothing of what gateways say: no mention rings, no link hides', () => {
    const evil = '<!channel> <@U0ALICE> <https://evil.example|https://good.example> *bold* `code`';
    const view = answerViews(
      'kill x',
      merged(
        heard([
          answer({ text: evil, sections: [{ title: evil, lines: [evil], code: evil, link: 'javascript:alert(1)' }] }),
        ]),
        'kill',
      ),
    );
    fits(view);
    const json = JSON.stringify(view.map(({ blocks }) => blocks));
    assert.doesNotMatch(json, /"mrkdwn"|"link"/);
    for (const { text } of view) assert.doesNotMatch(text, /<!channel>|<@|<https/);
  });

  it('puts parts of several gateways in their order, and names those that did not answer', () => {
    const parts = merged(
      heard(
        [
          answer({ gateway: 'gw-1', sections: [{ lines: ['second'], at: 20 }] }),
          answer({ gateway: 'gw-2', sections: [{ lines: ['first'], at: 10 }, { lines: ['last'] }] }),
        ],
        { silent: ['gw-3'] },
      ),
      'holds',
    );
    const shown = allOf(answerViews('holds', parts));
    assert.match(shown, /first[\s\S]*second[\s\S]*last[\s\S]*One gateway did not answer: gw-3\./);
  });

  it('says what all say once, and nothing of nothing where another has something', () => {
    const nothing = answer({ text: 'Nothing waits for approval.' });
    assert.equal(merged(heard([nothing, nothing]), 'holds').text, 'Nothing waits for approval.');
    assert.equal(merged(heard([nothing, answer({ sections: [{ lines: ['one'] }] })]), 'holds').text, '');
  });

  it('tells a refusal of one gateway beside what another did', () => {
    const shown = allOf(
      answerViews(
        'kill x',
        merged(
          heard([answer({ sections: [{ lines: ['ended'] }] }), answer({ ok: false, text: 'Redis does not answer.' })]),
          'kill',
        ),
      ),
    );
    assert.match(shown, /ended[\s\S]*Redis does not answer\./);
    assert.equal(
      merged(heard([answer({ ok: false, text: 'No.' }), answer({ ok: false, text: 'No.' })]), 'kill').text,
      'No.',
    );
  });

  it('adds up what each gateway’s trail says of a rule', () => {
    const simulated = {
      operations: 1_000,
      held: 3,
      denied: 0,
      allowed: 1,
      unknown: 2,
      agents: [{ name: 'report-bot', count: 3 }],
      samples: [{ at: 1, headline: 'DELETE on public.orders', agent: 'report-bot', verdict: 'hold' }],
    };
    const shown = allOf(
      answerViews('rules simulate x', merged(heard([answer({ simulated }), answer({ simulated })]), 'rule-simulate')),
    );
    assert.match(shown, /Of 2,000 operations/);
    assert.match(shown, /6 it would have held, 0 denied/);
    assert.match(shown, /report-bot: 6/);
    assert.match(shown, /4 are not recorded well enough to say/);
  });

  it('helps with every topic, in lines that are understood', () => {
    fits(answerViews(undefined, helpAnswer(undefined)));
    for (const [topic, { examples = [] }] of Object.entries(TOPICS)) {
      fits(answerViews(undefined, helpAnswer(topic)));
      fits(answerViews(undefined, wrongAnswer('Not understood: x.', topic)));
      for (const line of examples) {
        const { kind } = parseLine(line, { escaped: false });
        assert.ok(kind === 'command' || (kind === 'builder' && line.startsWith('rules ')), line);
      }
    }
  });
});

describe('what a card’s record offers', () => {
  const offers = [{ label: 'Revert', line: 'rules revert 12', confirm: 'Puts back what was.' }];

  it('says a /gate line, after a confirm, once it is over and not before', () => {
    const over = cardView(aCard({ state: 'done', protocol: 'gate', offers, settled: { at: 1, executed: 'yes' } }));
    assert.deepEqual(blockErrors(over.blocks, 'message'), []);
    assert.match(JSON.stringify(over.blocks), /"action_id":"gate\.0".*"value":"rules revert 12".*"confirm"/);
    assert.doesNotMatch(JSON.stringify(cardView(aCard({ offers })).blocks), /"gate\.0"/);
  });

  it('a change of the gateway itself has no session to kill', () => {
    assert.doesNotMatch(JSON.stringify(cardView(aCard({ protocol: 'gate' })).blocks), /Kill session/);
    assert.match(JSON.stringify(cardView(aCard()).blocks), /Kill session/);
  });
});
