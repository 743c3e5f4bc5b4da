/** One answer out of what several gateways said. Pure. */
import type { Answer, GateCommand, Section } from '../queue/asks.ts';
import type { Heard } from './gate-ask.ts';
import { day } from './words.ts';

export type Merged = { readonly text: string; readonly sections: readonly Section[] };

export function merged({ answers, silent, trouble }: Heard, command: GateCommand['do']): Merged {
  const simulated = simulation(answers);
  const said = answers.filter(({ ok }) => ok);
  const refused = [...new Set(answers.filter(({ ok }) => !ok).map(({ text }) => text))];
  const sections = said
    .flatMap((answer) => answer.sections)
    .map((section, index) => ({ section, index }))
    .sort((a, b) => (a.section.at ?? Infinity) - (b.section.at ?? Infinity) || a.index - b.index)
    .map(({ section }) => section);
  const several = said.length > 1;
  // What several say alike is said once, and what one has nothing of is no news where another has.
  const texts = several && sections.length > 0 ? [] : [...new Set(said.map(({ text }) => text))];
  const missing =
    silent.length === 0
      ? []
      : [
          `${silent.length === 1 ? 'One gateway' : `${silent.length} gateways`} did not answer: ${silent.join(', ')}.${
            command === 'kill' ? ' What is connected there may live on.' : ''
          }`,
        ];
  const first = [trouble ?? '', ...texts, ...(said.length === 0 ? refused : [])].filter((text) => text !== '');
  const last = [...(said.length === 0 ? [] : refused), ...missing].map((line): Section => ({ lines: [`❗ ${line}`] }));
  return { text: first.join('\n'), sections: [...simulated, ...sections, ...last] };
}

/** What each gateway's trail says of a rule, added up. */
function simulation(answers: readonly Answer[]): Section[] {
  const all = answers.flatMap(({ simulated }) => simulated ?? []);
  if (all.length === 0) return [];
  const sum = (of: (one: (typeof all)[number]) => number) => all.reduce((total, one) => total + of(one), 0);
  const number = (n: number) => n.toLocaleString('en-US');
  const agents = new Map<string, number>();
  for (const { name, count } of all.flatMap((one) => one.agents)) agents.set(name, (agents.get(name) ?? 0) + count);
  const whose = [...agents].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name}: ${number(count)}`);
  const samples = all
    .flatMap((one) => one.samples)
    .sort((a, b) => b.at - a.at)
    .slice(0, 3)
    .map(({ at, headline, agent, verdict }) => `${day(at)} ${agent}: ${headline} (${verdict})`);
  const unknown = sum((one) => one.unknown);
  return [
    {
      title: `Of ${number(sum((one) => one.operations))} operations`,
      lines: [
        `${number(sum((one) => one.held))} it would have held, ${number(sum((one) => one.denied))} denied`,
        `${number(sum((one) => one.allowed))} it would have let pass that were held or denied`,
        ...(unknown > 0 ? [`${number(unknown)} are not recorded well enough to say`] : []),
        ...(whose.length > 0 ? [`Whose: ${whose.slice(0, 10).join(', ')}`] : []),
        ...samples,
      ],
    },
  ];
}
