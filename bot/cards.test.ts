import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Card, cardSchema, HOLD_STATES } from '../queue/cards.ts';
import { MAX_CARD_CHARACTERS } from '../queue/review.ts';
import { blockErrors, blocksTooLong, viewErrors } from '../test/slack/blocks.ts';
import { aCard } from '../test/support/bot-stage.ts';
import { cardView, MAX_CARD_SIZE, minimalView } from './cards.ts';
import { detailsModal, noteModal, pageCount, reasonModal } from './modals.ts';

const json = (value: unknown) => JSON.stringify(value);
type Node = Record<string, unknown>;

/** Every object inside, with the block it is in. */
function* nodes(value: unknown): Generator<Node> {
  if (Array.isArray(value)) for (const one of value) yield* nodes(one);
  else if (typeof value === 'object' && value !== null) {
    yield value as Node;
    for (const one of Object.values(value)) yield* nodes(one);
  }
}
const actionIds = (blocks: unknown) =>
  [...nodes(blocks)].flatMap((node) => ('action_id' in node ? [node.action_id] : []));
const parsedTexts = (blocks: unknown) =>
  [...nodes(blocks)].filter((node) => node.type === 'mrkdwn').map((node) => String(node.text));

const long = (character: string, length: number) => character.repeat(length);
/** The largest card the schema lets through, of one kind of character. */
const maximal = (c: string) =>
  aCard({
    shortId: long(c, 12),
    environment: long(c, 64),
    connection: long(c, 64),
    protocol: long(c, 16),
    headline: long(c, 500),
    risks: Array.from({ length: 10 }, () => long(c, 120)),
    requester: {
      name: long(c, 200),
      kind: 'agent',
      subject: long(c, 400),
      issuer: long(c, 400),
      sponsor: long(c, 32),
      slack: long(c, 32),
      purpose: long(c, 500),
    },
    stopped: { after: long(c, 40), preview: Array(3).fill(Array(10).fill(long(c, 200))) },
    statement: long(c, 60_000),
    parameters: Array.from({ length: c === 'a' ? 200 : 20 }, () => long(c, 2_100)),
    demands: Array.from({ length: 50 }, () => ({
      rule: long(c, 128),
      why: long(c, 500),
      approvers: Array.from({ length: 50 }, () => long(c, 128)),
      quorum: 20,
      counted: 0,
      requireReason: true,
    })),
    votes: Array.from({ length: 50 }, () => ({
      user: long(c, 32),
      decision: 'approve' as const,
      at: Date.now(),
      reason: long(c, 1000),
      remark: long(c, 200),
    })),
    estimate: long(c, 300),
    granted: long(c, 300),
    blast: Array.from({ length: 20 }, () => long(c, 300)),
    history: Array.from({ length: 10 }, () => ({
      at: Date.now(),
      headline: long(c, 200),
      verdict: long(c, 20),
      outcome: long(c, 120),
    })),
    warnings: Array.from({ length: 10 }, () => long(c, 300)),
    auditHead: long(c, 64),
    evidence: `https://gate.example.com/${'x'.repeat(370)}`,
  });
const empty = aCard({
  shortId: '',
  environment: '',
  connection: '',
  protocol: '',
  headline: '',
  risks: [],
  requester: { name: '', kind: 'human', subject: '', issuer: '' },
  statement: '',
  demands: [{ rule: '', why: '', approvers: [], quorum: 1, counted: 0, requireReason: false }],
});
const EXTREMES = {
  empty,
  ...Object.fromEntries(
    [...'a&<"\\\n\u0000\u202e😀字'].map((c) => [`all ${json(c)}`, maximal(c.length > 1 ? '字' : c)]),
  ),
};

