/** A recording taken away as a file: its lines as they are, or one row for each operation, which no spreadsheet runs. */
import { csvCell } from '../../csv.ts';
import type { RecordedEvent, RecordedHead } from '../../recordings/shape.ts';
import { type Item, isOver, Timeline } from './timeline.ts';

type Lines = AsyncIterable<RecordedHead | RecordedEvent>;

const MOST_OPEN = 5_000; // operations that wait for their end before theirs; then they are written as they are
const PIECE = 1 << 16; // characters written at once

/** As recorded, line by line. @throws as `lines` does */
export async function* jsonLines(lines: Lines): AsyncGenerator<string> {
  let text = '';
  for await (const line of lines) {
    text += `${JSON.stringify(line)}\n`;
    if (text.length < PIECE) continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
}

const COLUMNS = [
  'time',
  'operation',
  'verdict',
  'headline',
  'statement',
  'parameters',
  'rules',
  'hold',
  'hold_end',
  'held_ms',
  'votes',
  'released',
  'outcome',
  'tag',
  'rows',
  'ms',
  'sqlstate',
  'message',
] as const;

/** @throws as `lines` does */
export async function* csv(lines: Lines): AsyncGenerator<string> {
  const timeline = new Timeline();
  const open: Item[] = [];
  let text = `\ufeff${COLUMNS.join(',')}\r\n`;
  for await (const line of lines) {
    if (line.kind === 'rows' || line.kind === 'copy' || line.kind === 'columns') continue; // of operations alone
    const begins = timeline.begins(line);
    const item = timeline.take(line);
    if (begins && item) open.push(item);
    while (open[0] && ((isOver(open[0]) && open.length > 1) || open.length > MOST_OPEN)) text += taken(open, timeline);
    if (text.length < PIECE) continue;
    yield text;
    text = '';
  }
  while (open.length > 0) text += taken(open, timeline);
  yield text;
}

function taken(open: Item[], timeline: Timeline): string {
  const item = open.shift();
  if (!item) return '';
  timeline.forget(item.id);
  return row(item, timeline.head?.startedAt ?? 0);
}

function row(
  { t, id, verdict, headline, statement, parameters, rules, why, before, held, outcome }: Item,
  from: number,
): string {
  const at = (ms: number | undefined) => (ms === undefined ? '' : new Date(from + ms).toISOString());
  const cast = [...before, ...(held ? [held] : [])].flatMap((one) => one.votes);
  const votes = cast.map(({ name, user, decision, counted, reason, why: objection }) =>
    [`${name || user} ${decision || 'note'}${counted ? '' : ' (not counted)'}`, reason, objection]
      .filter((one) => one !== '')
      .join(': '),
  );
  const values = [
    at(t),
    id,
    verdict,
    headline,
    statement,
    parameters.length === 0 ? '' : JSON.stringify(parameters),
    rules.join(' '),
    held?.id,
    held?.settled?.state,
    held?.settled && held.settled.t - held.t,
    votes.join('; '),
    at(held?.released),
    outcome?.kind,
    outcome?.tag,
    outcome?.rows,
    outcome?.ms,
    outcome?.code,
    outcome?.words || held?.settled?.reason || why,
  ];
  return `${values.map(csvCell).join(',')}\r\n`;
}
