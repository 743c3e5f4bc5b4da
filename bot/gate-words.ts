/** A typed `/gate` line as words: Slack's escapes undone, phones' quotes taken for quotes. Pure; knows no subcommand. */

/** What Slack makes of a mention, a channel or an address when a command's text is escaped. */
const MARKED = /<(@|#|!subteam\^|https?:\/\/|mailto:)([^|<>]*)(?:\|([^<>]*))?>/g;
const HANDLE = /^@?[a-z0-9][a-z0-9._-]{0,79}$/;

const entities = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

/** Mentions as rules name people: users and channels by id, never by a name; groups by their handle. */
export const withIds = (raw: string): string =>
  entities(
    raw.replace(MARKED, (_whole, mark: string, id: string, label?: string) => {
      if (mark === '@' || mark === '#') return id;
      if (mark === '!subteam^') return label !== undefined && HANDLE.test(label) ? `@${label.replace(/^@/, '')}` : id;
      return `${mark === 'mailto:' ? '' : mark}${id}`;
    }),
  );

/** Exactly what was typed: for SQL, where an @ is an @. */
export const asTyped = (raw: string): string =>
  entities(
    raw.replace(MARKED, (_whole, mark: string, id: string, label?: string) => {
      if (label === undefined) return mark === '@' || mark === '#' || mark === '!subteam^' ? id : `${mark}${id}`;
      if (mark === '@' || mark === '#') return `${mark}${label}`;
      return mark === '!subteam^' ? `@${label.replace(/^@/, '')}` : label;
    }),
  );

const QUOTES: Readonly<Record<string, string>> = {
  '"': '"“”„',
  '“': '"“”',
  '”': '"“”',
  '„': '"“”',
  "'": "'‘’",
  '‘': "'‘’",
  '’': "'‘’",
};

export type Split =
  | { readonly ok: true; readonly words: readonly string[] }
  /** What follows a quote that nobody closed. */
  | { readonly ok: false; readonly open: string };

/** Words of a line; what stands in quotes is one, and “ ” ‘ ’ are quotes. Inside a word an apostrophe is one. */
export function split(line: string): Split {
  const words: string[] = [];
  let at = 0;
  while (at < line.length) {
    const char = line.charAt(at);
    if (/\s/.test(char)) {
      at += 1;
      continue;
    }
    const closing = QUOTES[char];
    if (closing === undefined) {
      const [word = ''] = /^\S+/.exec(line.slice(at)) ?? [];
      words.push(word);
      at += word.length;
      continue;
    }
    const quoted = unquoted(line, at + 1, closing);
    if (!quoted) return { ok: false, open: line.slice(at) };
    words.push(quoted.text);
    at = quoted.end;
  }
  return { ok: true, words };
}

function unquoted(line: string, from: number, closing: string): { text: string; end: number } | undefined {
  let text = '';
  for (let at = from; at < line.length; at++) {
    const char = line.charAt(at);
    const following = line.charAt(at + 1);
    if (char === '\\' && (following === '\\' || closing.includes(following)) && following !== '') {
      text += following;
      at += 1;
    } else if (closing.includes(char) && (following === '' || /\s/.test(following))) return { text, end: at + 1 };
    else text += char;
  }
  return undefined;
}

/** An argument as it is said again: quoted where it would not be read as one word. */
export const argument = (text: string): string =>
  /^[^\s"'“”„‘’\\]+$/.test(text) ? text : `"${text.replace(/[\\"“”„]/g, (char) => `\\${char}`)}"`;
