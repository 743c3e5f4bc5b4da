/** What a reader of a card could overlook: found, written out, and the rule when a card alone is not enough. Pure. */

/** Statements up to here can be read whole on the card; above, Approve works only from the last page of Details. */
export const MAX_CARD_CHARACTERS = 600;
export const MAX_CARD_LINES = 12;
/** Parameters shown on the card itself, all together. */
export const MAX_CARD_PARAMETERS = 12;
/** This much white space in a row pushes text out of sight. */
const LONG_SPACE = 40;

type Hiding =
  | 'bidirectional controls'
  | 'invisible characters'
  | 'control characters'
  | 'look-alike letters'
  | 'unusual spaces'
  | 'right-to-left letters'
  | 'stacked marks'
  | 'long white space';

const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
/** Everything that is drawn as nothing: format characters, fillers, selectors, unassigned, private, lone surrogates. */
const INVISIBLE =
  /\p{Cf}|\p{Cn}|\p{Co}|\p{Cs}|\u034f|[\u115f\u1160]|[\u17b4\u17b5]|[\u180b-\u180f]|\u2800|\u3164|\uffa0|\p{Variation_Selector}/u;
const CONTROL = /[\p{Cc}\u2028\u2029]/u; // line feed and tab are let through before
/** They turn the order of what stands around them, operators and numbers included. */
const RIGHT_TO_LEFT =
  /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;
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

/** What one character beyond ASCII is to us. */
type Kind = {
  readonly hiding: Hiding | undefined;
  readonly word: boolean;
  readonly mark: boolean;
  /** What it does to the word it is in. */
  readonly part: 'latin' | 'lookalike' | 'confusable' | 'neutral' | 'other';
};

/** Looked up again and again in a text of one script; cleared when someone sends a whole plane. */
const known = new Map<string, Kind>();

function kindOf(character: string): Kind {
  const old = known.get(character);
  if (old) return old;
  if (known.size > 20_000) known.clear();
  const part = LATIN.test(character)
    ? 'latin'
    : CONFUSABLE.test(character)
      ? LOOKALIKES.has(character)
        ? 'lookalike'
        : 'confusable'
      : /[\p{N}\p{M}]/u.test(character)
        ? 'neutral'
        : 'other';
  const kind: Kind = { hiding: hidingOf(character), word: WORD.test(character), mark: MARK.test(character), part };
  known.set(character, kind);
  return kind;
}

function hidingOf(character: string): Hiding | undefined {
  if (BIDI.test(character)) return 'bidirectional controls';
  if (CONTROL.test(character)) return 'control characters';
  if (INVISIBLE.test(character)) return 'invisible characters';
  if (ODD_SPACE.test(character)) return 'unusual spaces';
  if (RIGHT_TO_LEFT.test(character)) return 'right-to-left letters';
  if (RARE.test(character) || ODD_LATIN.test(character)) return 'look-alike letters';
  // Full-width, mathematical and other compatibility forms that fold to one ASCII character or to ASCII letters.
  if (/^(?:[\x21-\x7e]|[A-Za-z]+)$/.test(character.normalize('NFKC'))) return 'look-alike letters';
  if (character === '⟨' || character === '⟩') return 'look-alike letters'; // would imitate our own escapes
  return undefined;
}

const ascii = (character: string): Kind => {
  if (character < ' ' || character === '\x7f') return ASCII_CONTROL;
  if (/[A-Za-z]/.test(character)) return ASCII_LETTER;
  return /[0-9_$]/.test(character) ? ASCII_DIGIT : ASCII_OTHER;
};
const ASCII_CONTROL: Kind = { hiding: 'control characters', word: false, mark: false, part: 'other' };
const ASCII_LETTER: Kind = { hiding: undefined, word: true, mark: false, part: 'latin' };
const ASCII_DIGIT: Kind = { hiding: undefined, word: true, mark: false, part: 'neutral' };
const ASCII_OTHER: Kind = { hiding: undefined, word: false, mark: false, part: 'other' };
const ASCII = Array.from({ length: 128 }, (_, code) => ascii(String.fromCharCode(code)));

/** Is this word, taken whole, a disguise: two scripts in one word, or nothing but look-alikes? */
const disguised = (parts: ReadonlySet<Kind['part']>): boolean =>
  (parts.has('lookalike') && !parts.has('confusable') && !parts.has('other')) ||
  (parts.has('latin') && (parts.has('lookalike') || parts.has('confusable')));

/** What almost every text is made of; nothing in it can hide but white space. */
const PLAIN = /^[\n\t\x20-\x7e]*$/;
const LONG_SPACES = /[\n\t ]{40}/; // LONG_SPACE of them

export type Visible = { readonly text: string; readonly hides: readonly Hiding[] };

/**
 * The text with everything that hides written out (`⟨U+202E⟩`, `⟨4,980 white-space characters⟩`); unchanged, with an
 * empty `hides`, when nothing does. Linear in the length; line breaks and tabs stay.
 */
export function visible(raw: string): Visible {
  if (PLAIN.test(raw) && !LONG_SPACES.test(raw)) return { text: raw, hides: [] };
  const hides = new Set<Hiding>();
  const out: string[] = [];
  let word: string[] = [];
  const parts = new Set<Kind['part']>();
  let spaces: string[] = [];
  let marks = 0;
  const endWord = () => {
    if (word.length === 0) return;
    if (disguised(parts)) {
      hides.add('look-alike letters');
      word = word.map((character) => (character > '~' ? named(character) : character));
    }
    out.push(...(word.length < 10_000 ? word : [word.join('')]));
    word = [];
    parts.clear();
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
    const kind = ASCII[character.length === 1 ? character.charCodeAt(0) : 128] ?? kindOf(character);
    marks = kind.mark ? marks + 1 : 0;
    const hiding = marks > 2 ? 'stacked marks' : kind.hiding;
    if (hiding) {
      hides.add(hiding);
      endWord();
      out.push(named(character));
    } else if (kind.word) {
      word.push(character);
      parts.add(kind.part);
    } else {
      endWord();
      out.push(character);
    }
  }
  endWord();
  endSpaces();
  return { text: out.join(''), hides: [...hides] };
}

export type Review = {
  readonly needed: boolean;
  readonly hides: readonly Hiding[];
  readonly long: boolean;
};

/** Must the whole text be read in Details before it can be approved? The bot asks this, and the gateway again. */
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

const lines = (text: string): number => {
  let count = 1;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
};
