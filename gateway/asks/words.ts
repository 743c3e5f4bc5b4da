/** How times and people are said in answers. Pure. */
import type { Section } from '../../queue/asks.ts';
import { moment } from '../holds/clock.ts';
import type { Principal } from '../operation.ts';

/** `4 s`, `12 min`, `3 h 5 min`, `2 d 4 h`; never more than there is. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return hours % 24 === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `2026-11-23 14:02:11 UTC`: always with its day, by which bots know it and show it in the reader's own time zone. */
export const when = moment;

/** `2026-11-23 14:02:11 UTC, 4 min ago` */
export const ago = (at: number, now: number): string => `${when(at)}, ${duration(now - at)} ago`;

/** `report-bot (agent, sponsor U0BOB)`; its section says who that is: `peopleAmong` */
export function who({ name, kind, sponsor }: Principal): string {
  const answers = sponsor === undefined ? (kind === 'agent' ? ', nobody answers for it' : '') : `, sponsor ${sponsor}`;
  return `${name} (${kind}${answers})`;
}

/** Those among these names that are Slack ids of people: a section with them shows who they are. */
export function peopleAmong(...names: readonly (string | undefined)[]): Pick<Section, 'people'> {
  const people = [...new Set(names)].flatMap((name) => (name && /^[UW][A-Z0-9]{2,30}$/.test(name) ? name : []));
  return people.length === 0 ? {} : { people };
}

/** An argument of a `/gate` line, quoted where it would not be read as one word. */
export const argument = (text: string): string =>
  /^[^\s"'“”„‘’\\]+$/.test(text) ? text : `"${text.replace(/[\\"“”„]/g, (char) => `\\${char}`)}"`;
