/** A card as Slack shows it: pure Card → text and blocks. Whatever the agent sent stays plain text in its own place. */
import type { types } from '@slack/bolt';
import type { Card } from '../queue/cards.ts';
import {
  MAX_CARD_CHARACTERS,
  MAX_CARD_LINES,
  MAX_CARD_PARAMETERS,
  type Review,
  reviewOf,
  visible,
} from '../queue/review.ts';
import { blastLines } from './blast.ts';
import {
  actions,
  button,
  heading,
  isGroupId,
  isUserId,
  LOCAL_TIME,
  moment,
  paragraphs,
  person,
  plain,
  preformatted,
  sizeOf,
  smallPrint,
  spoken,
  trusted,
  words,
} from './blocks.ts';
import { collectingView } from './collecting.ts';
import type { Shown } from './entry.ts';
import { gateButton } from './gate-button.ts';
import { menu } from './menu.ts';
import { buttonValue } from './pressed.ts';
import { cut, notification, oneLine, opening } from './text.ts';
import {
  because,
  clock,
  counted,
  expiryOf,
  hasSession,
  headline,
  headlineWithRows,
  isOpen,
  ran,
  result,
  slackDate,
  status,
} from './words.ts';

/** All blocks together; Slack refuses somewhere above 13,000 characters without saying where. */
export const MAX_CARD_SIZE = 12_000;
export const CARD_EVENT = 'countersign_card';

export type View = { readonly text: string; readonly blocks: types.KnownBlock[] };
export type CardOptions = {
  /** Slack ids to ring: on the first post only, an edit rings nobody. */
  readonly mentions?: readonly string[];
  /** What people are called, by Slack id: where a mention would ring them, their names stand. */
  readonly names?: ReadonlyMap<string, string>;
};

/** How much of each list is shown; tightened until the whole fits. */
type Room = { rules: number; votes: number; names: number; line: number; lead: number };
const ROOMS: readonly Room[] = [
  { rules: 8, votes: 8, names: 400, line: 500, lead: 600 },
  { rules: 5, votes: 4, names: 160, line: 240, lead: 600 },
  { rules: 3, votes: 2, names: 80, line: 120, lead: 300 },
  { rules: 1, votes: 1, names: 40, line: 60, lead: 150 },
];

/** The whole card, within Slack's limits whatever it is given. */
export function cardView(card: Shown, options: CardOptions = {}): View {
  if (card.collects) {
    const mentions = isOpen(card) ? ringing(options.mentions ?? []) : '';
    const ring = mentions === '' ? [] : [trusted(blockIds(card)('mentions'), `${mentions} please decide`)];
    return collectingView(card, card.collects, blockIds(card), ring);
  }
  const text = summary(card);
  const review = reviewOf(card);
  for (const room of ROOMS) {
    const blocks = layout(card, review, room, options);
    if (sizeOf(blocks) <= MAX_CARD_SIZE) return { text, blocks };
  }
  return minimalView(card);
}

/** Headline, status and buttons: what is sent when Slack refuses the full layout. */
export function minimalView(card: Card): View {
  const id = blockIds(card);
  const blocks: types.KnownBlock[] = [plain(id('headline'), headline(card)), plain(id('status'), statusLine(card))];
  if (isOpen(card)) blocks.push(buttons(card, { needed: true, hides: [], long: true }, id));
  return { text: summary(card), blocks };
}

/** The notification and what screen readers read: a full sentence, without literals, escaped. */
function summary(card: Card): string {
  const asked = `${notification(card.requester.name, 100)} (${card.requester.kind})`;
  const what = notification(headlineWithRows(card), 700);
  if (isOpen(card))
    return `${sentence(what)} ${asked} waits for approval until ${clock(card.expiresAt)}. Request ${notification(card.shortId, 12)}.`;
  // Not through `notification`: made of our own words, numbers and an identifier; its clocks keep their colons.
  return `${sentence(what)} Asked by ${asked}. ${status(card).word}. ${result(card)} Request ${notification(card.shortId, 12)}.`;
}

