/** Hostile text on its way to a reader: what hides is found and made visible; what could be markup is not. Pure. */

/** Statements up to here can be read whole on the card; above, Approve works only from the last page of Details. */
export const MAX_CARD_CHARACTERS = 600;
export const MAX_CARD_LINES = 12;
/** Parameters shown on the card itself, all together. */
export const MAX_CARD_PARAMETERS = 12;
/** This much white space in a row pushes text out of sight. */
const LONG_SPACE = 40;

export type Hiding =
  | 'bidirectional controls'
  | 'invisible characters'
  | 'control characters'
  | 'look-alike letters'
  | 'unusual spaces'
  | 'stacked marks'
  | 'long white space';

const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
/** Everything that is drawn as nothing: format characters, fillers, selectors, unassigned, private, lone surrogates. */
const INVISIBLE =
  /\p{Cf}|\p{Cn}|\p{Co}|\p{Cs}|\u034f|[\u115f\u1160]|[\u17b4\u17b5]|[\u180b-\u180f]|\u2800|\u3164|\uffa0|\p{Variation_Selector}/u;
const CONTROL = /[\p{Cc}\u2028\u2029]/u; // line feed and tab are let through before
const ODD_SPACE = /\p{Zs}/u; // asked only about what is not ASCII
const MARK = /\p{M}/u;
/** Latin letters that only pass for others: dotless i and j, IPA, phonetic extensions. */
const ODD_LATIN = /[\u0131\u0237\u0250-\u02af\u1d00-\u1dbf]/u;
const WORD = /[\p{L}\p{M}\p{N}_$]/u;
const LATIN = /\p{Script=Latin}/u;
/** Scripts whose letters can be mistaken for Latin ones. */
const CONFUSABLE =
  /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}\p{Script=Coptic}\p{Script=Lisu}\p{Script=Georgian}]/u;
/** Scripts nobody writes SQL in, all of whose letters pass for Latin ones. */
const RARE =
  /[\p{Script=Cherokee}\p{Script=Coptic}\p{Script=Lisu}\p{Script=Glagolitic}\p{Script=Deseret}\p{Script=Osage}]/u;
/** Cyrillic, Greek and Armenian letters drawn like Latin ones: a word of nothing else is a disguise. */
const LOOKALIKES = new Set('АВЕЅІЈКМНОРСТУХҮԌԜԚаеѕіјорсухүһԁԛԝԍӏ' + 'ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονυρικτχ' + 'ՕՍՏօսոցհզք');

const named = (character: string): string =>
  `⟨U+${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}⟩`;

function hidingOf(character: string): Hiding | undefined {
  if (character >= ' ' && character <= '~') return undefined;
  if (character === '\n' || character === '\t') return undefined;
  if (BIDI.test(character)) return 'bidirectional controls';
  if (CONTROL.test(character)) return 'control characters';
  if (INVISIBLE.test(character)) return 'invisible characters';
  if (ODD_SPACE.test(character)) return 'unusual spaces';
  if (RARE.test(character) || ODD_LATIN.test(character)) return 'look-alike letters';
  // Full-width, mathematical and other compatibility forms that fold to one ASCII character or to ASCII letters.
  if (/^(?:[\x21-\x7e]|[A-Za-z]+)$/.test(character.normalize('NFKC'))) return 'look-alike letters';
  if (character === '⟨' || character === '⟩') return 'look-alike letters'; // would imitate our own escapes
  return undefined;
}

/** Is this word, taken whole, a disguise: two scripts in one word, or nothing but look-alikes? */
function disguised(word: string): boolean {
  let latin = false;
  let confusable = false;
  let onlyLookalikes = true;
  for (const character of word) {
    if (LATIN.test(character)) latin = true;
    else if (CONFUSABLE.test(character)) {
      confusable = true;
      if (!LOOKALIKES.has(character)) onlyLookalikes = false;
    } else if (!/[\p{N}_$]/u.test(character)) onlyLookalikes = false;
  }
  return confusable && (latin || onlyLookalikes);
}

export type Visible = { readonly text: string; readonly hides: readonly Hiding[] };

/**
 * The text with everything that hides written out (`⟨U+202E⟩`, `⟨4,980 white-space characters⟩`); unchanged, with an
 * empty `hides`, when nothing does. Linear in the length; line breaks and tabs stay.
 */
