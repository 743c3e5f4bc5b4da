/** The modals: reason to deny or approve, Details in pages, and a short result. Pure. */
import type { types } from '@slack/bolt';
import { z } from 'zod';
import type { Card } from '../queue/cards.ts';
import { visible } from '../queue/review.ts';
import { blastText, historyText } from './blast.ts';
import { actions, button, heading, paragraphs, person, plain, preformatted, smallPrint, words } from './blocks.ts';
import { buttonValue, type Pressed } from './pressed.ts';
import { cut, oneLine } from './text.ts';
import { because, clock, expiryOf, hasSession, headlineWithRows, isOpen, ran, status } from './words.ts';

const REASON = 'reason'; // block and action of the reason's input
const PICK = 'pick'; // the same of the usual reasons
const MAX_REASON = 1000; // as long as a vote may carry
const PIECE_CHARACTERS = 2_500; // a block
const PAGE_CHARACTERS = 8_000; // a page: about what one reads before scrolling back
const PAGE_BLOCKS = 20;

/** What a modal remembers of where it came from: opaque, signed by Slack on the way back. */
const memorySchema = z.strictObject({
  hold: z.uuid(),
  revision: z.number().int().min(1),
  digest: z.string().regex(/^[0-9a-f]{12}$/),
  channel: z.string().max(32),
  page: z.number().int().min(1).max(10_000).optional(),
  /** Set in a reason modal: where the decision began. */
  from: z.enum(['card', 'details']).optional(),
  /** In a reason modal of an approval: for how many minutes it covers the like. */
  grant: z.number().int().min(1).max(1440).optional(),
  /** A list of many requests: what is pressed in it is about one of them. */
  list: z.literal(true).optional(),
});
export type Memory = z.infer<typeof memorySchema>;

