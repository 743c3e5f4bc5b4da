/** Sizes and numbers as an approver reads them: rounded, because they are guesses. */
import { counted } from '../../../amount.ts';

/** Two significant digits: more would claim what a planner does not know. */
export function rounded(count: number): number {
  const whole = Math.max(0, Math.round(count));
  if (whole < 100) return whole;
  const unit = 10 ** (Math.floor(Math.log10(whole)) - 1);
  return Math.round(whole / unit) * unit;
}

export const aboutRows = (count: number): string => `about ${counted(rounded(count), 'row')}`;

const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'];

/** `16 kB`, `3.4 MB` */
export function size(bytes: number): string {
  let value = Math.max(0, bytes) / 1024;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? Number(value.toFixed(1)) : Math.round(value)} ${UNITS[unit]}`;
}

/** `42 s`, `3 min`, `2 h` */
export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

const MAX_LINE = 280; // of 300 that a card's line may have

/** `label: a, b, c`, on as many lines as that takes; nothing where there is nothing to list. */
export function packed(label: string, items: readonly string[]): string[] {
  const lines: string[] = [];
  let line = '';
  for (const item of items) {
    if (line !== '' && line.length + 2 + item.length > MAX_LINE) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? `${label}: ${item}` : `${line}, ${item}`;
  }
  return line === '' ? lines : [...lines, line];
}