/** Block ids are new with every edit, as Slack asks. */
const blockIds = (card: Card) => (part: string) => `${part}.${card.revision}.${card.sequence}`;

function layout(card: Shown, review: Review, room: Room, options: CardOptions): types.KnownBlock[] {
  const id = blockIds(card);
  const said = isOpen(card) ? headline(card) : headlineWithRows(card);
  const blocks: types.KnownBlock[] = [heading(id('headline'), said)];
  if (said.length > 150) blocks.push(plain(id('headline-whole'), said));
  if (!isOpen(card)) blocks.push(record(card, room, id));
  blocks.push(requester(card, room, id));
  blocks.push(...statement(card, review, room, id));
  if (card.stopped && !card.stopped.commits) blocks.push(...preview(card.stopped, id));
  blocks.push(smallPrint(id('digest'), `Request ${card.shortId} · ${card.protocol} · digest ${shortDigest(card)}`));
  blocks.push(rules(card, room, id, options.names));
  const warnings = warningsOf(card, review, room);
  if (warnings.length > 0)
    blocks.push(
      paragraphs(
        id('warnings'),
        ...warnings.map((text) => [words(`⚠️ ${text.charAt(0).toUpperCase()}${text.slice(1)}`)]),
      ),
    );
  if (isOpen(card)) {
    blocks.push(smallPrint(id('deadline'), { parsed: `Expires ${slackDate(card.expiresAt)}${expiryOf(card)}` }));
    blocks.push(buttons(card, review, id));
  }
  // Below the buttons: what comes or goes later must not move them under a thumb.
  // What has begun already, and what is no statement, is not estimated; a record says as of when these lines are true.
  const estimate = card.estimate ? oneLine(card.estimate, room.line) : 'not estimated';
  const when = isOpen(card)
    ? ''
    : /^no estimate/.test(estimate)
      ? 'When it was asked · '
      : 'Estimated when it was asked · ';
  const came = counted(card);
  if ((isOpen(card) && !card.stopped && hasSession(card)) || card.estimate)
    blocks.push(
      smallPrint(id('estimate'), `${when}Rows affected: ${estimate}${came === undefined ? '' : ` · Counted: ${came}`}`),
    );
  blocks.push(...blastLines(card, room.rules, id));
  const votes = votesOf(card, room);
  if (votes.length > 0) blocks.push(paragraphs(id('votes'), ...votes));
  if (!isOpen(card) && card.offers && card.offers.length > 0) {
    blocks.push(actions(id('offers'), card.offers.slice(0, 4).map(gateButton)));
  }
  const ring = isOpen(card) ? ringing(options.mentions ?? []) : '';
  if (ring !== '') blocks.push(trusted(id('mentions'), `${ring} please decide`));
  return blocks;
}

const shortDigest = (card: Card) => `${card.digest.slice(0, 12)}…`;

function requester(card: Card, room: Room, id: (part: string) => string): types.KnownBlock {
  const { name, kind, sponsor, slack, purpose } = card.requester;
  const row = [words('Asked by '), words(oneLine(name, Math.min(room.line, 200)), { bold: true }), words(` (${kind})`)];
  if (slack) row.push(words(' '), person(slack));
  if (sponsor) row.push(words(', answered for by '), person(sponsor));
  else if (kind === 'agent') row.push(words(', nobody answers for it'));
  const rows = [row];
  if (purpose) rows.push([words('Purpose: '), words(oneLine(purpose, room.line))]);
  if (card.risks.length > 0) {
    rows.push([
      words('Risk: '),
      words(cut(card.risks.map((risk) => oneLine(risk, 120)).join(' · '), room.line), { bold: true }),
    ]);
  }
  return paragraphs(id('requester'), ...rows);
}

