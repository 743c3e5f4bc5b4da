/** The gate before the detectors: could there be anything in these bytes? One pass, no decoding; a no is certain. Pure. */
import type { DetectorName } from './detectors.ts';
import { addressAt, cardAt, ibanAt, namedSsn, namesSecret, ssnTail, TOKEN, urlPassword } from './evidence.ts';
import { automaton } from './literals.ts';
import { plainLength } from './odd.ts';

/** Bytes [from, to) of text in UTF-8, which may hold the values of many rows and what frames them. */
export type Gate = (bytes: Uint8Array, from: number, to: number) => boolean;

/** What a fixed text is evidence of, by how it goes on. */
type After = { readonly kind: 'token'; readonly least: number } | { readonly kind: 'word' | 'url' | 'always' };

const tokens = (least: number, ...texts: readonly string[]): [string, After][] =>
  texts.map((text) => [text, { kind: 'token', least }]);
const of = (kind: 'word' | 'url' | 'always', ...texts: readonly string[]): [string, After][] =>
  texts.map((text) => [text, { kind }]);

/** Lower case; how many characters of a key follow at least. As secrets.ts has it; our own keys are called secret. */
const SECRETS: readonly [string, After][] = [
  ...tokens(20, 'cst_', 'glpat-', 'sk-'),
  ...tokens(16, 'akia', 'asia', 'abia', 'acca', 'whsec_'),
  ...tokens(30, 'ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'),
  ...tokens(22, 'github_pat_'),
  ...tokens(12, 'xox'),
  ...tokens(10, 'xapp-', 'k_live_', 'k_test_'),
  ...tokens(10, 'hooks.slack.com/'),
  ...tokens(35, 'aiza'),
  ...tokens(36, 'npm_'),
  ...tokens(33, 'sg.'),
  ...of('word', 'pass', 'pwd', 'secret', 'token', 'credential', 'key', 'bearer', 'basic'),
  ...of('url', '://'),
  ...of('always', '-----begin '),
];
/** More than 30 in all, `eyJ` among them. */
const JWT: readonly [string, After][] = tokens(28, 'eyj');

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= DIGIT_0 && byte <= DIGIT_9;

/**
 * True where any of these could find something: every rule here asks for less than its finder. Text outside ASCII is
 * passed over as long as normalising leaves it what it is; anything that could become a digit, a letter or a sign, or
 * vanish, is suspicious, and so is what is not UTF-8. A longer range is suspicious wherever a part of it is: what stands
 * before a value may be anything (the last byte of its length may be a digit), what follows it anything but a digit.
 * @param literals one occurs, case aside, in whatever an admin's patterns match; undefined: nothing is known of them
 */
export function createGate(detectors: readonly DetectorName[], literals: readonly string[] | undefined): Gate {
  if (literals === undefined) return (_bytes, from, to) => to > from;
  const [card, ssn, email, iban] = (['card', 'ssn', 'email', 'iban'] as const).map((one) => detectors.includes(one));
  const fixed = new Map<string, After[]>();
  const wanted = [
    ...(detectors.includes('secret') ? SECRETS : []),
    ...(detectors.includes('jwt') ? JWT : []),
    ...of('always', ...literals),
  ];
  for (const [text, after] of wanted) fixed.set(text, [...(fixed.get(text) ?? []), after]);
  const { next, eventful, found, DIGIT, AT } = automaton([...fixed.keys()], {
    digits: Boolean(card || ssn || iban),
    at: Boolean(email),
  });
  /** By state: what its texts are evidence of. */
  const afters = found.map((texts) =>
    texts.flatMap((text) => (fixed.get(text) ?? []).map((after) => ({ text, after }))),
  );

  return (bytes, from, to) => {
    let state = 0;
    for (let at = from; at < to; at++) {
      state = next[(state << 8) | (bytes[at] as number)] as number;
      if (state < eventful) continue;
      if (state === DIGIT) {
        const start = at;
        do at++;
        while (at < to && isDigit(bytes[at]));
        const digits = at - start;
        if (card && cardAt(bytes, start, at, to)) return true;
        if (ssn && digits >= 3 && ssnTail(bytes, at, to)) return true;
        if (ssn && digits >= 9 && namedSsn(bytes, from, start)) return true;
        if (iban && digits >= 2 && start - from >= 2 && ibanAt(bytes, start - 2, to)) return true;
        at--;
        state = 0;
      } else if (state === AT) {
        if (addressAt(bytes, at, from, to)) return true;
        state = 0;
      } else if ((bytes[at] as number) >= 0x80) {
        const length = plainLength(bytes, at, to);
        if (length === 0) return true;
        at += length - 1;
        state = 0;
      } else {
        for (const { text, after } of afters[state] ?? []) {
          if (isEvidence(text, after, bytes, at + 1, from, to)) return true;
        }
      }
    }
    return false;
  };
}

function isEvidence(text: string, after: After, bytes: Uint8Array, at: number, from: number, to: number): boolean {
  switch (after.kind) {
    case 'always':
      return true;
    case 'url':
      return urlPassword(bytes, at, to);
    case 'word':
      return namesSecret(text, bytes, at, from, to);
    case 'token': {
      if (to - at < after.least) return false;
      for (let end = at + after.least; at < end; at++) if (TOKEN[bytes[at] as number] === 0) return false;
      return true;
    }
  }
}
