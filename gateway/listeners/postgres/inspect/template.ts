/**
 * SELECTs that differ in nothing but whole numbers compared with a name (`WHERE id = 17`) do the same: one parse serves
 * them all. Far stricter than the grammar: a text that is not plainly of that kind has no template.
 */
import type { StatementFacts } from '../types.ts';

export type Templated = {
  /** The text with those numbers left out; no SQL text looks like it. */
  readonly template: string;
  /** The statement alone, as facts give it. */
  readonly own: string;
};

const MAX_LENGTH = 1_024; // characters; longer texts are seldom written by a loop
const MAX_DIGITS = 9; // an int4, whatever the digits

const WORD = 1; // letters and _
const DIGIT = 2;
const SPACE = 3;
const OPERATOR = 4; // = < > *: two of them side by side are another operator
const OTHER = 5; // . , ( )
const END = 6; // ;
/** Class of each ASCII character; 0: quotes, comments, casts, anything that could change how the rest is read. */
const CLASSES = new Uint8Array(128);
for (const [characters, kind] of [
  ['abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_', WORD],
  ['0123456789', DIGIT],
  [' \t\r\n', SPACE],
  ['=<>*', OPERATOR],
  ['.,()', OTHER],
  [';', END],
] as const) {
  for (const character of characters) CLASSES[character.charCodeAt(0)] = kind;
}
const EQUALS = '='.charCodeAt(0);
const DOT = '.'.charCodeAt(0);

/** What was read last, blanks aside: a name, a lone `=` behind a name, or anything else. */
type Before = 'name' | 'equals' | 'other';

/** Undefined where the text is not plainly a single SELECT with such a number in it. */
export function templated(text: string): Templated | undefined {
  const { length } = text;
  if (length > MAX_LENGTH || length < 8 || text.slice(0, 6).toLowerCase() !== 'select') return undefined;
  const classAt = (at: number): number => (at < length ? (CLASSES[text.charCodeAt(at)] ?? 0) : SPACE);
  if (classAt(6) !== SPACE) return undefined;
  let template = '';
  let copied = 0;
  let end = length;
  let before = 'other' as Before;
  for (let at = 6; at < length; ) {
    const from = at;
    switch (classAt(at)) {
      case SPACE:
        at++;
        continue;
      case WORD:
        while (classAt(at) === WORD || (classAt(at) === DIGIT && at < length)) at++;
        before = 'name';
        continue;
      case DIGIT: {
        while (at < length && classAt(at) === DIGIT) at++;
        const alone = classAt(at) !== WORD && text.charCodeAt(at) !== DOT && text.charCodeAt(from - 1) !== DOT;
        if (before === 'equals' && alone && at - from <= MAX_DIGITS) {
          template += `${text.slice(copied, from)}#`;
          copied = at;
        }
        before = 'other';
        continue;
      }
      case OPERATOR: {
        at++;
        const lone = classAt(from - 1) !== OPERATOR && classAt(at) !== OPERATOR;
        before = lone && before === 'name' && text.charCodeAt(from) === EQUALS ? 'equals' : 'other';
        continue;
      }
      case OTHER:
        at++;
        before = 'other';
        continue;
      case END:
        end = from;
        for (at++; at < length; at++) if (classAt(at) !== SPACE) return undefined;
        continue;
      default:
        return undefined;
    }
  }
  if (copied === 0) return undefined;
  return { template: template + text.slice(copied, end), own: text.slice(0, end).trim() };
}

/**
 * Whether what a text does, looked at by itself, may speak for every other text of its template. Not where it says
 * whether a condition limits it (`FOR UPDATE`): that is the one thing a number could decide.
 */
export const speaksForAll = ([facts, ...more]: readonly StatementFacts[]): boolean =>
  facts !== undefined &&
  more.length === 0 &&
  facts.shown === facts.text &&
  facts.session.kind === 'none' &&
  facts.effects.every(({ where }) => where === undefined);

/**
 * What a text does, by what another of the same template does. Undefined where the detectors find something in it:
 * then only a look of its own tells what people may be shown.
 */
export function alike(
  { own }: Templated,
  [facts]: readonly StatementFacts[],
  mask: (text: string) => string,
): readonly StatementFacts[] | undefined {
  if (!facts || mask(own) !== own) return undefined;
  const { effects, headline, risks, session, parameters } = facts;
  // Member by member: one is made for every text of the template. A SELECT has no COPY.
  const same = { text: own, shown: own, effects, headline, risks, session, parameters, like: facts };
  const { guarded, lock, targets } = facts;
  if (!guarded && !lock && !targets) return [same];
  return [{ ...same, ...(guarded && { guarded }), ...(lock && { lock }), ...(targets && { targets }) }];
}
