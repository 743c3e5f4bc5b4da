/** SQL as the oracle understands it, and what a server would say of it. */

import { FAILING_STATEMENT } from '../../gateway/listeners/postgres/session/refusal.ts';
import type { StatementFacts } from '../../gateway/listeners/postgres/types.ts';
import { types } from '../../gateway/listeners/postgres/wire.ts';
import type { Operation } from '../../gateway/operation.ts';
import { TinyInspector } from '../support/tiny-inspector.ts';
import { frame as message } from './fuzz-grammar.ts';

/** What a name stands for at the target. */
export type Made = { readonly text: string; readonly source: string; readonly facts: StatementFacts | undefined };
export type Portal = Made & {
  permitted: boolean;
  readonly fits: (operation: Operation) => boolean;
  started: boolean;
  /** WITH HOLD, and whether it was committed. */
  readonly cursor?: boolean;
  kept?: boolean;
};

/** The codec of a target: any client message, of any length. */
export const CODEC = {
  maxFrameBytes: 1 << 26,
  streamed: types('d'), // a client may declare a gigabyte of COPY data: it passes in pieces
  streamAboveBytes: 1 << 16,
  allowed: types('QPBDCESHXdcfpF'),
};

export class SqlError extends Error {}

const LEAVES = ['commit', 'rollback', 'rollback-to', 'prepare'];
export const TAG: Readonly<Record<string, string>> = {
  read: 'SELECT 1',
  delete: 'DELETE 1',
  insert: 'INSERT 0 1',
  update: 'UPDATE 1',
};
export const ROW = message('D', Buffer.from([0, 1, 0, 0, 0, 1, 0x31]));
export const COLUMNS = message('T', Buffer.from([0, 1]), Buffer.from('a\0'), Buffer.alloc(16), Buffer.from([0, 0]));
const inspector = new TinyInspector();

export function understood(text: string): readonly StatementFacts[] {
  if (text === FAILING_STATEMENT) throw new SqlError('syntax error');
  inspector.frames.length = 0;
  try {
    return inspector.inspect(text, { frame: '' }) as readonly StatementFacts[];
  } catch {
    throw new SqlError('syntax error');
  }
}

export const leaves = ({ session }: StatementFacts): boolean =>
  session.kind === 'transaction' && LEAVES.includes(session.verb);

export function runsNothing(text: string): boolean {
  try {
    return understood(text).length === 0;
  } catch {
    return true; // nothing that can be bound came of it
  }
}

export function dataRow(values: readonly (string | undefined)[]): Buffer {
  const parts = values.map((value = '') => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  });
  return message('D', Buffer.from([0, parts.length]), ...parts);
}
