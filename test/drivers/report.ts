/** The conformance table, made from what clients saw; and its place in README.md. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from './clients.ts';
import type { Step } from './story.ts';
import { repository } from './toolchains.ts';

export type Row = {
  readonly client: Client;
  readonly version?: string;
  readonly skipped?: string;
  readonly played: Record<string, { steps: Record<string, Step>; notices: readonly string[]; failure?: string }>;
};

const FROM = '<!-- drivers: from here on made by `npm run drivers -- --readme` -->';
const TO = '<!-- drivers: to here -->';

/** One line for each client. A cell says what was seen; `–` means that the client has no means for it. */
export function table(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const { client } = row;
    if (row.skipped) return `| ${client.name} | skipped: ${row.skipped} |${' |'.repeat(8)}`;
    const cell = (names: readonly string[], show: (step: (name: string) => Step | undefined) => string) => {
      if (names.some((name) => client.without?.[name])) return '–';
      if (names.some((name) => !row.played[name] || row.played[name]?.failure)) return '**no**';
      return show((step) => row.played[names[0] ?? '']?.steps[step]);
    };
    const error = (step: Step | undefined) => named(step?.error);
    const shown = [
      `${client.name.replace(/ v?\d+$/, '')} ${row.version ?? ''}`,
      cell(['approve'], () => client.words.shows),
      cell(['approve'], (step) => (client.counts ? `${step('held')?.value} rows` : 'goes on')),
      cell(['deny'], (step) => error(step('held'))),
      cell(['expire'], (step) => error(step('held'))),
      cell(['begin-approve', 'begin-deny'], () => 'yes'),
      cell(['prepared'], () => 'yes'),
      cell(['pipelined'], () => 'yes'),
      cell(['cancel'], () => client.words.cancel),
      cell(['timeout'], () => client.words.timeout),
    ];
    return `| ${shown.join(' | ')} |`;
  });
  return [
    '| client | shows while waiting | approve | deny | expiry | in BEGIN | prepared | pipelined | cancel | timeout |',
    '|---|---|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

const named = (error: Step['error']): string =>
  error ? `\`${error.class}\`${error.sqlstate ? ` ${error.sqlstate}` : ''}` : '';

/** Puts the table between the marks; fails where they are not there. */
export async function intoReadme(text: string): Promise<void> {
  const path = join(repository, 'README.md');
  const readme = await readFile(path, 'utf8');
  const [from, to] = [readme.indexOf(FROM), readme.indexOf(TO)];
  if (from < 0 || to < from) throw new Error('README.md has no place for the drivers’ table');
  await writeFile(path, `${readme.slice(0, from + FROM.length)}\n\n${text}\n\n${readme.slice(to)}`);
}
