/** Built-in detectors: what looks like a card, an SSN, an e-mail address, an IBAN, a key or a JWT is masked. Pure. */

import type { Find } from './find.ts';
import { normalise } from './normalise.ts';
import { findCards, findEmails, findIbans, findSsns } from './numbers.ts';
import { findJwts, findSecrets } from './secrets.ts';

const DETECTORS = ['card', 'ssn', 'email', 'iban', 'secret', 'jwt'] as const;
export type DetectorName = (typeof DETECTORS)[number];

export type Masked = { readonly text: string; readonly hits: Readonly<Record<DetectorName, number>> };

const FINDERS: Readonly<Record<DetectorName, (text: string) => readonly Find[]>> = {
  card: findCards,
  ssn: findSsns,
  email: findEmails,
  iban: findIbans,
  secret: findSecrets,
  jwt: findJwts,
};
const NO_HITS: Readonly<Record<DetectorName, number>> = Object.freeze(none());
/** Nothing shorter can be any of them (`pwd=x` is five; a quoted `pin` is no detector's business). */
const SHORTEST = 5;

/**
 * The same text with everything sensitive replaced by `•••` (a card keeps its last four digits), and what was found.
 * Detection reads a normalised form (NFKC, invisible characters dropped, digits of every script); replacement happens
 * in the original. Linear in the length: every pattern is bounded or scanned by hand, so that no windows are needed.
 * Masking what is already masked changes nothing. Never throws.
 */
export function maskText(text: string): Masked {
  if (text.length < SHORTEST) return { text, hits: NO_HITS };
  const plain = normalise(text);
  const found: (Find & { readonly name: DetectorName })[] = [];
  for (const name of DETECTORS) {
    for (const find of FINDERS[name](plain.text)) found.push({ ...find, name });
  }
  if (found.length === 0) return { text, hits: NO_HITS };

  // The widest of what overlaps decides the mask; the union of both is covered.
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  const hits = none();
  let shown = '';
  let copied = 0;
  for (let i = 0; i < found.length; ) {
    let widest = found[i] as (typeof found)[number];
    let end = widest.end;
    const from = widest.start;
    for (i++; i < found.length && (found[i] as Find).start < end; i++) {
      const other = found[i] as (typeof found)[number];
      if (other.end - other.start > widest.end - widest.start) widest = other;
      end = Math.max(end, other.end);
    }
    hits[widest.name]++;
    const [start, stop] = plain.original(from, end);
    shown += text.slice(copied, start) + widest.mask;
    copied = stop;
  }
  return { text: shown + text.slice(copied), hits };
}

function none(): Record<DetectorName, number> {
  return { card: 0, ssn: 0, email: 0, iban: 0, secret: 0, jwt: 0 };
}
