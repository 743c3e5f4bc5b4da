/** Asking the target for the session's settings, unseen by the client: SHOW runs no function and takes no snapshot. */
import { randomBytes } from 'node:crypto';
import * as build from '../builders.ts';
import type { Stay } from './stay.ts';

const SETTINGS = ['search_path', 'role'];

/** Read the settings that no ParameterStatus reports on every release. Resolves when they are known or the session is over. */
export async function readFrame(stay: Stay): Promise<void> {
  const name = `countersign_${randomBytes(8).toString('hex')}`; // meets no name of the client's
  const { replies } = stay;
  const values: string[] = [];
  for (const setting of SETTINGS) {
    stay.toTarget.add(
      Buffer.concat([
        build.parse(name, `SHOW ${setting}`),
        build.bind(name, name),
        build.execute(name),
        build.close('P', name),
        build.close('S', name),
      ]),
    );
    const own = true;
    replies.push({ kind: 'parse', own, name, statement: undefined });
    replies.push({ kind: 'bind', own, name, portal: undefined });
    replies.push({
      kind: 'execute',
      own,
      portal: undefined,
      facts: undefined,
      run: undefined,
      copies: 0,
      collect: (row) => values.push(firstColumn(row)),
    });
    replies.push({ kind: 'close', own, of: 'P', name });
    replies.push({ kind: 'close', own, of: 'S', name });
  }
  stay.open = true;
  stay.finishSegment();
  stay.toTarget.flush();
  while (!replies.empty && !stay.over) await replies.changed();
  for (const [i, setting] of SETTINGS.entries()) {
    const value = values[i];
    if (value !== undefined) stay.frame.set(setting, value);
  }
  stay.frame.stale = values.length !== SETTINGS.length;
}

/** A DataRow's first column as text. */
function firstColumn(row: Buffer): string {
  const length = row.readInt32BE(7);
  return length < 0 ? '' : row.subarray(11, 11 + length).toString('utf8');
}
