/** What came of all cells, as the README shows it. */
import { CELLS, type Result, STAGES } from './cell.ts';
import { FAILURES, PARTS } from './failures.ts';
import { SPECIALS } from './special.ts';
import type { Seen } from './witness.ts';

const BEGIN = '<!-- chaos: made by `npm run soak -- chaos --readme` -->';
const END = '<!-- /chaos -->';

const SHOWN = {
  paused: 'paused for 12 s',
  killed: 'killed',
  cut: 'cut off for 8 s',
  slow: 'slowed by 500 ms',
} as const;
const NAMES = { gateway: 'Gateway', bot: 'Bot', redis: 'Redis', postgres: 'PostgreSQL', slack: 'Slack' } as const;

export const heard = (client: Seen['client']): string => {
  switch (client.kind) {
    case 'done':
      return `\`${client.tag}\``;
    case 'error':
      return client.sqlstate;
    case 'lost':
      return 'connection lost';
    case 'waiting':
      return 'nothing';
  }
};

/** `once · UPDATE 1`, `refused · 57P03`, `unknown, ran 0 · 08006`. */
function told(result: Result | undefined): string {
  if (!result) return '';
  const { verdict, seen } = result;
  const ran = verdict === 'unknown' ? `unknown, ran ${seen.runs}` : (verdict ?? '**failed**');
  return `${ran} · ${heard(seen.client)}`;
}

export function markdown(results: readonly Result[]): string {
  const byName = new Map(results.map((result) => [result.name, result]));
  const rows = PARTS.flatMap((part) =>
    FAILURES.flatMap((failure) => {
      const cells = CELLS.filter((cell) => cell.part === part && cell.failure === failure);
      if (!cells.some(({ name }) => byName.has(name))) return [];
      const cellsTold = STAGES.map((when) => told(byName.get(cells.find((cell) => cell.when === when)?.name ?? '')));
      return [`| ${NAMES[part]} ${SHOWN[failure]} | ${cellsTold.join(' | ')} |`];
    }),
  );
  const specials = SPECIALS.flatMap(({ name, about }) => {
    const result = byName.get(name);
    return result ? [`| ${about} | ${told(result)} | ${quoted(result)} |`] : [];
  });
  const slowest = Math.max(0, ...results.map(({ trueAfter }) => trueAfter));
  return [
    `| | ${STAGES.join(' | ')} |`,
    `|---|${STAGES.map(() => '---|').join('')}`,
    ...rows,
    '',
    '| a worse day | what came of it | what the client read |',
    '|---|---|---|',
    ...specials,
    '',
    `${results.length} cells, ${results.filter(({ verdict }) => verdict).length} of them without a contradiction; the slowest was true ${Math.ceil(slowest)} s after everything was back.`,
    '',
  ].join('\n');
}

const quoted = ({ seen: { client } }: Result): string =>
  client.kind === 'error' || client.kind === 'lost' ? client.message.replaceAll('|', '\\|') : heard(client);

/** The text with the table between its markers. @throws Error where they are not there. */
export function withTable(text: string, table: string): string {
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END);
  if (from < 0 || to < from) throw new Error(`README.md has no ${BEGIN} … ${END}`);
  return `${text.slice(0, from + BEGIN.length)}\n\n${table}\n${text.slice(to)}`;
}