describe('a card', () => {
  for (const [name, card] of Object.entries(EXTREMES)) {
    it(`stays within Slack's limits when it is ${name}, in every state`, () => {
      assert.ok(cardSchema.safeParse(card).success);
      for (const state of name === 'empty' ? HOLD_STATES : (['open', 'denied', 'unknown'] as const)) {
        const settled = { at: Date.now(), by: 'U0ALICE', reason: card.estimate ?? '', executed: 'unknown' as const };
        const outcome = { kind: 'failed' as const, text: card.headline, ms: 1 };
        const it = state === 'open' ? card : { ...card, state, settled, outcome };
        for (const view of [cardView(it, { mentions: Array.from({ length: 50 }, () => 'S0DBA') }), minimalView(it)]) {
          assert.deepEqual(blockErrors(view.blocks, 'message'), [], state);
          assert.equal(blocksTooLong(view.blocks), false);
          assert.ok(json(view.blocks).length <= MAX_CARD_SIZE);
          assert.ok(view.text.length > 0 && view.text.length < 4_000);
        }
      }
    });

    it(`opens modals within Slack's limits when it is ${name}`, () => {
      const memory = { hold: card.hold, revision: 1, digest: 'ab'.repeat(6), channel: 'C0APPROVALS' };
      const pages = pageCount(card);
      const some = [...new Set([1, 2, Math.ceil(pages / 2), pages])].filter((page) => page <= pages);
      const views = [
        ...some.map((page) => detailsModal(card, page, 'C0APPROVALS', 'It changed.')),
        reasonModal(card, 'deny', memory),
        reasonModal(card, 'approve', memory),
        noteModal(card.headline, card.headline),
      ];
      for (const view of views) assert.equal(viewErrors(view), undefined, json(viewErrors(view)));
    });
  }

  it('shows the statement only in a preformatted element and nothing of the agent in parsed text', () => {
    const hostile =
      '```\n<!channel> <!here> <@U0ALICE> <https://evil.example|https://good.example> *Approved* :white_check_mark: &lt;';
    const one = hostile.replaceAll('\n', ' ');
    const card = aCard({
      statement: hostile,
      parameters: [hostile],
      headline: one,
      connection: '<!here>',
      risks: [one],
      warnings: [one],
      estimate: one,
      requester: { name: one, kind: 'agent', subject: one, issuer: one, purpose: one, sponsor: '<!channel>' },
      demands: [{ rule: one, why: one, approvers: [one, '<!here>'], quorum: 1, counted: 0, requireReason: false }],
      votes: [{ user: '<!here>', decision: 'approve', at: 1, reason: one, remark: one.slice(0, 100) }],
      settled: { at: 1, by: '<!here>', reason: one, executed: 'no' },
      state: 'denied',
      auditHead: '<!here>',
    });
    for (const it of [card, { ...card, state: 'open' as const, settled: undefined }]) {
      const { text, blocks } = cardView(it, {
        mentions: ['<!channel>', '@here', 'S0DBA', 'U0ALICE', 'U0ALICE> <!channel'],
      });
      for (const parsed of parsedTexts(blocks)) {
        assert.match(parsed, /^(?:Expires <!date\^\d+\^[^|>]+\|[^<>]+>|<!subteam\^S0DBA> <@U0ALICE> please decide)$/);
      }
      assert.doesNotMatch(text, /<|>|`|\*|:white_check_mark:/);
      const code = [...nodes(blocks)].filter((node) => node.type === 'rich_text_preformatted');
      assert.ok(code.some(({ elements }) => (elements as Node[])[0]?.text === hostile));
      // No element that links, rings or draws an emoji comes out of the agent's text.
      for (const node of nodes(blocks)) {
        assert.ok(
          !['link', 'emoji', 'broadcast', 'user', 'usergroup', 'channel', 'image'].includes(String(node.type)),
          json(node),
        );
      }
      for (const node of nodes(blocks)) if (node.type === 'plain_text') assert.equal(node.emoji ?? false, false);
    }
  });

  it('says in its notification who, what, until when, and nothing of the statement', () => {
    const card = aCard({
      statement: "DELETE FROM t WHERE ssn = '078-05-1120'",
      expiresAt: Date.UTC(2026, 0, 2, 3, 4, 5),
    });
    assert.equal(
      cardView(card).text,
      'PRODUCTION · orders: DELETE on public.orders, no WHERE. report-bot (agent) waits for approval until 03:04:05 UTC. Request k3x9ab.',
    );
  });

  it('says the end in its notification, with its clock whole and without the target’s own words', () => {
    const at = Date.UTC(2026, 0, 2, 14, 2, 11);
    const settled = { at, executed: 'yes' as const };
    const ended = (outcome: NonNullable<ReturnType<typeof aCard>['outcome']>) =>
      cardView(aCard({ state: outcome.kind === 'unknown' ? 'unknown' : 'done', settled, releasedAt: at, outcome }))
        .text;
    assert.match(
      ended({ kind: 'done', text: 'DELETE 3 rows in 4 ms', ms: 4 }),
      /Approved\. DELETE 3 rows in 4 ms\. Request/,
    );
    const failed = ended({ kind: 'failed', text: '23505: Key (name)=(Jane Roe) already exists', ms: 4 });
    assert.match(failed, /Approved, but it failed\. Its error is on the card\./);
    assert.doesNotMatch(failed, /Jane/);
    const unknown = ended({ kind: 'unknown', text: 'outcome unknown, check the target: the server left', ms: 4 });
    assert.match(unknown, /Released 14:02:11 UTC, outcome unknown, check the target\. Request/);
  });

  it('leads with the decision once there is one: who, then what came of it, said once', () => {
    const at = Date.UTC(2026, 0, 2, 14, 2, 11);
    const blocks = cardView(
      aCard({
        state: 'unknown',
        settled: { at, executed: 'unknown' },
        releasedAt: at,
        votes: [{ user: 'U0ALICE', decision: 'approve', at }],
        outcome: { kind: 'unknown', text: 'outcome unknown, check the target: the server left', ms: 4 },
      }),
    ).blocks;
    const record = json(blocks[1]);
    assert.match(
      record,
      /"Approved".*"user_id":"U0ALICE".*Released 14:02:11 UTC, outcome unknown, check the target: the server left/,
    );
    assert.equal(record.match(/outcome unknown/g)?.length, 1);
  });

  it('says of an estimate as of when it is true, and asks for none where something was touched already or nothing can be', () => {
    const estimate = 'about 40 rows';
    const shown = (changes: Parameters<typeof aCard>[0]) => JSON.stringify(cardView(aCard(changes)).blocks);
    assert.match(shown({}), /"Rows affected: not estimated"/);
    assert.match(shown({ estimate }), /"Rows affected: about 40 rows"/);
    const settled = { at: 0, executed: 'no' as const };
    assert.match(
      shown({ estimate, state: 'denied', settled }),
      /"Estimated when it was asked · Rows affected: about 40 rows"/,
    );
    assert.doesNotMatch(shown({ protocol: 'gate' }), /Rows affected/);
    assert.doesNotMatch(shown({ plan: true }), /Rows affected/);
    assert.doesNotMatch(JSON.stringify(detailsModal(aCard({ plan: true }), 1, 'C0APPROVALS')), /Estimate/);
    const stopped = { after: '41,207 rows', preview: [], commits: true as const };
    const { text, blocks } = cardView(aCard({ stopped, headline: 'DELETE: estimated 3, touched 41,207: commit?' }));
    assert.doesNotMatch(JSON.stringify(blocks), /Rows affected/);
    assert.match(text, /commit\? report-bot/);
  });

  it('keeps everything above the buttons where it was when votes and estimate come', () => {
    const card = aCard();
    const types = (it: typeof card) => cardView(it).blocks.map(({ type }) => type);
    const votes = [{ user: 'U0CAROL', decision: 'approve' as const, at: 1 }];
    const later = { ...card, sequence: 9, votes, estimate: 'about 41,000 rows' };
    const first = cardView(card, { mentions: ['S0DBA'] }).blocks.map(({ type }) => type);
    const at = first.indexOf('actions');
    assert.ok(at > 0);
    assert.deepEqual(
      types(later).slice(0, at + 1),
      first.slice(0, at + 1),
      'an edit drops the mention: no thumb may slip',
    );
    const ids = (it: typeof card) => cardView(it).blocks.map(({ block_id }) => block_id);
    assert.equal(
      ids(card).some((id) => ids(later).includes(id)),
      false,
    );
  });

  it('mentions nobody on an edit', () => {
    assert.match(json(cardView(aCard(), { mentions: ['S0DBA'] }).blocks), /subteam\^S0DBA/);
    assert.doesNotMatch(json(cardView(aCard({ sequence: 2 })).blocks), /subteam|<@/);
  });

  it('names the people it asks, ringing none of them, and gives an id only of somebody without a name', () => {
    const [demand] = aCard().demands;
    const approvers = ['@dba-oncall', 'U0ALICE', 'U0NOBODY'];
    const card = aCard({
      demands: [{ ...demand!, approvers }],
      requester: { ...aCard().requester, sponsor: undefined },
    });
    const { blocks } = cardView(card, { names: new Map([['U0ALICE', 'Alice <!here> Example']]) });
    const rules = json(blocks.find(({ block_id }) => block_id?.startsWith('rules.')));
    assert.match(rules, / from @dba-oncall, Alice <!here> Example, U0NOBODY"/);
    assert.ok(![...nodes(blocks)].some(({ type }) => type === 'user'));
    const details = json(detailsModal(card, pageCount(card), 'C0APPROVALS').blocks);
    assert.match(details, /"text":"@dba-oncall".*"user_id":"U0ALICE"/);
  });

  it('offers Approve only on a text that can be read whole', () => {
    assert.deepEqual(actionIds(cardView(aCard()).blocks), ['approve', 'deny', 'details', 'more']);
    const unreadable = [
      'x'.repeat(MAX_CARD_CHARACTERS + 1),
      Array.from({ length: 13 }, () => 'x').join('\n'),
      `SELECT 1;${' '.repeat(5_000)}DROP TABLE users`,
      'SELECT 1 -- \u202e',
      'SELECT 1\rDROP TABLE x',
      'DELETE FROM \u043erders',
      'SELECT\u200b1',
      'SELECT 1\u0000',
      '\u001b[2K SELECT 1',
    ];
    for (const statement of unreadable) {
      const view = cardView(aCard({ statement }));
      assert.deepEqual(actionIds(view.blocks), ['details', 'deny', 'more'], json(statement.slice(0, 40)));
      assert.match(json(view.blocks), /Approve works only from the last page of Details/);
    }
    assert.deepEqual(actionIds(cardView(aCard({ parameters: ['a\u202eb'] })).blocks), ['details', 'deny', 'more']);
    assert.deepEqual(actionIds(minimalView(aCard()).blocks), ['details', 'deny', 'more']);
  });

  it('shows what hides, and what a tail of white space hides, on the card and in Details', () => {
    const card = aCard({ statement: `SELECT 1;${' '.repeat(5_000)}DROP TABLE \u043erders -- \u202e` });
    const page = json(detailsModal(card, 1, 'C0APPROVALS').blocks);
    assert.match(page, /SELECT 1;⟨5,000 white-space characters⟩DROP TABLE ⟨U\+043E⟩rders -- ⟨U\+202E⟩/);
    assert.match(json(cardView(card).blocks), /hides something/);
  });

  it('shows all of a long statement over the pages of Details, and Approve on the last alone', () => {
    const statement = Array.from({ length: 3_000 }, (_, index) => `line ${index} of it;`).join('\n');
    const card = aCard({ statement, parameters: ['first', 'second'] });
    const pages = Array.from({ length: pageCount(card) }, (_, index) => detailsModal(card, index + 1, 'C0APPROVALS'));
    assert.ok(pages.length > 5);
    const code = pages.flatMap((page) =>
      [...nodes(page.blocks)].filter((node) => node.type === 'rich_text_preformatted'),
    );
    const text = code.map((node) => String((node.elements as Node[])[0]?.text)).join('');
    assert.ok(text.startsWith(statement));
    assert.ok(text.includes('$1 = first\n$2 = second'));
    for (const [index, page] of pages.entries()) {
      assert.equal(actionIds(page.blocks).includes('approve'), index === pages.length - 1);
    }
  });

  it('says nothing was run only when the gateway says so', () => {
    const at = Date.UTC(2026, 0, 2, 14, 2, 11);
    const texts = (executed: 'no' | 'unknown' | 'yes', releasedAt?: number) =>
      (['denied', 'expired', 'withdrawn', 'lost', 'unknown'] as const).map((state) =>
        json(cardView(aCard({ state, settled: { at, executed }, ...(releasedAt ? { releasedAt } : {}) })).blocks),
      );
    for (const text of texts('no')) assert.match(text, /Nothing was run\./);
    for (const text of texts('unknown')) assert.match(text, /Outcome unknown, check the target\./);
    for (const text of texts('unknown', at))
      assert.match(text, /Released 14:02:11 UTC, outcome unknown, check the target\./);
    for (const text of [...texts('unknown'), ...texts('yes')]) assert.doesNotMatch(text, /Nothing was run/);
  });

  it('is a record once decided: who, when, why, outcome, audit head, and no buttons', () => {
    const card = aCard({
      state: 'done',
      settled: { at: Date.UTC(2026, 0, 2, 14, 2, 11), by: 'U0ALICE', reason: 'CHG-7', executed: 'yes' },
      outcome: { kind: 'done', text: 'DELETE 41,207 rows in 1.3 s', rows: 41207, ms: 1300 },
      auditHead: '812:0123456789ab',
    });
    const text = json(cardView(card).blocks);
    for (const part of [
      'Approved',
      '"user_id":"U0ALICE"',
      '14:02:11 UTC',
      'CHG-7',
      'DELETE 41,207 rows in 1.3 s',
      '812:0123456789ab',
    ])
      assert.ok(text.includes(part), part);
    assert.deepEqual(actionIds(cardView(card).blocks), []);
  });

  it('leads to the recording of its session where there is one', () => {
    const evidence = 'https://gate.example.com/sessions/4f1c#op-9';
    const settled = { at: 1, by: 'U0ALICE', reason: 'no', executed: 'no' as const };
    const link = { type: 'link', url: evidence, text: 'See the session' };
    const shown = (more: Partial<Card>) => json(cardView(aCard({ state: 'denied', settled, ...more })).blocks);
    assert.ok(shown({ evidence }).includes(json(link)));
    assert.ok(shown({ evidence, auditHead: '812:0123456789ab' }).includes(json(link)));
    assert.doesNotMatch(shown({}), /See the session/);
    assert.equal(cardSchema.safeParse(aCard({ evidence: 'javascript:alert(1)' })).success, false);
  });
});
