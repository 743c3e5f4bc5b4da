/** What an operation would touch, and what its requester did before: the gateway's sentences, laid out. Pure. */
import type { types } from '@slack/bolt';
import type { Card } from '../queue/cards.ts';
import { paragraphs, words } from './blocks.ts';
import { oneLine } from './text.ts';
import { clock, isOpen } from './words.ts';

const ON_CARD = 5; // lines; the rest is in Details
const MAX_LINE = 300;

/** Below the buttons, like everything that comes later: at most five lines, the first of each kind of news. */
export function blastLines(card: Card, most: number, id: (part: string) => string): types.KnownBlock[] {
  const all = card.blast ?? [];
  const shown = all.slice(0, Math.min(ON_CARD, most)).map((line) => said(card, line));
  if (shown.length === 0) return [];
  const more = all.length - shown.length;
  if (more > 0) shown[shown.length - 1] += ` (${more} more in Details)`;
  return [paragraphs(id('blast'), ...shown.map((line) => [words(line)]))];
}

/** All of it, for Details; undefined where nothing is known. */
export const blastText = (card: Card): string | undefined =>
  card.blast && card.blast.length > 0 ? card.blast.map((line) => said(card, line)).join('\n') : undefined;

/** Newest first, one a line; undefined where this is the first thing it asks for. */
export const historyText = (card: Card): string | undefined =>
  card.history && card.history.length > 0
    ? card.history
        .map(({ at, headline, verdict, outcome }) => {
          const came = outcome ? `, ${oneLine(outcome, 120)}` : '';
          return `${day(at)} ${clock(at)}  ${oneLine(verdict, 20)}${came}: ${oneLine(headline, 200)}`;
        })
        .join('\n')
    : undefined;

/** What the gateway's sentences begin with, and how that is said once it is over: foreseen, whether or not it was run. */
const FORESEEN: Readonly<Record<string, string>> = {
  touches: 'touch',
  deletes: 'delete',
  empties: 'empty',
  clears: 'clear',
  updates: 'update',
  fires: 'fire',
  drops: 'drop',
  fails: 'fail',
  locks: 'lock',
};

/** A line of it as a sentence: of now while it is open, of then on the record. */
function said(card: Card, line: string): string {
  // How large a table is says nothing of how many of its rows are meant.
  const text = oneLine(line.replace(/ \((?=about [\d,]+ rows?, )/g, ' (it has '), MAX_LINE);
  return sentence(isOpen(card) ? text : past(text));
}

function past(text: string): string {
  const [, verb = '', rest = ''] = /^([a-z]+)\b(.*)$/s.exec(text) ?? [];
  const foreseen = Object.hasOwn(FORESEEN, verb) ? `would ${FORESEEN[verb]}${rest}` : text;
  return foreseen
    .replace(/^(would lock .*) until its transaction ends: .*$/s, '$1 until its transaction ended')
    .replace(/^its transaction has been open/, 'its transaction had been open')
    .replace(/; nobody waits for it$/, '; nobody waited for it')
    .replace(/; (\d+ other sessions?) waits? for it$/, '; $1 waited for it')
    .replace(/^its transaction holds\b/, 'its transaction held');
}

const day = (epochMs: number): string => new Date(epochMs).toISOString().slice(0, 10);
/** A name keeps its letters as they are: another case is another table. */
const sentence = (text: string): string =>
  /^\S*[."]/.test(text) ? text : `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