function statement(card: Card, review: Review, room: Room, id: (part: string) => string): types.KnownBlock[] {
  const lead = review.long ? room.lead : MAX_CARD_CHARACTERS;
  const first = opening(card.statement, lead, MAX_CARD_LINES);
  const missing = first.missing > 0 ? `\n… ${first.missing.toLocaleString('en-US')} more characters: open Details` : '';
  const shown = first.missing > 0 ? visible(first.text).text : visible(card.statement).text;
  const blocks: types.KnownBlock[] = [preformatted(id('statement'), cut(shown, 2 * room.lead + 600) + missing)];
  if (card.parameters.length === 0) return blocks;
  const listed: string[] = [];
  let left = room.lead;
  for (const [index, parameter] of card.parameters.slice(0, MAX_CARD_PARAMETERS).entries()) {
    const text = oneLine(parameter, Math.max(20, left));
    left -= text.length;
    if (left < 0 && index > 0) break;
    listed.push(`$${index + 1} = ${text}`);
  }
  const more = card.parameters.length - listed.length;
  if (more > 0) listed.push(`… ${more} more: open Details`);
  blocks.push(preformatted(id('parameters'), listed.join('\n')));
  return blocks;
}

const MAX_CELL = 40; // characters: enough to recognise what flows, on a phone

/** What its client has seen of the result already. */
function preview({ after, preview }: NonNullable<Card['stopped']>, id: (part: string) => string): types.KnownBlock[] {
  const said = `Stopped after ${oneLine(after, 40)}. `;
  if (preview.length === 0) return [smallPrint(id('stopped'), `${said}No row can be shown.`)];
  const rows = preview.map((row) => row.map((value) => oneLine(value, MAX_CELL) || ' ').join(' │ '));
  return [
    smallPrint(
      id('stopped'),
      `${said}The first ${preview.length === 1 ? 'row' : `${preview.length} rows`}, as the client got them:`,
    ),
    preformatted(id('preview'), rows.join('\n')),
  ];
}

function rules(card: Card, room: Room, id: (part: string) => string, called: CardOptions['names']): types.KnownBlock {
  const rows = card.demands.slice(0, room.rules).map((demand) => {
    const { counted, quorum, approvers, requireReason } = demand;
    return [
      words(oneLine(demand.rule, 128), { bold: true }),
      words(demand.why === '' ? ': ' : `: ${sentence(oneLine(demand.why, room.line))} `),
      words(`${counted} of ${quorum} ${quorum === 1 ? 'approval' : 'approvals'}`, { bold: true }),
      words(
        ` from ${cut(approvers.map((name) => oneLine(called?.get(name) ?? name, 128)).join(', ') || 'nobody', room.names)}`,
      ),
      ...(requireReason ? [words(', reason required')] : []),
    ];
  });
  const more = card.demands.length - rows.length;
  if (more > 0) rows.push([words(`… and ${more} more ${more === 1 ? 'rule' : 'rules'}, each to be met: open Details`)]);
  return paragraphs(id('rules'), ...rows);
}

