/** An answer cut to what may travel: so many parts, so long each. The same answer is always cut alike. */
import type { Answer, Section } from '../../queue/asks.ts';

const MOST_SECTIONS = 100;
const MOST_LINES = 60;
const MOST_PEOPLE = 60;
const MOST_BUTTONS = 5;
/** All of it; a job of a queue is no place for a book. */
const MOST_CHARACTERS = 200_000;

/** At most `max` UTF-16 units, never half a surrogate pair. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = /[\uD800-\uDBFF]/.test(text.charAt(max - 2)) ? max - 2 : max - 1;
  return `${text.slice(0, end)}…`;
}

export function bounded(answer: Answer): Answer {
  const fitting: Section[] = [];
  let left = MOST_CHARACTERS;
  for (const section of answer.sections.slice(0, MOST_SECTIONS).map(fitted)) {
    left -= JSON.stringify(section).length;
    if (left < 0) break;
    fitting.push(section);
  }
  const missing = answer.sections.length - fitting.length;
  if (missing > 0) {
    if (fitting.length === MOST_SECTIONS) fitting.pop();
    fitting.push({ lines: [`… and ${answer.sections.length - fitting.length} more.`] });
  }
  return { ...answer, text: cut(answer.text, 2_900), sections: fitting };
}

function fitted({ title, lines, people, code, link, buttons, at }: Section): Section {
  const shown = lines.slice(0, MOST_LINES).map((line) => cut(line, 500));
  if (lines.length > MOST_LINES) shown[MOST_LINES - 1] = `… and ${lines.length - MOST_LINES + 1} more lines.`;
  // A line that is cut says something else, and a link that is cut leads nowhere: rather none.
  const said = buttons?.filter(({ line }) => line.length <= 500).slice(0, MOST_BUTTONS);
  return {
    lines: shown,
    ...(people === undefined ? {} : { people: people.slice(0, MOST_PEOPLE) }),
    ...(title === undefined ? {} : { title: cut(title, 150) }),
    ...(code === undefined ? {} : { code: cut(code, 3_000) }),
    ...(link === undefined || link.length > 500 ? {} : { link }),
    ...(said && said.length > 0 ? { buttons: said.map(fittedButton) } : {}),
    ...(at === undefined ? {} : { at: Math.max(0, Math.round(at)) }),
  };
}

const fittedButton = ({ label, line, confirm, danger }: NonNullable<Section['buttons']>[number]) => ({
  label: cut(label, 40),
  line,
  ...(confirm === undefined ? {} : { confirm: cut(confirm, 280) }),
  ...(danger === undefined ? {} : { danger }),
});