export function parseMemory(privateMetadata: string | undefined): Memory | undefined {
  try {
    const parsed = memorySchema.safeParse(JSON.parse(privateMetadata ?? ''));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

export const remember = (memory: Memory): string => JSON.stringify(memory);
const title = (text: string): types.PlainTextElement => ({
  type: 'plain_text',
  text: cut(text || ' ', 24),
  emoji: false,
});

export type Reasoned = 'approve' | 'deny' | 'break';

/** `callback`: what its submission is called; `picks`: what one would type most often, on a phone in one touch. */
const REASONS: Readonly<
  Record<Reasoned, { callback: string; verb: string; label: string; hint: string; picks: readonly string[] }>
> = {
  approve: {
    callback: 'confirm',
    verb: 'Approve',
    label: 'Why is this all right?',
    hint: 'A rule asks for a reason, picked or typed. It is recorded.',
    picks: [
      'Reviewed, and expected',
      'Part of a planned change',
      'An incident is being handled',
      'Tried on staging before',
    ],
  },
  deny: {
    callback: 'deny',
    verb: 'Deny',
    label: 'Why not?',
    hint: 'The requester sees it, and it is recorded.',
    picks: [
      'Too broad: narrow the condition',
      'Not now: ask again in working hours',
      'Wrong environment',
      'Needs a ticket or a change request first',
      'Nobody expected this',
    ],
  },
  break: {
    callback: 'break',
    verb: 'Break the glass',
    label: 'What emergency is it?',
    hint: 'At least 10 characters. The channel is told at once, and another admin reviews it.',
    picks: [],
  },
};

/** Deny (reason optional), approve with a reason, or release alone. Stays votable: the view knows hold and revision. */
export function reasonModal(card: Card, decision: Reasoned, memory: Memory): types.ModalView {
  const { callback, verb, label, hint, picks } = REASONS[decision];
  return {
    type: 'modal',
    callback_id: callback,
    private_metadata: remember(memory),
    title: title(`${decision === 'break' ? 'Alone:' : verb} ${card.shortId}`),
    submit: title(verb),
    close: title('Back'),
    blocks: [
      plain('what', headlineWithRows(card)),
      paragraphs('who', [words('Asked by '), words(oneLine(card.requester.name, 200), { bold: true })]),
      ...(picks.length > 0 ? [quickPicks(picks)] : []),
      {
        type: 'input',
        block_id: REASON,
        optional: decision !== 'break',
        label: { type: 'plain_text', text: label, emoji: false },
        hint: { type: 'plain_text', text: hint, emoji: false },
        element: { type: 'plain_text_input', action_id: REASON, multiline: true, max_length: MAX_REASON },
      },
    ],
  };
}

const quickPicks = (picks: readonly string[]): types.InputBlock => ({
  type: 'input',
  block_id: PICK,
  optional: true,
  label: { type: 'plain_text', text: 'Quick pick', emoji: false },
  element: {
    type: 'static_select',
    action_id: PICK,
    placeholder: { type: 'plain_text', text: 'A usual reason', emoji: false },
    options: picks.map((text) => ({ text: { type: 'plain_text', text, emoji: false }, value: text })),
  },
});

const typedSchema = z.object({ [REASON]: z.object({ [REASON]: z.object({ value: z.string().max(3000).nullish() }) }) });
const PICKS: ReadonlySet<string> = new Set(Object.values(REASONS).flatMap(({ picks }) => picks));
const pickedSchema = z.object({
  [PICK]: z.object({ [PICK]: z.object({ selected_option: z.object({ value: z.string().max(150) }).nullish() }) }),
});

/** The reason picked, typed, or both; undefined when there is none. Bounded here too; nobody can pick what is not offered. */
export function reasonIn(values: unknown): string | undefined {
  const text = typedSchema.safeParse(values);
  const typed = (text.success ? text.data[REASON]?.[REASON]?.value?.trim() : undefined) || undefined;
  const choice = pickedSchema.safeParse(values);
  const value = choice.success ? choice.data[PICK]?.[PICK]?.selected_option?.value : undefined;
  const picked = value !== undefined && PICKS.has(value) ? value : undefined;
  const reason = picked && typed ? `${picked}. ${typed}` : (picked ?? typed);
  return reason ? cut(reason, MAX_REASON) : undefined;
}

/** How many pages Details of this card has. */
export const pageCount = (card: Card): number => pagesOf(card).length;

/** One page of Details (1-based). Approve and Deny stand on the last one, after all that is approved has been shown. */
export function detailsModal(card: Card, page: number, channel: string, notice?: string): types.ModalView {
  const pages = pagesOf(card);
  const at = Math.min(Math.max(1, page), pages.length);
  const last = at === pages.length;
  const value = buttonValue(card);
  const memory: Memory = { ...pressedOf(card), channel, page: at };
  const blocks: types.KnownBlock[] = [
    plain('headline', headlineWithRows(card)),
    smallPrint('page', `Page ${at} of ${pages.length} · request ${card.shortId} · revision ${card.revision}`),
    ...(notice ? [plain('notice', notice)] : []),
    ...(pages[at - 1] ?? []),
  ];
  const buttons: types.Button[] = [];
  if (at > 1) buttons.push(button('prev', 'Previous page', value, { says: `Page ${at - 1} of ${pages.length}` }));
  if (!last)
    buttons.push(button('next', 'Next page', value, { style: 'primary', says: `Page ${at + 1} of ${pages.length}` }));
  if (last && isOpen(card)) {
    buttons.push(
      button('approve', 'Approve', value, { style: 'primary', says: `Approve request ${card.shortId}` }),
      button('deny', 'Deny', value, { style: 'danger', says: `Deny request ${card.shortId}` }),
    );
    if (card.breakGlass)
      buttons.push(button('glass', 'Break the glass…', value, { says: `Release request ${card.shortId} alone` }));
  }
  if (buttons.length > 0) blocks.push(actions('turn', buttons));
  return {
    type: 'modal',
    callback_id: 'details',
    private_metadata: remember(memory),
    title: title(`Details of ${card.shortId}`),
    close: title('Close'),
    blocks,
  };
}

/** A modal that only says something: the result of a vote, or why there is nothing to show. */
export function noteModal(heading_: string, text: string): types.ModalView {
  return {
    type: 'modal',
    callback_id: 'note',
    title: title(heading_),
    close: title('Close'),
    blocks: [plain('note', visible(text).text)],
  };
}

const pressedOf = (card: Card): Pressed => ({
  hold: card.hold,
  revision: card.revision,
  digest: card.digest.slice(0, 12),
});

/** Everything that is approved, whole and visibly escaped, then everything else that is known; cut into pages. */
function pagesOf(card: Card): types.KnownBlock[][] {
  const pages: types.KnownBlock[][] = [];
  let page: types.KnownBlock[] = [];
  let characters = 0;
  const put = (block: types.KnownBlock, size: number) => {
    if (page.length > 0 && (characters + size > PAGE_CHARACTERS || page.length >= PAGE_BLOCKS)) {
      pages.push(page);
      page = [];
      characters = 0;
    }
    page.push(block);
    characters += size;
  };
  let number = 0;
  const section = (name: string, text: string) => {
    put(heading(`h${number++}`, name), 150);
    for (const piece of pieces(text)) put(preformatted(`p${number++}`, piece), piece.length);
  };
  section('Statement', visible(card.statement).text);
  if (card.parameters.length > 0) {
    const listed = card.parameters.map((parameter, index) => `$${index + 1} = ${visible(parameter).text}`);
    section(`Parameters (${card.parameters.length})`, listed.join('\n'));
  }
  section('Request', facts(card));
  const blast = blastText(card);
  if (blast) section('What it would touch', blast);
  put(heading(`h${number++}`, 'Rules, each to be met'), 150);
  for (const row of rules(card)) put(paragraphs(`r${number++}`, row), JSON.stringify(row).length / 2);
  if (card.votes.length > 0) {
    put(heading(`h${number++}`, 'Votes'), 150);
    for (const vote of card.votes) {
      const row = [
        words(vote.decision === 'approve' ? 'Approved by ' : 'Denied by '),
        person(vote.user),
        words(` at ${clock(vote.at)}${vote.remark ? ` (${oneLine(vote.remark, 200)})` : ''}`),
        ...(vote.reason ? [words(`: “${oneLine(vote.reason, MAX_REASON)}”`)] : []),
      ];
      put(paragraphs(`v${number++}`, row), 300 + (vote.reason?.length ?? 0));
    }
  }
  const history = historyText(card);
  if (history) section('What it did here before', history);
  pages.push(page);
  return pages;
}

/** At most `PIECE_CHARACTERS` each, cut at a line's end where there is one near, never inside a character. */
function pieces(text: string): string[] {
  const found: string[] = [];
  for (let from = 0; from < text.length; ) {
    let to = Math.min(text.length, from + PIECE_CHARACTERS);
    if (to < text.length) {
      const line = text.lastIndexOf('\n', to);
      if (line > from + PIECE_CHARACTERS / 2) to = line + 1;
      else if (/[\ud800-\udbff]/.test(text[to - 1] ?? '')) to -= 1;
    }
    found.push(text.slice(from, to));
    from = to;
  }
  return found.length > 0 ? found : [''];
}

function facts(card: Card): string {
  const { requester } = card;
  const rows = [
    `State: ${status(card).word}`,
    because(card) && `Why: ${because(card)}`,
    ran(card) && `Outcome: ${ran(card)}`,
    `Requester: ${oneLine(requester.name, 200)} (${requester.kind})`,
    `Subject: ${oneLine(requester.subject, 400)}`,
    `Issuer: ${oneLine(requester.issuer, 400)}`,
    requester.purpose && `Purpose: ${oneLine(requester.purpose, 500)}`,
    `Connection: ${oneLine(card.connection, 64)} (${oneLine(card.protocol, 16)}, ${oneLine(card.environment, 64)})`,
    ...card.risks.map((risk) => `Risk: ${oneLine(risk, 120)}`),
    ...card.warnings.map((warning) => `Warning: ${oneLine(warning, 300)}`),
    hasSession(card) && `Estimate: ${card.estimate ? oneLine(card.estimate, 300) : 'not available'}`,
    `Opened: ${new Date(card.openedAt).toISOString()}`,
    `Expires: ${new Date(card.expiresAt).toISOString()}${expiryOf(card)}`,
    `Digest: ${card.digest}`,
    `Hold: ${card.hold}`,
    card.auditHead && `Audit: ${oneLine(card.auditHead, 64)}`,
  ];
  return rows.filter(Boolean).join('\n');
}

/** As many of a rule's approvers as one block takes. */
const APPROVERS_AT_ONCE = 15;

/** What each rule says, and whom it asks: people by their names, which rings nobody in a window. */
function rules({ demands }: Card): Parameters<typeof paragraphs>[1][] {
  return demands.flatMap(({ rule, why, counted, quorum, requireReason, approvers }) => {
    const head = [
      words(oneLine(rule, 128), { bold: true }),
      words(`: ${oneLine(why, 500)}\n`),
      words(
        `${counted} of ${quorum}${quorum === 1 ? ' approval' : ' approvals'}${requireReason ? ', reason required' : ''}, from `,
      ),
    ];
    if (approvers.length === 0) return [[...head, words('nobody')]];
    const parts = Array.from({ length: Math.ceil(approvers.length / APPROVERS_AT_ONCE) }, (_, part) =>
      approvers
        .slice(part * APPROVERS_AT_ONCE, (part + 1) * APPROVERS_AT_ONCE)
        .flatMap((name, at) => [words(part + at === 0 ? '' : at === 0 ? '… and ' : ', '), person(oneLine(name, 128))]),
    );
    return parts.map((part, at) => (at === 0 ? [...head, ...part.slice(1)] : part));
  });
}
