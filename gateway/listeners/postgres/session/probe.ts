/** Asking the target about the session itself, unseen by the client: its settings, and what its names stand for. */
import { randomBytes } from 'node:crypto';
import * as build from '../builders.ts';
import type { Stay } from './stay.ts';

/** No ParameterStatus reports these on every release. SHOW runs no function and takes no snapshot. */
const SETTINGS = ['search_path', 'role'];
const STATEMENTS = 'SELECT name, statement FROM pg_catalog.pg_prepared_statements';
const CURSORS = 'SELECT name, statement FROM pg_catalog.pg_cursors';

type Row = readonly (string | undefined)[];

/** Read again what may have changed. Resolves when it is known, or the session is over. */
export async function readFrame(stay: Stay): Promise<void> {
  const { replies } = stay;
  const settings = SETTINGS.map((setting) => ask(stay, `SHOW ${setting}`));
  const doubtful = stay.namesDoubtful;
  const statements = doubtful ? ask(stay, STATEMENTS) : [];
  const cursors = doubtful ? ask(stay, CURSORS) : [];
  stay.open = true;
  stay.finishSegment();
  stay.toTarget.flush();
  while (!replies.empty && !stay.over) await replies.changed();
  if (stay.over) return;
  for (const [i, setting] of SETTINGS.entries()) {
    const value = settings[i]?.[0]?.[0];
    if (value !== undefined) stay.frame.set(setting, value);
  }
  stay.frame.stale = settings.some((rows) => rows.length !== 1);
  if (doubtful) forgetOthers(stay, new Map(statements.map(pair)), new Map(cursors.map(pair)));
}

const pair = ([name = '', statement = '']: Row): [string, string] => [name, statement];

/** Names that do not stand for what the gateway saw them made of are unknown from now on. */
function forgetOthers(stay: Stay, statements: ReadonlyMap<string, string>, cursors: ReadonlyMap<string, string>): void {
  const { names } = stay;
  for (const [name, { source }] of [...names.statements.entries()]) {
    if (name !== '' && statements.get(name) !== source) names.statements.confirm(name, undefined);
  }
  for (const [name, { source }] of [...names.portals.entries()]) {
    if (name !== '' && cursors.get(name) !== source) names.confirmPortal(name, undefined);
  }
  stay.namesDoubtful = false;
}

/** Queue one query; its rows are there when the segment is answered. */
function ask(stay: Stay, text: string): Row[] {
  const name = `countersign_${randomBytes(8).toString('hex')}`; // meets no name of the client's
  const own = true;
  const rows: Row[] = [];
  const { replies, toTarget } = stay;
  toTarget.add(
    Buffer.concat([
      build.parse(name, text),
      build.bind(name, name),
      build.execute(name),
      build.close('P', name),
      build.close('S', name),
    ]),
  );
  const pieces: Buffer[] = [];
  replies.push({ kind: 'parse', own, name, statement: undefined });
  replies.push({ kind: 'bind', own, name, portal: undefined });
  replies.push({
    kind: 'execute',
    own,
    portal: undefined,
    facts: undefined,
    run: undefined,
    copies: 0,
    collect: (piece, last) => {
      pieces.push(piece);
      if (last) rows.push(...wholeRows(Buffer.concat(pieces.splice(0))));
    },
  });
  replies.push({ kind: 'close', own, of: 'P', name });
  replies.push({ kind: 'close', own, of: 'S', name });
  return rows;
}

function wholeRows(bytes: Buffer): Row[] {
  const rows: Row[] = [];
  for (let at = 0; at < bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) {
    rows.push(columns(bytes.subarray(at, at + 1 + bytes.readUInt32BE(at + 1))));
  }
  return rows;
}

/** A DataRow's columns as text. @throws RangeError when it lies about a length: the session ends */
function columns(row: Buffer): Row {
  const values: (string | undefined)[] = [];
  let at = 7;
  for (let left = row.readUInt16BE(5); left > 0; left--) {
    const length = row.readInt32BE(at);
    at += 4;
    if (length > row.length - at) throw new RangeError('a column longer than its row');
    values.push(length < 0 ? undefined : row.subarray(at, at + length).toString('utf8'));
    at += Math.max(0, length);
  }
  return values;
}