/** With an end, so that what follows does not run into it. */
const sentence = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`);

function warningsOf(card: Card, review: Review, room: Room): string[] {
  const warnings = card.warnings.slice(0, room.rules).map((warning) => oneLine(warning, Math.min(300, room.line)));
  if (review.hides.length > 0) {
    warnings.unshift(`This text hides something (${review.hides.join(', ')}). It is written out between ⟨ and ⟩.`);
  }
  if (review.needed && isOpen(card)) warnings.push('Approve works only from the last page of Details.');
  return warnings;
}

function buttons(card: Card, review: Review, id: (part: string) => string): types.KnownBlock {
  const value = buttonValue(card);
  const of = `request ${card.shortId} of ${oneLine(card.requester.name, 30)}`;
  const details = button('details', review.needed ? 'Read it in Details' : 'Details', value, {
    ...(review.needed ? { style: 'primary' as const } : {}),
    says: `Details of ${of}`,
  });
  const deny = button('deny', 'Deny', value, { style: 'danger', says: `Deny ${of}` });
  const chosen = menu(card, !review.needed);
  const more = chosen ? [chosen] : [];
  const approve = button('approve', 'Approve', value, { style: 'primary', says: `Approve ${of}` });
  // An overflow's values are the menu's own, so the block's id says which request it is about.
  return actions(
    `${id('actions')}.${value}`,
    review.needed ? [details, deny, ...more] : [approve, deny, details, ...more],
  );
}

/** The mentions that ring, from ids alone. */
function ringing(mentions: readonly string[]): string {
  return mentions
    .slice(0, 20)
    .flatMap((id) => (isGroupId(id) ? `<!subteam^${id}>` : isUserId(id) ? `<@${id}>` : []))
    .join(' ');
}

function votesOf(card: Card, room: Room) {
  const rows = card.votes
    .slice(-room.votes)
    .map((vote) => [
      words(vote.decision === 'approve' ? '✅ Approved by ' : '⛔ Denied by '),
      person(vote.user),
      words(' '),
      at(vote.at),
      ...(vote.remark ? [words(` (${oneLine(vote.remark, 200)})`)] : []),
      ...(vote.reason ? [words(`: “${oneLine(vote.reason, room.line)}”`)] : []),
    ]);
  const earlier = card.votes.length - rows.length;
  if (earlier > 0) rows.unshift([words(`${earlier} earlier ${earlier === 1 ? 'vote' : 'votes'}: open Details`)]);
  return rows;
}

function statusLine(card: Card): string {
  const { word, mark } = status(card);
  const parts = [`${mark} ${word}`];
  if (!isOpen(card)) parts.push(because(card) ?? '', ran(card) ?? '');
  return parts.filter(Boolean).join('. ');
}

const at = (epochMs: number) => moment(epochMs, LOCAL_TIME, clock(epochMs));

/** Who decided: whoever settled it, else all whose approvals stand. */
const deciders = (card: Card): string[] =>
  card.settled?.by
    ? [card.settled.by]
    : ['approved', 'released', 'done', 'unknown'].includes(card.state)
      ? card.votes.filter(({ decision }) => decision === 'approve').map(({ user }) => user)
      : [];

/** Once it is decided this comes first: what was decided, by whom, when, why, and what came of it. */
function record(card: Shown, room: Room, id: (part: string) => string): types.KnownBlock {
  const { word, mark } = status(card);
  // What came of an approval has a line of its own: nobody approved a failure.
  const decision = ['done', 'unknown'].includes(card.state) ? 'Approved' : word;
  const first = [words(`${mark} `), words(decision, { bold: true })];
  for (const [index, user] of deciders(card).slice(0, room.votes).entries())
    first.push(words(index === 0 ? ' by ' : ', '), person(oneLine(user, 64)));
  if (card.settled) first.push(words(' '), at(card.settled.at));
  const rows = [first];
  const reason = because(card);
  if (reason) rows.push([words(card.settled?.reason ? `Reason: ${cut(reason, room.line)}` : cut(reason, room.line))]);
  const result = ran(card);
  if (result) rows.push([words(cut(result, Math.max(200, room.line)), { bold: true })]);
  if (card.granted) rows.push([words(`Approved besides: ${oneLine(card.granted, 300)}`)]);
  for (const text of (card.over ?? []).slice(0, 4)) rows.push(spoken(oneLine(text, Math.max(160, room.line))));
  const evidence: types.RichTextSection['elements'] = card.auditHead
    ? [words(`Audit ${oneLine(card.auditHead, 64)}`)]
    : [];
  if (card.evidence) {
    if (evidence.length > 0) evidence.push(words(' · '));
    evidence.push({ type: 'link', url: card.evidence, text: 'See the session' });
  }
  if (evidence.length > 0) rows.push(evidence);
  return paragraphs(id('record'), ...rows);
}
