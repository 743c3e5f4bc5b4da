/** Answers as Slack shows them: pure sections → messages, each within Slack's limits whatever they hold. */
import type { types } from '@slack/bolt';
import type { Section } from '../queue/asks.ts';
import { visible } from '../queue/review.ts';
import { actions, paragraphs, preformatted, sizeOf, smallPrint, spoken, words } from './blocks.ts';
import type { View } from './cards.ts';
import { gateButton } from './gate-button.ts';
import { TOPICS } from './gate-help.ts';
import type { Merged } from './gate-merge.ts';
import { cut, notification, oneLine } from './text.ts';

const MESSAGE_BLOCKS = 45; // Slack takes 50
const MESSAGE_SIZE = 10_000; // Slack refuses somewhere above 13,000 characters without saying where
const MOST_MESSAGES = 4; // a response URL takes five, and one is kept for trouble
const SECTION_SIZE = 6_000;
const CODE_CHARACTERS = 2_800;
/** The messages of one answer, in order; `said` is what was understood. */
export function answerViews(said: string | undefined, { text, sections }: Merged): View[] {
  const head: types.KnownBlock[] = said === undefined ? [] : [smallPrint('said', `/gate ${oneLine(said, 900)}`)];
  if (text !== '') head.push(paragraphs('text', ...linesOf(text.split('\n'))));
  const parts = [head, ...sections.map(sectionBlocks)].filter((blocks) => blocks.length > 0);
  if (parts.length === 0) parts.push([paragraphs('text', [words('There is nothing to say.')])]);
  const pages = paged(parts);
  const shown = pages.slice(0, MOST_MESSAGES);
  const left = pages.slice(MOST_MESSAGES).flat().length;
  const summary = notification(sentence([text, ...sections.map(titleOf)].filter(Boolean).join(' · ')), 2_900);
  return shown.map((page, at) => {
    const blocks = page.flat().map((block, index) => ({ ...block, block_id: `${at}.${index}` }));
    if (left > 0 && at === shown.length - 1) blocks.push(smallPrint('more', `… and ${left} more.`) as never);
    return { text: summary || 'Nothing to say.', blocks };
  });
}

/** Read aloud, a title alone would run into what comes next. */
const sentence = (text: string): string => (text === '' || /[.!?…]$/.test(text) ? text : `${text}.`);

const titleOf = ({ title, lines }: Section): string => title ?? lines[0] ?? '';

/** As few messages as they fit into, no part torn apart. */
function paged(parts: readonly types.KnownBlock[][]): types.KnownBlock[][][] {
  const pages: types.KnownBlock[][][] = [];
  let blocks = Infinity;
  let size = Infinity;
  for (const part of parts) {
    blocks += part.length;
    size += sizeOf(part);
    if (blocks > MESSAGE_BLOCKS || size > MESSAGE_SIZE) {
      pages.push([]);
      blocks = part.length;
      size = sizeOf(part);
    }
    pages.at(-1)?.push(part);
  }
  return pages;
}

/** As much of it as fits into a message of its own: rather without its buttons than not at all. */
function sectionBlocks(section: Section): types.KnownBlock[] {
  const { buttons, code, ...rest } = section;
  const whole = [section, { ...rest, code: code && cut(code, 500), buttons }, { ...rest, code }, rest];
  return whole.map(blocksOf).find((blocks) => sizeOf(blocks) <= MESSAGE_SIZE) ?? [];
}

function blocksOf({ title, lines, people, code, link, buttons }: Section): types.KnownBlock[] {
  const rows = linesOf(lines, people);
  if (title !== undefined) rows.unshift([words(oneLine(title, 150), { bold: true })]);
  if (link !== undefined && /^https?:\/\/[^\s<>|]+$/.test(link)) {
    rows.push([{ type: 'link', url: link, text: 'Open its card' }]);
  }
  const blocks: types.KnownBlock[] = rows.length > 0 ? [paragraphs('section', ...rows)] : [];
  if (code !== undefined) blocks.push(preformatted('code', cut(visible(code).text, CODE_CHARACTERS)));
  if (buttons && buttons.length > 0) blocks.push(actions('buttons', buttons.slice(0, 5).map(gateButton)));
  return blocks;
}

/** Lines until there is no more room; then how many are missing. */
function linesOf(lines: readonly string[], people?: readonly string[]) {
  let left = SECTION_SIZE;
  const rows: Parameters<typeof paragraphs>[1][] = [];
  for (const [at, line] of lines.entries()) {
    const shown = spoken(oneLine(line, 500), people);
    left -= JSON.stringify(shown).length + 65; // what it takes as a block of its own
    if (left < 0 && at > 0) {
      rows.push([words(`… and ${lines.length - at} more lines`)]);
      break;
    }
    rows.push(shown);
  }
  return rows;
}

/** All topics, or one of them. */
export function helpAnswer(topic: string | undefined): Merged {
  const one = topic === undefined ? undefined : TOPICS[topic];
  if (!one) {
    const lines = Object.values(TOPICS).map(({ usage, about }) => `/gate ${usage}: ${about}`);
    return { text: 'What the gateways can be asked from here.', sections: [{ lines }] };
  }
  const { usage, about, examples = [], more = [] } = one;
  return {
    text: about,
    sections: [
      { title: `/gate ${usage}`, lines: [...more] },
      ...(examples.length > 0 ? [{ lines: [], code: examples.map((line) => `/gate ${line}`).join('\n') }] : []),
    ],
  };
}

/** What was not understood, and what would be. */
export function wrongAnswer(text: string, topic: string | undefined): Merged {
  if (topic === undefined) return { text, sections: helpAnswer(undefined).sections };
  return { text, sections: helpAnswer(topic).sections };
}
