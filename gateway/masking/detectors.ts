/** Built-in detectors: what looks like a card, an SSN, an e-mail address, an IBAN, a key or a JWT is masked. Pure. */

import { covered, type Named } from './cover.ts';
import type { Find } from './find.ts';
import { normalise } from './normalise.ts';
import { findCards, findEmails, findIbans, findSsns } from './numbers.ts';
import { findJwts, findSecrets } from './secrets.ts';

export const DETECTORS = ['card', 'ssn', 'email', 'iban', 'secret', 'jwt'] as const;
export type DetectorName = (typeof DETECTORS)[number];

export type Masked = { readonly text: string; readonly hits: Readonly<Record<DetectorName, number>> };

export const FINDERS: Readonly<Record<DetectorName, (text: string) => readonly Find[]>> = {
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
  const found: Named<DetectorName>[] = [];
  for (const name of DETECTORS) {
    for (const find of FINDERS[name](plain.text)) found.push({ ...find, name });
  }
  if (found.length === 0) return { text, hits: NO_HITS };
  const masked = covered(text, plain, found, ({ mask }) => mask);
  return { text: masked.text, hits: { ...NO_HITS, ...masked.hits } };
}

function none(): Record<DetectorName, number> {
  return { card: 0, ssn: 0, email: 0, iban: 0, secret: 0, jwt: 0 };
}
