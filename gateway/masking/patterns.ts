/** An admin's own patterns: linear by construction (re2js), gated by a literal, and bounded in what they may cost. Pure. */
import { RE2JS } from 're2js';
import type { Find } from './find.ts';

const MAX_SOURCE = 256; // characters
const MAX_PROGRAM = 2_000; // instructions: `(a{100}){10}` is short to write and long to run

/**
 * Characters times patterns for one value. At some 0.1 to 0.3 µs each this is half a second of one core at the worst,
 * and 64 KB under 16 patterns whose literals all occur.
 */
const BUDGET = 1 << 20;

export type AdminPatterns = {
  /** What must occur (case aside) for any of them to match; undefined where one has no such text. */
  readonly literals: readonly string[] | undefined;
  /** Finds by name in normalised text. `exhausted`: it was too much, and all of it must be masked. */
  find(text: string): { readonly finds: readonly (Find & { readonly name: string })[] } | 'exhausted';
};

/** What is wrong with a pattern, in words; undefined: nothing. */
export function patternMistake(source: string): string | undefined {
  if (source.length === 0 || source.length > MAX_SOURCE) {
    return `expected a regular expression of 1 to ${MAX_SOURCE} characters`;
  }
  try {
    const pattern = RE2JS.compile(source);
    if (pattern.programSize() > MAX_PROGRAM) return 'expected a simpler regular expression: this one repeats too much';
    return pattern.test('') ? 'expected a regular expression that does not match the empty text' : undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return `expected an RE2 regular expression, without look-around and back references: ${why}`;
  }
}

/** @throws RE2JSException where `patternMistake` would have named a mistake */
export function adminPatterns(patterns: readonly { readonly name: string; readonly source: string }[]): AdminPatterns {
  const compiled = patterns.map(({ name, source }) => {
    const literal = requiredLiteral(source);
    return { name, literal, pattern: RE2JS.compile(source) };
  });
  const literals = compiled.flatMap(({ literal }) => (literal === undefined ? [] : [literal]));
  return {
    literals: literals.length === compiled.length ? literals : undefined,
    find: (text) => {
      const folded = foldAscii(text);
      const due = compiled.filter(({ literal }) => literal === undefined || folded.includes(literal));
      if (text.length * due.length > BUDGET) return 'exhausted';
      const finds: (Find & { name: string })[] = [];
      for (const { name, pattern } of due) {
        const matcher = pattern.matcher(text);
        while (matcher.find()) {
          const [start, end] = [matcher.start(), matcher.end()];
          if (end > start) finds.push({ name, start, end, mask: '•••' });
        }
      }
      return { finds };
    },
  };
}

/** ASCII letters alone: `toLowerCase` turns `İ` into two characters, one of them an `i`. */
const foldAscii = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** What a literal may be made of: characters that mean themselves, and that the byte gate does not use otherwise. */
const PLAIN = /[A-Za-z _:/=-]/;
const MIN_LITERAL = 2;

/**
 * The longest run of plain characters, in lower case, that every match has; undefined where none can be told. Only a
 * sequence at the top is understood: an alternative, a group or a flag ends what is known for certain.
 */
export function requiredLiteral(source: string): string | undefined {
  const rest = source.replace(/^\(\?[ims]+\)/, ''); // case is folded anyway
  if (rest.includes('|') || rest.includes('(?') || rest.includes('\\Q')) return undefined;
  let best = '';
  let run = '';
  const flush = (next: string): void => {
    if (run.length > best.length) best = run;
    run = next;
  };
  let depth = 0;
  for (const [, text = '', quantifier = ''] of rest.matchAll(ATOM)) {
    if (text === '(') depth++;
    if (text === ')') depth--;
    const plain = depth === 0 && text.length === 1 && PLAIN.test(text);
    if (!plain || /[*?]|\{0?[,}]|\{0/.test(quantifier)) flush('');
    else {
      run += text.toLowerCase();
      // What follows a repetition touches its last round; what came before, its first.
      if (quantifier !== '') flush(text.toLowerCase());
    }
  }
  flush('');
  return best.length < MIN_LITERAL ? undefined : best;
}

/** One character, escape, class or bracket with how often it stands there; every text is a row of these. */
const ATOM =
  /(\\[pP](?:\{[^}]*\}|.)|\\x(?:\{[^}]*\}|..)|\\[\s\S]|\[\^?\]?(?:\\[\s\S]|\[:[^\]]*:\]|[^\]\\])*\]|[\s\S])((?:[*+?]|\{\d*(?:,\d*)?\})*)/g;
