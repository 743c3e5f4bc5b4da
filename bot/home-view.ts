/** App Home as Slack shows it: what several gateways say of one person, in the parts' order. Pure. */
import type { types } from '@slack/bolt';
import type { Section } from '../queue/asks.ts';
import { HOME, type HomePart } from '../queue/home.ts';
import { actions, heading, paragraphs, sizeOf, smallPrint, spoken } from './blocks.ts';
import type { Heard } from './gate-ask.ts';
import { gateButton } from './gate-button.ts';
import { oneLine } from './text.ts';

const MOST_BLOCKS = 95; // Slack takes 100
const MOST_SIZE = 60_000; // far below what a view may hold, far above what anybody reads

export type HomeView = { readonly type: 'home'; readonly blocks: types.KnownBlock[] };

export function homeView({ answers, silent, trouble }: Heard): HomeView {
  const sections = answers.flatMap((answer) => answer.sections);
  const shownToAdmins = Object.values(HOME).some(
    ({ title, admins }) => admins && sections.some((section) => section.title === title),
  );
  const notes = [
    ...(trouble === undefined ? [] : [trouble]),
    ...new Set(answers.flatMap(({ ok, text }) => (ok || text === '' ? [] : [text]))),
    ...(silent.length === 0 ? [] : [`Did not answer, so what is theirs is missing: ${silent.join(', ')}.`]),
  ];
  const blocks: types.KnownBlock[] = notes
    .slice(0, 20)
    .map((note, at) => smallPrint(`note.${at}`, oneLine(`❗ ${note}`, 900)));
  const said = answers.some(({ ok }) => ok);
  const parts = Object.entries<HomePart>(HOME).filter(([, { admins }]) => said && (!admins || shownToAdmins));
  for (const [name, part] of parts) blocks.push(...partBlocks(name, part, sections));
  // Notes about what is missing are of no part: they stand at the end, whatever they are about.
  const titles = new Set<string | undefined>(Object.values(HOME).map(({ title }) => title));
  const others = [...new Set(sections.filter(({ title }) => !titles.has(title)).flatMap(({ lines }) => lines))];
  blocks.push(...others.slice(0, 5).map((line, at) => note(`other.${at}`, oneLine(line, 900))));
  blocks.push(smallPrint('help', '/gate help says what else can be asked, in any channel.'));
  return { type: 'home', blocks: fitting(blocks) };
}

function partBlocks(name: string, part: HomePart, sections: readonly Section[]): types.KnownBlock[] {
  const seen = new Set<string>();
  const items = sections
    .filter((section) => {
      // What gateways share, each of them says.
      const key = JSON.stringify(section);
      if (section.title !== part.title || seen.has(key)) return false;
      seen.add(key);
      return true;
    })
    .sort((a, b) => order(a, part.newestFirst) - order(b, part.newestFirst));
  const dated = items.filter(({ at }) => at !== undefined);
  const shown = [...dated.slice(0, part.most), ...items.filter(({ at }) => at === undefined).slice(0, 10)];
  const left = dated.length - Math.min(dated.length, part.most);
  const blocks: types.KnownBlock[] = [heading(`${name}.title`, part.title)];
  if (dated.length === 0) blocks.push(smallPrint(`${name}.empty`, part.empty));
  for (const [at, item] of shown.entries()) blocks.push(...itemBlocks(`${name}.${at}`, item));
  if (left > 0) blocks.push(smallPrint(`${name}.left`, `… and ${left} more`));
  return blocks;
}

const order = ({ at }: Section, newestFirst: boolean): number =>
  at === undefined ? Number.MAX_SAFE_INTEGER : newestFirst ? -at : at;

function itemBlocks(id: string, { lines, people, link, buttons, at }: Section): types.KnownBlock[] {
  const rows = lines
    .slice(0, 8)
    .map((line, row) => spoken(oneLine(line, 400), people, { bold: row === 0 && lines.length > 1 }));
  if (at === undefined) return rows.length > 0 ? [note(id, lines.map((line) => oneLine(line, 400)).join(' '))] : [];
  const linked: types.RichTextLink[] =
    link !== undefined && /^https?:\/\/[^\s<>|]+$/.test(link)
      ? [{ type: 'link', url: link, text: 'Open its card' }]
      : [];
  const all = linked.length > 0 ? [...rows, linked] : rows;
  const blocks: types.KnownBlock[] = all.length > 0 ? [paragraphs(id, ...all)] : [];
  if (buttons && buttons.length > 0) blocks.push(actions(`${id}.do`, buttons.slice(0, 5).map(gateButton)));
  return blocks;
}

/** In small print, unless it says when something was: plain text shows everybody the same time. */
function note(id: string, line: string): types.KnownBlock {
  const said = spoken(line);
  return said.some(({ type }) => type === 'date') ? paragraphs(id, said) : smallPrint(id, line);
}

/** What stands last gives way: what waits for a decision stands first. */
function fitting(blocks: types.KnownBlock[]): types.KnownBlock[] {
  const more = smallPrint('more', 'There is more than fits here: /gate holds and /gate status say all.');
  let size = sizeOf([more]);
  const kept: types.KnownBlock[] = [];
  for (const block of blocks) {
    size += sizeOf([block]);
    if (kept.length >= MOST_BLOCKS || size > MOST_SIZE) return [...kept, more];
    kept.push(block);
  }
  return kept;
}