export function visible(raw: string): Visible {
  const hides = new Set<Hiding>();
  const out: string[] = [];
  let word: string[] = [];
  let spaces: string[] = [];
  let marks = 0;
  const endWord = () => {
    if (word.length === 0) return;
    if (disguised(word.join(''))) {
      hides.add('look-alike letters');
      word = word.map((character) => (character > '~' ? named(character) : character));
    }
    for (const character of word) out.push(character);
    word = [];
  };
  const endSpaces = () => {
    if (spaces.length >= LONG_SPACE) {
      hides.add('long white space');
      out.push(`⟨${spaces.length.toLocaleString('en-US')} white-space characters⟩`);
    } else for (const character of spaces) out.push(character);
    spaces = [];
  };
  for (const character of raw) {
    if (character === ' ' || character === '\n' || character === '\t') {
      endWord();
      marks = 0;
      spaces.push(character);
      continue;
    }
    endSpaces();
    marks = MARK.test(character) ? marks + 1 : 0;
    const hiding = marks > 2 ? 'stacked marks' : hidingOf(character);
    if (hiding) {
      hides.add(hiding);
      endWord();
      out.push(named(character));
    } else if (WORD.test(character)) word.push(character);
    else {
      endWord();
      out.push(character);
    }
  }
  endWord();
  endSpaces();
  return { text: out.join(''), hides: [...hides] };
}

/** One line of plain text: what hides is written out, line breaks and runs of space become one space, cut to `max`. */
export function oneLine(raw: string, max: number): string {
  return cut(visible(raw.replace(/\s+/g, ' ').trim()).text, max);
}

/** At most `max` UTF-16 units, never splitting a character, with an ellipsis where something is missing. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  let end = Math.max(0, max - 1);
  const last = text.charCodeAt(end - 1);
  if (last >= 0xd800 && last <= 0xdbff) end -= 1;
  return `${text.slice(0, end)}…`;
}

/** Slack's three escapes, once. The raw text is cut until the escaped form fits, so that no entity is split. */
export function escaped(raw: string, max: number): string {
  const entities = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  let limit = max;
  let result = entities(cut(raw, limit));
  while (result.length > max) {
    limit -= Math.max(1, Math.ceil((result.length - max) / 5));
    result = entities(cut(raw, limit));
  }
  return result;
}

/**
 * For the notification text, which is mrkdwn whether we like it or not: one line, escaped, and without what would still
 * be markup after escaping (emphasis, code, `:emoji:`).
 */
export function notification(raw: string, max: number): string {
  return escaped(
    oneLine(raw, max)
      .replace(/[*`~]/g, ' ')
      .replace(/:(?=\S)/g, ': ')
      .replace(/(^|\s)_+|_+(?=\s|$)/g, '$1'),
    max,
  );
}

/** A short reply to one person: sentences of ours and the gateway's, shown as they are, never as markup. */
export function reply(raw: string): string {
  return escaped(visible(raw).text, 3000);
}

/** Whether a reader of the card alone would miss something, and what. */
export type Review = {
  readonly needed: boolean;
  readonly hides: readonly Hiding[];
  readonly long: boolean;
};

export function reviewOf(card: { statement: string; parameters: readonly string[] }): Review {
  const statement = visible(card.statement);
  const hides = new Set(statement.hides);
  for (const parameter of card.parameters) for (const hiding of visible(parameter).hides) hides.add(hiding);
  const long =
    card.statement.length > MAX_CARD_CHARACTERS ||
    lines(card.statement) > MAX_CARD_LINES ||
    card.parameters.length > MAX_CARD_PARAMETERS ||
    card.parameters.reduce((sum, parameter) => sum + parameter.length, 0) > MAX_CARD_CHARACTERS ||
    card.parameters.reduce((sum, parameter) => sum + lines(parameter), 0) > MAX_CARD_PARAMETERS;
  return { needed: long || hides.size > 0, hides: [...hides], long };
}

export const lines = (text: string): number => {
  let count = 1;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
};

/** The first `maxLines` lines and `maxCharacters` of it, and how much is missing. */
export function opening(text: string, maxCharacters: number, maxLines: number): { text: string; missing: number } {
  let end = Math.min(text.length, maxCharacters);
  for (let at = -1, line = 0; ; line++) {
    at = text.indexOf('\n', at + 1);
    if (at === -1 || at >= end) break;
    if (line + 1 >= maxLines) {
      end = at;
      break;
    }
  }
  const last = text.charCodeAt(end - 1);
  if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1;
  return { text: text.slice(0, end), missing: text.length - end };
}
