/** For tests of results under budgets: a table to read, a budget, and what came in short. */
import { parseServerMessage } from '../../gateway/listeners/postgres/messages.ts';
import type { Frame } from '../../gateway/listeners/postgres/wire.ts';
import type { Budget } from '../../gateway/policy/policy.ts';

/** `big` has 50,000 rows, more than any buffer on the way holds. */
export const BIG = `create table t (id int, v text);
  create table big as select n as id, 'value ' || n as v, repeat('x', 90) as pad from generate_series(1, 50000) n`;

export const limit = (of: 'rows' | 'bytes', most: number, rule = 'exports'): Budget => ({
  key: `${rule} ${of}`,
  count: rule,
  rule,
  limit: { of, per: 'statement', most },
  verdict: 'deny',
  why: 'enough',
});

/** `T D×1000 N`: what came, in short. */
export function short(frames: readonly Frame[]): string {
  const parts: string[] = [];
  let rows = 0;
  const flush = (type: string) => {
    if (rows > 0) parts.push(`${type}×${rows}`);
    rows = 0;
  };
  let counted = 'D';
  for (const frame of frames) {
    const type = String.fromCharCode(frame.type);
    if (type === 'D' || type === 'd') {
      counted = type;
      rows++;
      continue;
    }
    flush(counted);
    if (type === 'Z') parts.push(`Z(${String.fromCharCode(frame.bytes[5]!)})`);
    else if (type === 'C') parts.push(`C(${frame.bytes.subarray(5, -1)})`);
    else if (type === 'E') parts.push(`E(${parseServerMessage(frame).sqlstate})`);
    else parts.push(type);
  }
  flush(counted);
  return parts.join(' ');
}
