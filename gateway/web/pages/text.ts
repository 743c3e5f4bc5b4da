/** Words and numbers as pages say them, and texts so that nothing in them hides. Pure. */

/** Drawn as nothing, or turning the order of what is around it; and what would imitate the escapes that it becomes. */
const HIDING = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029\u115f\u1160\u2800\u3164\uffa0\u27e8\u27e9]|\u034f/gu;

const named = (character: string): string =>
  character === '\n' || character === '\t'
    ? character
    : `⟨U+${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}⟩`;

/** The text with controls, turns of direction and invisible characters written out (`⟨U+202E⟩`); lines stay. */
export const shown = (text: string): string => (/^[\n\t\x20-\x7e]*$/.test(text) ? text : text.replace(HIDING, named));

/** At most so many UTF-16 units, no character split; and how many are missing. */
export function cut(text: string, max: number): { readonly text: string; readonly missing: number } {
  if (text.length <= max) return { text, missing: 0 };
  const last = text.charCodeAt(max - 1);
  const end = last >= 0xd800 && last <= 0xdbff ? max - 1 : max;
  return { text: text.slice(0, end), missing: text.length - end };
}

/** `2026-11-23 14:02:11 UTC` */
export const moment = (at: number): string =>
  Number.isFinite(at) && Math.abs(at) < 8.64e15
    ? `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
    : 'an unknown time';

/** `1.3 s`, `4 min 2 s`, `3 h 5 min`, `2 d 4 h` */
export function lasting(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const two = (large: number, one: string, small: number, other: string) =>
    `${large} ${one}${small > 0 ? ` ${small} ${other}` : ''}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return two(minutes, 'min', seconds % 60, 's');
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? two(hours, 'h', minutes % 60, 'min') : two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** `+0:04.120`, `+1:02:11.004`: since the session began. */
export function offset(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  const [h, m, s] = [Math.floor(whole / 3_600_000), Math.floor(whole / 60_000) % 60, Math.floor(whole / 1_000) % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return `+${h > 0 ? `${h}:${two(m)}` : m}:${two(s)}.${String(whole % 1_000).padStart(3, '0')}`;
}
