/** Text on its way to a reader in Slack: cut, escaped, kept on one line; what could be markup is not. Pure. */
import { visible } from '../queue/review.ts';

/** One line of plain text: what hides is written out, line breaks and runs of space become one space, cut to `max`. */
export function oneLine(raw: string, max: number): string {
  return cut(visible(raw.replace(/\s+/g, ' ').trim()).text, max);
}

/** At most `max` UTF-16 units, never splitting a character, with an ellipsis where something is missing. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  let end = Math.max(0, max - 1);
  const last = text.charCodeAt(end - 1);
  if (last >= 0xd800 && last <= 0xdbff) end -= 1;
  return `${text.slice(0, end)}…`;
}

/** Slack's three escapes, once. The raw text is cut until the escaped form fits, so that no entity is split. */
function escaped(raw: string, max: number): string {
  const entities = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  let limit = max;
  let result = entities(cut(raw, limit));
  while (result.length > max) {
    limit -= Math.max(1, Math.ceil((result.length - max) / 5));
    result = entities(cut(raw, limit));
  }
  return result;
}

/**
 * For the notification text, which is mrkdwn whether we like it or not: one line, escaped, and without what would still
 * be markup after escaping (emphasis, code, `:emoji:`).
 */
export function notification(raw: string, max: number): string {
  return escaped(
    oneLine(raw, max)
      .replace(/[*`~]/g, ' ')
      .replace(/:(?=\S)/g, ': ')
      .replace(/\b(\d\d): (\d\d): (\d\d) UTC\b/g, '$1:$2:$3 UTC') // a time of day stays one
      .replace(/(^|\s)_+|_+(?=\s|$)/g, '$1'),
    max,
  );
}

/** A short reply to one person: sentences of ours and the gateway's, shown as they are, never as markup. */
export function reply(raw: string): string {
  return escaped(visible(raw).text, 3000);
}

/** Whether a reader of the card alone would miss something, and what. */
/** The first `maxLines` lines and `maxCharacters` of it, and how much is missing. */
export function opening(text: string, maxCharacters: number, maxLines: number): { text: string; missing: number } {
  let end = Math.min(text.length, maxCharacters);
  for (let at = -1, line = 0; ; line++) {
    at = text.indexOf('\n', at + 1);
    if (at === -1 || at >= end) break;
    if (line + 1 >= maxLines) {
      end = at;
      break;
    }
  }
  const last = text.charCodeAt(end - 1);
  if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1;
  return { text: text.slice(0, end), missing: text.length - end };
}
