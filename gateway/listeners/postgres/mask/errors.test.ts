import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseServerMessage } from '../messages.ts';
import type { Frame } from '../wire.ts';
import { scrub } from './errors.ts';

function frame(type: 'E' | 'N', fields: Record<string, string>): Frame {
  const body = Buffer.from(
    `${Object.entries(fields)
      .map(([letter, text]) => `${letter}${text}\0`)
      .join('')}\0`,
  );
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeUInt32BE(body.length + 4, 1);
  return { type: head[0]!, bytes: Buffer.concat([head, body]), first: true, last: true };
}

const everything = {
  S: 'ERROR',
  V: 'ERROR',
  C: '23502',
  M: 'null value in column "name" of relation "customers" 078-05-1120',
  D: 'Failing row contains (1, null, 078-05-1120).',
  H: '078-05-1120',
  W: 'SQL function "f" 078-05-1120',
  q: "select '078-05-1120'",
  s: '078-05-1120',
  t: '078-05-1120',
  c: '078-05-1120',
  d: '078-05-1120',
  n: '078-05-1120',
  P: '17',
  F: 'execMain.c',
  R: '078-05-1120',
};

describe('what the server says of a statement that touches masked columns', () => {
  it('keeps severity, SQLSTATE and position, and nothing that could have come out of a row', () => {
    const scrubbed = scrub(frame('E', everything));
    assert.ok(scrubbed);
    assert.ok(!scrubbed.bytes.includes('078-05-1120'));
    const said = parseServerMessage({ type: 0x45, bytes: scrubbed.bytes, first: true, last: true });
    assert.deepEqual([said.severity, said.sqlstate, said.fields.get('P')], ['ERROR', '23502', '17']);
    assert.match(said.message, /withheld/);
    assert.ok(!scrubbed.message.includes('078'));
  });

  it('loses an SQLSTATE, a severity and a position that PostgreSQL does not use', () => {
    const scrubbed = scrub(frame('E', { ...everything, C: 'K4111', S: '4111', V: '4111', P: '078-05-1120' }));
    assert.ok(scrubbed);
    const said = parseServerMessage({ type: 0x45, bytes: scrubbed.bytes, first: true, last: true });
    assert.deepEqual([said.severity, said.sqlstate, said.fields.get('P')], ['ERROR', 'XX000', undefined]);
  });

  it('withholds notices in the same way', () => {
    const scrubbed = scrub(frame('N', { ...everything, S: 'NOTICE', V: 'NOTICE', C: '00000' }));
    assert.equal(scrubbed?.bytes[0], 'N'.charCodeAt(0));
    assert.ok(!scrubbed?.bytes.includes('078-05-1120'));
  });

  it('passes errors about the text itself, raised before any row was seen', () => {
    const about = { S: 'ERROR', V: 'ERROR', C: '42703', M: 'column "nmae" does not exist', F: 'parse_relation.c' };
    assert.equal(scrub(frame('E', about)), undefined);
  });

  it('withholds the same SQLSTATE where it names something that came out of a value', () => {
    const regclass = { S: 'ERROR', V: 'ERROR', C: '42P01', M: 'relation "078-05-1120" does not exist' };
    for (const F of ['namespace.c', 'regproc.c', 'parse_type.c', 'scan.l', 'pl_exec.c']) {
      assert.ok(scrub(frame('E', { ...regclass, F })), F);
    }
    assert.ok(scrub(frame('E', { ...regclass, C: '22P02', F: 'parse_relation.c' })), 'another class');
    assert.ok(scrub(frame('E', regclass)), 'no file named');
  });
});
