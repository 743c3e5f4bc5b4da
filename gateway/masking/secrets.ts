/** Finders for credentials: keys by their makers' prefixes, PEM blocks, JWTs, and values that a word calls secret. Pure. */
import type { Find } from './find.ts';

const MASK = '•••';

/** One maker each, run one by one: a joined alternation is slower than their sum. The literal is the cheap gate. */
const KEYS: readonly (readonly [gate: string, pattern: RegExp])[] = [
  ['cst_', /cst_[A-Za-z0-9_-]{20,64}/g], // ours
  ['ed25519-secret:', /ed25519-secret:[A-Za-z0-9_-]{43}/g], // ours
  ['A', /(?<![A-Z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])/g], // AWS
  ['gh', /gh[pousr]_[A-Za-z0-9]{30,255}/g], // GitHub
  ['github_pat_', /github_pat_[A-Za-z0-9_]{22,255}/g],
  ['glpat-', /glpat-[A-Za-z0-9_-]{20,64}/g], // GitLab
  ['xox', /xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,255}/g], // Slack
  ['xapp-', /xapp-[A-Za-z0-9-]{10,255}/g],
  ['hooks.slack.com', /hooks\.slack\.com\/(?:services|workflows|triggers)\/[A-Za-z0-9/_-]{10,255}/g],
  ['_', /(?<![A-Za-z0-9])[srp]k_(?:live|test)_[A-Za-z0-9]{10,255}/g], // Stripe
  ['whsec_', /whsec_[A-Za-z0-9+/=]{16,255}/g],
  ['AIza', /AIza[A-Za-z0-9_-]{35}/g], // Google
  ['sk-', /(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,255}/g], // OpenAI, Anthropic
  ['npm_', /npm_[A-Za-z0-9]{36}/g],
  ['SG.', /SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}/g], // SendGrid
];

