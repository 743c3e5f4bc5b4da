/** Every view as Slack gets it, kept in files: a change of one shows in review. `UPDATE_SNAPSHOTS=1` writes them anew. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it, mock } from 'node:test';
import { HOME } from '../queue/home.ts';
import { blockErrors, blocksTooLong, viewErrors } from '../test/slack/blocks.ts';
import { aCard } from '../test/support/bot-stage.ts';
import { builderView, noteView, waitingView } from './builder.ts';
import { cardView, minimalView } from './cards.ts';
import { listModal } from './collecting.ts';
import { answerViews, helpAnswer, wrongAnswer } from './gate-answers.ts';
import { TOPICS } from './gate-help.ts';
import { homeView } from './home-view.ts';
import { detailsModal, noteModal, reasonModal } from './modals.ts';

const NOW = Date.UTC(2026, 0, 2, 14, 2, 11);
const FOLDER = new URL('./snapshots/', import.meta.url);
mock.timers.enable({ apis: ['Date'], now: NOW });
type Card = ReturnType<typeof aCard>;
type Shown = { readonly type?: string; readonly text?: string; readonly blocks: readonly unknown[] };

const HOLD = '0b54b0e5-5c1c-4c1e-9b1e-2f6f0d7c1a11';
const card = (changes: Partial<Card> = {}): Card => aCard({ hold: HOLD, ...changes });
const vote = { user: 'U0ALICE', decision: 'approve' as const, at: NOW };
const ended = (state: Card['state'], executed: 'yes' | 'no' | 'unknown', changes: Partial<Card> = {}): Card =>
  card({ state, settled: { at: NOW, executed }, auditHead: '812:0123456789ab', ...changes });
const hostile = '```\n<!channel> <@U0ALICE> <https://evil.example|https://good.example> *Approved* :tada: \u202e';
const line = hostile.replaceAll('\n', ' ');
const rich = {
  estimate: 'about 41,000 rows',
  blast: ['public.orders: 41,207 rows, 12 MB', 'ON DELETE CASCADE to public.items'],
  history: [{ at: NOW, headline: 'SELECT on public.orders', verdict: 'allow', outcome: '3 rows in 4 ms' }],
};
const demand = card().demands[0] ?? assert.fail();
const two = { demands: [{ ...demand, quorum: 2, counted: 1 }], votes: [vote] };
const done = { kind: 'done' as const, text: 'DELETE 41,207 rows in 1.3 s', rows: 41_207, ms: 1_300 };

const CARDS: Readonly<Record<string, Card>> = {
  open: card(rich),
  empty: card({ headline: '', environment: '', connection: '', statement: '', shortId: '', risks: [] }),
  hostile: card({
    statement: hostile,
    headline: line,
    connection: '<!here>',
    risks: [line],
    warnings: [line],
    parameters: [hostile],
  }),
  maximal: card({
    statement: '字'.repeat(60_000),
    headline: '字'.repeat(500),
    blast: Array(20).fill('字'.repeat(300)),
    warnings: Array(10).fill('字'.repeat(300)),
  }),
  deceptive: card({ statement: 'DELETE FROM \u043erders -- \u202e harmless' }),
  'one-of-two': card(two),
  'break-glass': card({ breakGlass: true }),
  grants: card({ grants: [15, 60, 480] }),
  collecting: card({
    collects: {
      total: 500,
      open: Array.from({ length: 30 }, (_, n) => ({ hold: HOLD, shortId: `a${n}`, headline: `DELETE ${n}` })),
    },
  }),
  approved: card({ ...two, state: 'approved' }),
  outcome: ended('done', 'yes', {
    votes: [vote],
    outcome: done,
    releasedAt: NOW,
    offers: [{ label: 'Revert', line: 'rules revert 3' }],
  }),
  denied: ended('denied', 'no', { settled: { at: NOW, by: 'U0ALICE', reason: 'not today', executed: 'no' } }),
  expired: ended('expired', 'no'),
  withdrawn: ended('withdrawn', 'no'),
  lost: ended('lost', 'no'),
  unknown: ended('unknown', 'unknown', {
    releasedAt: NOW,
    outcome: { kind: 'unknown', text: 'outcome unknown, check the target', ms: 4 },
  }),
};

const memory = { hold: HOLD, revision: 1, digest: 'ab'.repeat(6), channel: 'C0APPROVALS' };
const choice = { connections: ['orders', 'billing'], actions: ['read', 'delete', 'ddl'] };
const builder = { line: '', id: 'b' } as never;
const part = (title: string, text: string) => ({
  title,
  lines: [text, `${text} again`],
  link: 'https://acme.slack.com/archives/C0APPROVALS/p1',
  buttons: [{ label: 'Sign the review', line: `review ${HOLD}`, confirm: text, danger: true }],
  at: NOW,
});
const home = (text: string) =>
  homeView({
    answers: [
      {
        v: 1,
        id: 'x',
        gateway: 'gw-1',
        ok: true,
        text: '',
        sections: Object.values(HOME).map(({ title }) => part(title, text)),
      },
    ],
    silent: ['gw-2'],
  });
const collected = [{ entry: { hold: HOLD, shortId: 'a1', headline: 'DELETE 1' }, card: card() }] as never;

const VIEWS: Readonly<Record<string, Shown | readonly Shown[]>> = {
  ...Object.fromEntries(
    Object.entries(CARDS).map(([name, it]) => [`card-${name}`, cardView(it, { mentions: ['S0DBA'] })]),
  ),
  'card-minimal': minimalView(card()),
  'modal-details': detailsModal(CARDS.open ?? card(), 1, 'C0APPROVALS', 'It changed.'),
  'modal-details-hostile': detailsModal(CARDS.hostile ?? card(), 1, 'C0APPROVALS'),
  'modal-deny': reasonModal(card(), 'deny', memory),
  'modal-approve': reasonModal(card(), 'approve', memory),
  'modal-break-glass': reasonModal(card({ breakGlass: true }), 'break', memory),
  'modal-note': noteModal('Not counted', line),
  'modal-list': listModal(CARDS.collecting ?? card(), collected, '{}'),
  'modal-rule': builderView(choice, builder),
  'modal-rule-waiting': waitingView(builder),
  'modal-rule-note': noteView(builder, line),
  home: home('DELETE on public.orders'),
  'home-hostile': home(line),
  'home-empty': homeView({ answers: [], silent: [], trouble: 'No gateway is running.' }),
  'gate-help': answerViews(undefined, helpAnswer(undefined)),
  ...Object.fromEntries(
    Object.keys(TOPICS).map((topic) => [`gate-help-${topic}`, answerViews(`help ${topic}`, helpAnswer(topic))]),
  ),
  'gate-wrong': answerViews(undefined, wrongAnswer(line, 'rules')),
  'gate-hostile': answerViews(line, { text: line, sections: [part(line, line)] }),
  'gate-empty': answerViews('', { text: '', sections: [] }),
};

const each = Object.entries(VIEWS).map(([name, views]) => [name, [views].flat() as readonly Shown[]] as const);

function* buttons(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return;
  if ((value as Record<string, unknown>).type === 'button') yield value as Record<string, unknown>;
  for (const one of Object.values(value)) yield* buttons(one);
}

describe('every view', () => {
  it('is what its snapshot says', () => {
    mkdirSync(FOLDER, { recursive: true });
    for (const [name, views] of each) {
      const file = new URL(`${name}.json`, FOLDER);
      const json = `${JSON.stringify(views, null, 2)}\n`;
      if (process.env.UPDATE_SNAPSHOTS) writeFileSync(file, json);
      assert.equal(json, readFileSync(file, 'utf8'), `${name} changed; if it should: UPDATE_SNAPSHOTS=1`);
    }
  });

  it('is within Slack’s limits', () => {
    for (const [name, views] of each) {
      for (const view of views) {
        if (view.type !== undefined) assert.equal(viewErrors(view as never), undefined, name);
        else
          assert.deepEqual(
            [blockErrors(view.blocks as never, 'message'), blocksTooLong(view.blocks as never)],
            [[], false],
            name,
          );
      }
    }
  });

  it('that is a message has a sentence for those who hear it read', () => {
    for (const [name, views] of each)
      for (const view of views.filter(({ type }) => type === undefined))
        assert.match((view.text ?? '').trim(), /^\S.{10,}[.!?…»]$/su, `${name}: ${view.text}`);
  });

  it('says of each button what it does, to those who hear it read', () => {
    for (const [name, views] of each)
      for (const { text, accessibility_label: label } of buttons(views)) {
        assert.equal(typeof label, 'string', `${name}: ${JSON.stringify(text)}`);
        assert.ok(String(label).length > 3 && String(label).length <= 75, `${name}: ${label}`);
      }
  });
});
