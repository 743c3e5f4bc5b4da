/** An entry to JSON, with a last look at every text: the detectors have seen it, its length is bounded. Pure. */
import { maskText } from '../masking/detectors.ts';

/** Names of people, things and hashes: evidence would be worthless without them, and none is free text. */
const IDENTIFIERS = new Set([
  'kind',
  'session',
  'operation',
  'hold',
  'principal',
  'issuer',
  'subject',
  'connection',
  'sponsor',
  'slack',
  'voter',
  'user',
  'team',
  'digest',
  'chain',
  'file',
  'sha256',
  'lastHash',
  'signature',
  'key',
  'policy',
]);
const IDENTIFIER = /^[^\s'"]{0,512}$/u;
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;
/** Where a file or chain ended: a digit in it may pass for a card's (one in 2,000 does), and nobody could verify it then. */
const SHA256 = /^[\da-f]{64}$/;
/** Even under an identifier's name, these are never identifiers. */
const CREDENTIAL = /cst_[A-Za-z0-9_-]{20}|ed25519-secret:|eyJ[A-Za-z0-9_-]{10,}\./;
/** The chain's own members; an entry cannot set them. */
const OWN = new Set(['seq', 'at', 'prev', 'hash']);
const MAX_STRING = 256 * 1024; // characters; five times the longest statement that can be approved
const MAX_DEPTH = 8;
const MAX_MEMBERS = 2_000;

const MAX_SEEN_LENGTH = 2_048; // characters; longer texts are seldom written twice
const GENERATION_CHARACTERS = 2 << 20; // two generations of texts and what became of them: below 20 MB

/** The same texts come again and again: what is asked for lives on, the rest goes with its generation. */
class Seen {
  #young = new Map<string, string>();
  #old = new Map<string, string>();
  #characters = 0;

  get(text: string): string | undefined {
    const found = this.#young.get(text);
    if (found !== undefined) return found;
    const before = this.#old.get(text);
    if (before !== undefined) this.set(text, before);
    return before;
  }

  set(text: string, json: string): void {
    if (this.#characters > GENERATION_CHARACTERS) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#characters = 0;
    }
    this.#young.set(text, json);
    this.#characters += text.length + json.length;
  }
}

const texts = new Seen();
const identifiers = new Seen();
const names = new Map<string, string>(); // of members: the code's own words
/** Lists that never change, such as the effects of a statement, are written once for the name they stand under. */
const frozen = new WeakMap<object, { readonly name: string; readonly json: string }>();

/** The members of the entry's JSON object, without the braces. A name of the chain's own gets a `_` before it. */
export function renderMembers(entry: Readonly<Record<string, unknown>>): string {
  let json = '';
  for (const name in entry) {
    const value = render(name, entry[name], 0);
    if (value !== undefined) json += `${json === '' ? '' : ','}${memberName(name)}${value}`;
  }
  return json;
}

/** With its colon. */
function memberName(name: string): string {
  let json = names.get(name);
  if (json === undefined) {
    json = `${text(OWN.has(name) ? `_${name}` : name)}:`;
    names.set(name, json);
  }
  return json;
}

/** Undefined for what JSON has no word for. */
function render(name: string, value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case 'string':
      if (name === 'hash' && SHA256.test(value)) return `"${value}"`;
      return IDENTIFIERS.has(name) ? identifier(name, value) : text(value);
    case 'bigint':
      return `"${value}"`;
    case 'number':
      return Number.isFinite(value) ? String(value) : 'null';
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      return value === null ? 'null' : compound(name, value, depth);
    default:
      return undefined;
  }
}

function identifier(name: string, value: string): string {
  if (name === 'operation' && UUID.test(value)) return `"${value}"`; // each has its own: not worth keeping
  const known = identifiers.get(value);
  if (known !== undefined) return known;
  if (!IDENTIFIER.test(value) || CREDENTIAL.test(value)) return text(value);
  const json = JSON.stringify(value);
  identifiers.set(value, json);
  return json;
}

function text(value: string): string {
  if (value.length > MAX_SEEN_LENGTH) {
    return JSON.stringify(maskText(value.length > MAX_STRING ? `${value.slice(0, MAX_STRING)}… (cut)` : value).text);
  }
  const known = texts.get(value);
  if (known !== undefined) return known;
  const json = JSON.stringify(maskText(value).text);
  texts.set(value, json);
  return json;
}

function compound(name: string, value: object, depth: number): string {
  if (depth >= MAX_DEPTH) return '"… (too deep)"';
  if (value instanceof Date) return JSON.stringify(value);
  const known = frozen.get(value);
  if (known?.name === name) return known.json;
  const json = Array.isArray(value) ? list(name, value, depth) : members(value, depth);
  if (json.length <= MAX_SEEN_LENGTH && unchanging(value)) frozen.set(value, { name, json });
  return json;
}

const unchanging = (value: unknown): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (Object.isFrozen(value) && !(value instanceof Date) && Object.values(value).every(unchanging));

const list = (name: string, items: readonly unknown[], depth: number): string =>
  items.length === 0
    ? '[]'
    : `[${items
        .slice(0, MAX_MEMBERS)
        .map((item) => render(name, item, depth + 1) ?? 'null')
        .join()}]`;

function members(value: object, depth: number): string {
  const parts: string[] = [];
  for (const [name, item] of Object.entries(value).slice(0, MAX_MEMBERS)) {
    const json = render(name, item, depth + 1);
    if (json !== undefined) parts.push(`${text(name)}:${json}`);
  }
  return `{${parts.join()}}`;
}