/** `scheme://user:password@host`: the password alone. */
const URL_PASSWORD = /:\/\/[^\s:@/'"]{0,64}:([^\s@/'"]{1,256})@/g;
const HTTP_CREDENTIALS = /\b(?:Bearer|Basic)[ ]{1,4}([A-Za-z0-9._~+/=-]{12,4096})/gi;

/** A word, perhaps a sign, then a value: quoted (SQL doubles a quote inside, JSON escapes it) or one bare word. */
const NAMED =
  /(pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|(?:api|access|private|secret|signing|encryption)[ _-]?key)["'`]?([ \t]{0,4}(?:=>|:=|==|[:=])[ \t\r\n]{0,4}|[ \t\r\n]{1,8}(?:is[ \t]{1,4}|to[ \t]{1,4})?)(?:E'((?:[^'\\]|''|\\.){1,4096})'|'((?:[^']|''){1,4096})'|"((?:[^"\\]|\\.){1,4096})"|([^\s'"`,;()<>&|]{8,512}))/gi;
/** Without one of these there is no such word: a search for fixed text costs a tenth of the pattern. */
const NAMED_GATES = ['pass', 'pwd', 'secret', 'token', 'credential', 'key'];
/** After these every quoted value counts; the others have innocent uses (`token = 'paid'`). */
const ALWAYS = /^(?:pass|pwd|secret$)/i;
/** A reference to a value, not a value: `$1`, `${env:X}`, `%s`, `:name`, `null`. */
const REFERENCE = /^(?:\$|%|:|@|\?)/;

/** Without any of these there is no secret of any kind: one search instead of twenty. */
const ANY = /[_-]|:\/\/|A(?:KI|SI|BI|CC)A|AIza|hooks\.slack|SG\.|bearer|basic|pass|pwd|secret|token|credential|key/i;

export function findSecrets(text: string): Find[] {
  const finds: Find[] = [];
  if (!ANY.test(text)) return finds;
  for (const [gate, pattern] of KEYS) {
    if (!text.includes(gate)) continue;
    for (const match of text.matchAll(pattern)) finds.push(whole(match));
  }
  if (text.includes('://')) for (const match of text.matchAll(URL_PASSWORD)) finds.push(group(match, match[1], 1));
  const lower = text.toLowerCase();
  const http = lower.includes('bearer') || lower.includes('basic');
  for (const match of http ? text.matchAll(HTTP_CREDENTIALS) : []) {
    if (isRandom(match[1] ?? '')) finds.push(group(match, match[1], 0));
  }
  const named = NAMED_GATES.some((gate) => lower.includes(gate));
  for (const match of named ? text.matchAll(NAMED) : []) {
    const [, word = '', sign = '', escaped, literal, double, bare] = match;
    const value = escaped ?? literal ?? double ?? bare ?? '';
    if (value.includes(MASK) || REFERENCE.test(value)) continue;
    // Double quotes without a sign before them are an SQL identifier, which the reader must see.
    const always = ALWAYS.test(word) && (double === undefined ? bare === undefined : /[:=]/.test(sign));
    if (always || isRandom(value)) finds.push(group(match, value, bare === undefined ? 1 : 0));
  }
  findPem(text, finds);
  return finds;
}

const whole = (match: RegExpExecArray): Find => ({
  start: match.index,
  end: match.index + match[0].length,
  mask: MASK,
});

/** A group that ends `behind` characters before its match does. */
function group(match: RegExpExecArray, value = '', behind: number): Find {
  const end = match.index + match[0].length - behind;
  return { start: end - value.length, end, mask: MASK };
}

/** Eight characters or more, letters with digits or signs, and little repetition: no word, name, number or path. */
function isRandom(value: string): boolean {
  if (value.length < 8 || !/[A-Za-z]/.test(value) || !/[0-9!#%^&*+=~$@]/.test(value)) return false;
  const counts = new Map<string, number>();
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / value.length) * Math.log2(count / value.length);
  return bits >= 2.5; // `password1` has 2.9, `aaaaaaa1` 0.5
}

const PEM_BEGIN = '-----BEGIN ';
const PEM_LABEL_END = 'PRIVATE KEY-----';
const MAX_PEM_LABEL = 64;

/** Body lines have 64 characters; a shorter one is believed only as the last, so that no statement hides in a block. */
const PEM_LINE = /(?:(?:\s|\\[rn]){0,4}(?:[A-Za-z0-9+/=]{32,}|(?:Proc-Type|DEK-Info): ?[A-Za-z0-9,-]{1,80}))/y;
const PEM_TAIL = /(?:\s|\\[rn]){0,4}[A-Za-z0-9+/=]{0,31}(?:\s|\\[rn]){0,4}-----END [A-Z0-9 ]{1,48}-----/y;

/** From the first line to the last; of a block cut short, all that still looks like its body. */
function findPem(text: string, finds: Find[]): void {
  for (let start = text.indexOf(PEM_BEGIN); start !== -1; ) {
    const label = text.slice(start + PEM_BEGIN.length, start + PEM_BEGIN.length + MAX_PEM_LABEL);
    const labelEnd = label.indexOf(PEM_LABEL_END);
    let end = start + PEM_BEGIN.length;
    if (labelEnd !== -1) {
      end = after(PEM_LINE, text, end + labelEnd + PEM_LABEL_END.length);
      for (let next = after(PEM_LINE, text, end); next > end; next = after(PEM_LINE, text, end)) end = next;
      end = after(PEM_TAIL, text, end);
      finds.push({ start, end, mask: MASK });
    }
    start = text.indexOf(PEM_BEGIN, end);
  }
}

/** Where the sticky pattern's match at `from` ends; `from` where it does not match. */
function after(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(text) ? pattern.lastIndex : from;
}

const isBase64Url = (code: number): boolean =>
  (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 45 || code === 95;

/** `eyJ….….…` (RFC 7519, RFC 7516): a header that is a JSON object, then at least one more part. Scanned by hand. */
export function findJwts(text: string): Find[] {
  const finds: Find[] = [];
  let from = 0;
  for (let start = text.indexOf('eyJ'); start !== -1; start = text.indexOf('eyJ', from)) {
    let end = start;
    let parts = 0;
    let partLength = 0;
    for (; end < text.length; end++) {
      const code = text.charCodeAt(end);
      if (isBase64Url(code)) partLength++;
      else if (code === 46 /* . */ && partLength >= (parts < 1 ? 10 : 0)) {
        parts++;
        partLength = 0;
      } else break;
    }
    if (parts >= 1 && end - start > 30) finds.push({ start, end, mask: MASK });
    from = Math.max(end, start + 3);
  }
  return finds;
}
