/** Block Kit in small typed pieces, each within Slack's limits by construction. Knows no cards. */
import type { types } from '@slack/bolt';
import { cut } from './text.ts';

/** Slack user and group ids, as they may stand in a mention; anything else is shown as text. */
export const isUserId = (text: string): boolean => /^[UW][A-Z0-9]{2,30}$/.test(text);
export const isGroupId = (text: string): boolean => /^S[A-Z0-9]{2,30}$/.test(text);

type Element = types.RichTextSection['elements'][number];

/** Text that is never parsed: no emphasis, no links, no emoji, no mentions. Slack refuses empty ones. */
export const words = (text: string, style?: { bold?: boolean; italic?: boolean; code?: boolean }): Element => ({
  type: 'text',
  text: text === '' ? ' ' : text,
  ...(style ? { style } : {}),
});

/** A person, shown by their name; in an edit it rings nobody. */
export const person = (id: string): Element => (isUserId(id) ? { type: 'user', user_id: id } : words(id));

/** `2026-11-23 14:02:11 UTC`, as gateways say when something was */
const MOMENT = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC`;

/**
 * Plain text, but for these Slack ids and for moments: where an id stands alone, it is shown as that person, and where a
 * day and a time do, they are shown as they are in the reader's own time zone.
 */
export function spoken(text: string, people: readonly string[] = [], style?: { bold?: boolean }): Element[] {
  const own = new RegExp(`(?<!\\w)(${[...people.filter(isUserId), MOMENT].join('|')})(?!\\w)`);
  const parts = text.split(own); // what is in brackets stays, at odd places
  const all = parts.flatMap((part, at) => {
    if (part === '') return [];
    if (at % 2 === 0) return words(part, style);
    const time = Date.parse(part.replace(' UTC', 'Z').replace(' ', 'T'));
    return isUserId(part) ? person(part) : Number.isNaN(time) ? words(part, style) : moment(time, LOCAL_TIME, part);
  });
  return all.length > 0 ? all : [words(text, style)];
}

/** In the reader's own habit. */
export const LOCAL_TIME = '{date_short_pretty} at {time}';

/** A moment in the reader's own time zone; `said` where Slack cannot show it. */
export const moment = (epochMs: number, format: string, said: string): Element => ({
  type: 'date',
  timestamp: Math.floor(epochMs / 1000),
  format,
  fallback: said,
});

/** One paragraph a line. */
export const paragraphs = (block_id: string, ...rows: Element[][]): types.RichTextBlock => ({
  type: 'rich_text',
  block_id,
  elements: rows.map((elements, index) => ({
    type: 'rich_text_section',
    elements: index < rows.length - 1 ? [...elements, words('\n')] : elements,
  })),
});

/** Code, shown byte for byte as given: nothing in it is markup and no fence can be closed. */
export const preformatted = (block_id: string, text: string): types.RichTextBlock => ({
  type: 'rich_text',
  block_id,
  elements: [{ type: 'rich_text_preformatted', elements: [{ type: 'text', text: text === '' ? ' ' : text }] }],
});

export const heading = (block_id: string, text: string): types.HeaderBlock => ({
  type: 'header',
  block_id,
  text: { type: 'plain_text', text: cut(text || ' ', 150), emoji: false },
});

export const plain = (block_id: string, text: string): types.SectionBlock => ({
  type: 'section',
  block_id,
  text: { type: 'plain_text', text: cut(text || ' ', 3000), emoji: false },
});

/** Only for text of our own making (ids, numbers, fixed words): it is parsed. */
export const trusted = (block_id: string, text: string): types.SectionBlock => ({
  type: 'section',
  block_id,
  text: { type: 'mrkdwn', text, verbatim: true },
});

/** Small print; `parsed` only for text of our own making. */
export const smallPrint = (block_id: string, ...texts: (string | { parsed: string })[]): types.ContextBlock => ({
  type: 'context',
  block_id,
  elements: texts
    .slice(0, 10)
    .map((text) =>
      typeof text === 'string'
        ? { type: 'plain_text', text: cut(text || ' ', 1000), emoji: false }
        : { type: 'mrkdwn', text: text.parsed, verbatim: true },
    ),
});

export const button = (
  action_id: string,
  label: string,
  value: string,
  options: { style?: 'primary' | 'danger'; says?: string } = {},
): types.Button => ({
  type: 'button',
  action_id,
  text: { type: 'plain_text', text: cut(label, 30), emoji: false },
  value,
  ...(options.style ? { style: options.style } : {}),
  ...(options.says ? { accessibility_label: cut(options.says, 75) } : {}),
});

export const actions = (block_id: string, elements: types.ActionsBlock['elements']): types.ActionsBlock => ({
  type: 'actions',
  block_id,
  elements,
});

/** Characters of the whole, as Slack would receive it. */
export const sizeOf = (blocks: readonly types.KnownBlock[]): number => JSON.stringify(blocks).length;
