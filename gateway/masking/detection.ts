/** What a profile looks for in values that no column rule names: a gate over bytes, then finders over text. Pure. */

import { covered, type Named } from './cover.ts';
import { FINDERS } from './detectors.ts';
import type { Formatter } from './formats.ts';
import { normalise } from './normalise.ts';
import { adminPatterns } from './patterns.ts';
import type { Detection, MaskFormat } from './profile.ts';
import { createGate } from './scan.ts';

export type Scanned = { readonly text: string; readonly hits: Readonly<Record<string, number>> };

export type Scanner = {
  /**
   * Could there be anything in bytes[from, to)? One pass without decoding; false is certain. Of a range that holds the
   * values of many rows, false means none of them; what frames them may only make it true.
   */
  suspicious(bytes: Buffer, from: number, to: number): boolean;
  /** The text with each find masked as its rule says, and how many of each; undefined when nothing was found. */
  scan(text: string): Scanned | undefined;
};

/** A longer value is masked whole. In UTF-16 units; a message of PostgreSQL has at most 1 GB. */
const MAX_CHARACTERS = 16 << 20;
const DOTS = '•••';

/**
 * Every built-in is linear in the length, so a value is looked at whole: windows would cut keys and tokens, which may be
 * of any length, at their seams. Admin patterns have a budget; a value that exceeds it is masked whole (`exhausted`), as
 * one of more than 16 Mi characters is (`too long`). Where `as` is `null`, a find inside a text is shown as `•••`.
 * @throws RE2JSException for a pattern that the configuration would have refused
 */
export function createDetection(detection: Detection, formatter: Formatter): Scanner {
  const admin = adminPatterns(detection.patterns);
  const gate = createGate(
    detection.detectors.map(({ name }) => name),
    admin.literals,
  );
  const formats = new Map<string, MaskFormat>();
  // A detector's name is its own; of patterns with one name, the first decides.
  for (const { name, as } of [...detection.detectors, ...detection.patterns].reverse()) formats.set(name, as);
  const shown = (name: string, value: string): string => {
    const format = formats.get(name);
    return (format && formatter.mask(format, value)) ?? DOTS;
  };

  return {
    suspicious: gate,
    scan: (text) => {
      if (text.length > MAX_CHARACTERS) return { text: DOTS, hits: { 'too long': 1 } };
      const plain = normalise(text);
      const found: Named[] = [];
      for (const { name } of detection.detectors) {
        for (const find of FINDERS[name](plain.text)) found.push({ ...find, name });
      }
      const own = admin.find(plain.text);
      if (own === 'exhausted') return { text: DOTS, hits: { exhausted: 1 } };
      for (const find of own.finds) found.push(find);
      return found.length === 0 ? undefined : covered(text, plain, found, ({ name }, value) => shown(name, value));
    },
  };
}
