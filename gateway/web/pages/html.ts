/** Markup from templates in which nothing put in can be markup: escaped for where it stands, and what hides written out. Pure. */
import { escaped } from '../plain-page.ts';
import { shown } from './text.ts';

/** Markup that may stand as it is. Only this file makes it. */
class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}
export type Html = Markup;

/** What a template takes. Nothing, `false` and empty lists leave nothing. */
export type Part = Html | string | number | boolean | undefined | null | readonly Part[];

/**
 * Texts become text in elements and in quoted attributes; in `href`, `src`, `action` and `formaction` they must be
 * addresses of this site or http(s), else they become `#`.
 * @throws Error for a template with a hole where nothing can be made safe: a tag, an attribute's name, without quotes,
 * in `on…` or `style`, in a script or style element
 */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  const holes = holesOf(strings);
  let text = strings[0] ?? '';
  for (let at = 0; at < parts.length; at++) text += put(parts[at], holes[at]!) + strings[at + 1];
  return new Markup(text);
}

/** Text in which everything that hides has been written out already, as `visible` of queue/review.ts does it. */
export const written = (visible: string): Html => new Markup(escaped(visible));

type Hole = 'text' | 'attribute' | 'address';

const ADDRESSES = new Set(['href', 'src', 'action', 'formaction']);
const known = new WeakMap<TemplateStringsArray, readonly Hole[]>();

function put(part: Part, hole: Hole): string {
  if (part === undefined || part === null || part === false || part === true) return '';
  if (part instanceof Markup) {
    if (hole !== 'text') throw new Error('markup cannot stand in an attribute');
    return part.toString();
  }
  if (Array.isArray(part)) return part.map((one: Part) => put(one, hole)).join('');
  const text = String(part);
  return hole === 'address' ? escaped(address(text)) : escaped(shown(text));
}

/** An address of this site, or one of http(s); everything else leads nowhere. */
export function address(text: string): string {
  if (!/^[\x21-\x7e]+$/.test(text) || text.includes('\\')) return '#';
  if (/^(?:\/(?!\/)|#|\?)/.test(text)) return text;
  return /^https?:\/\//i.test(text) && URL.canParse(text) ? text : '#';
}

/** Where each hole of a template is. Templates are ours: this finds our mistakes, once for each. */
function holesOf(strings: TemplateStringsArray): readonly Hole[] {
  const before = known.get(strings);
  if (before) return before;
  const holes: Hole[] = [];
  let quoted: string | undefined; // the attribute whose value this is
  let inTag = false;
  let raw = '';
  for (const piece of strings.slice(0, -1)) {
    for (const token of piece.match(/<\/?[A-Za-z][A-Za-z0-9-]*|[A-Za-z-]+="|[">]|[^<>"A-Za-z]+|./gs) ?? []) {
      if (quoted !== undefined) {
        if (token.endsWith('"')) quoted = undefined;
      } else if (inTag) {
        if (token === '>') inTag = false;
        else if (token.endsWith('="')) quoted = token.slice(0, -2).toLowerCase();
      } else if (/^<[A-Za-z/]/.test(token)) {
        inTag = true;
        raw = /^<(script|style|template|noscript)$/i.test(token) ? token : '';
      }
    }
    if (raw !== '' && !inTag && quoted === undefined) throw new Error(`nothing can be put into ${raw}>`);
    if (quoted === undefined && (inTag || /<\/?$/.test(piece)))
      throw new Error(`what is put into a tag stands in quotes: ${piece.slice(-40)}`);
    if (quoted !== undefined && /^(?:on.*|style|srcdoc)$/.test(quoted))
      throw new Error(`nothing is put into ${quoted}`);
    holes.push(quoted === undefined ? 'text' : ADDRESSES.has(quoted) ? 'address' : 'attribute');
  }
  known.set(strings, holes);
  return holes;
}
