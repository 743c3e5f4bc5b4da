/** What a client was given, taken off the wire: whole rows and pieces of them, text and binary, up to a bound, nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ColumnsEvent, CopyEvent, CutEvent, RowsEvent, SaidEvent } from '../../../recordings/shape.ts';
import * as build from '../builders.ts';
import type { Column } from '../messages.ts';
import type { Reply } from './replies.ts';
import { Taping } from './taping.ts';

type Line = ColumnsEvent | RowsEvent | CopyEvent | CutEvent | SaidEvent;

const column = (name: string, format: 0 | 1): Column => ({ name, tableOid: 0, column: 0, typeOid: 25, format });

function stage(resultBytes = 1_000) {
  const lines: Line[] = [];
  let reply: Reply | undefined;
  const tape = {
    resultBytes,
    given: (members: string) => void lines.push(JSON.parse(`{"t":0,${members}}`)),
    full: () => false,
    end: () => {},
  };
  const taping = new Taping(tape, () => reply);
  const answers = (operation: string | undefined, columns?: readonly Column[]) => {
    const run = operation === undefined ? undefined : { permit: { operation: { id: operation } } };
    reply = { kind: 'query', statements: [], results: [], run, copies: 0, done: 0, columns } as unknown as Reply;
  };
  return { lines, taping, answers };
}

const message = (type: string, body: Buffer): Buffer => {
  const header = Buffer.alloc(5);
  header.write(type, 'latin1');
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
};
const row = (...values: (string | Buffer | null)[]): Buffer => {
  const parts: Buffer[] = [Buffer.from([0, values.length])];
  for (const value of values) {
    const bytes = value === null ? null : Buffer.from(value as string);
    const length = Buffer.alloc(4);
    length.writeInt32BE(bytes ? bytes.length : -1);
    parts.push(length, ...(bytes ? [bytes] : []));
  }
  return message('D', Buffer.concat(parts));
};
const kinds = (lines: readonly Line[]) => lines.map(({ kind }) => kind);

describe('what a client was given', () => {
  it('is rows with their columns, each result’s once, under the operation they answer', () => {
    const { lines, taping, answers } = stage();
    answers('op-1', [column('a', 0), column('b', 0)]);
    taping.given(Buffer.concat([row('1', null), row('ü', ''), message('C', Buffer.from('SELECT 2\0'))]));
    taping.given(row('3', '4'));
    answers('op-2', [column('c', 0)]);
    taping.given(Buffer.concat([row('5'), build.readyForQuery('I')]));
    assert.deepEqual(kinds(lines), ['columns', 'rows', 'rows', 'columns', 'rows']);
    assert.deepEqual(
      lines.map(({ operation }) => operation),
      ['op-1', 'op-1', 'op-1', 'op-2', 'op-2'],
    );
    assert.deepEqual((lines[1] as RowsEvent).rows, [
      ['1', null],
      ['ü', ''],
    ]);
    assert.deepEqual((lines[0] as ColumnsEvent).columns[1], { name: 'b', type: 25, binary: false });
  });

  it('keeps as hex what is binary, what is no text, and what holds a NUL', () => {
    const { lines, taping, answers } = stage();
    answers('op-1', [column('a', 1), column('b', 0), column('c', 0)]);
    taping.given(row('abc', Buffer.from([0xff, 0xfe]), 'a\0b'));
    assert.deepEqual((lines[1] as RowsEvent).rows, [[{ hex: '616263' }, { hex: 'fffe' }, { hex: '610062' }]]);
  });

  it('is each value as it was sent, whatever needs to be escaped in JSON', () => {
    const { lines, taping, answers } = stage();
    answers('op-1');
    const values = ['', 'plain', 'a"b', 'a\\b', 'tab\t', '\u007f', '\u001f', '~', 'é', '"', '\\'];
    const long = [...values.map((value) => value + 'x'.repeat(64))];
    taping.given(row(...values, ...long));
    assert.deepEqual((lines[0] as RowsEvent).rows, [[...values, ...long]]);
  });

  it('is found across messages that come in any pieces', () => {
    const all = Buffer.concat([row('x'.repeat(100)), row('y'.repeat(50)), message('C', Buffer.from('SELECT 2\0'))]);
    for (const size of [5, 7, 64, 200]) {
      const { lines, taping, answers } = stage();
      answers('op-1');
      // As the decoder cuts a long message: its header is whole, and what follows it comes as it came.
      const [first, rest] = [all.subarray(0, row('x'.repeat(100)).length), all.subarray(row('x'.repeat(100)).length)];
      for (let at = 0; at < first.length; at += size) taping.given(first.subarray(at, at + size));
      taping.given(rest);
      const values = lines.filter(({ kind }) => kind === 'rows').flatMap((line) => (line as RowsEvent).rows);
      assert.deepEqual(values, [['x'.repeat(100)], ['y'.repeat(50)]], `${size}`);
    }
  });

  it('is kept up to the bound of one result, says once where that was, and begins anew with the next operation', () => {
    const { lines, taping, answers } = stage(100);
    answers('op-1');
    for (let n = 0; n < 50; n++) taping.given(Buffer.concat([row('0123456789'), row('0123456789')]));
    answers('op-2');
    taping.given(row('again'));
    assert.deepEqual(kinds(lines), ['rows', 'rows', 'cut', 'rows']);
    assert.equal(lines.filter(({ kind }) => kind === 'cut').length, 1);
    assert.equal((lines[3] as RowsEvent).rows.length, 1);
  });

  it('keeps the beginning of one value that is longer than the bound, and how much is missing', () => {
    const { lines, taping, answers } = stage(100);
    answers('op-1');
    const long = row('k'.repeat(500));
    taping.given(long.subarray(0, 60));
    taping.given(long.subarray(60));
    const [[value] = []] = (lines[0] as RowsEvent).rows;
    assert.ok(typeof value === 'object' && value !== null && 'text' in value, JSON.stringify(value));
    assert.equal((value.text as string).length + (value.cut ?? 0), 500);
    assert.deepEqual(kinds(lines), ['rows', 'cut']);
  });

  it('is COPY data as one text', () => {
    const { lines, taping, answers } = stage();
    answers('op-1');
    taping.given(Buffer.concat([message('d', Buffer.from('1\ta\n')), message('d', Buffer.from('2\tb\n'))]));
    assert.equal((lines[0] as CopyEvent).data, '1\ta\n2\tb\n');
  });

  it('is errors, notices and notifications in words, and no other message', () => {
    const { lines, taping, answers } = stage();
    answers(undefined);
    taping.given(build.errorResponse({ severity: 'ERROR', sqlstate: '42501', message: 'no', hint: 'ask' }));
    taping.given(build.noticeResponse({ severity: 'NOTICE', sqlstate: '00000', message: 'held' }));
    taping.given(message('A', Buffer.from('\0\0\0\u0001news\0it’s here\0')));
    taping.given(
      Buffer.concat([message('1', Buffer.alloc(0)), message('2', Buffer.alloc(0)), build.readyForQuery('T')]),
    );
    taping.given(build.parameterStatus('TimeZone', 'UTC'));
    const said = lines as SaidEvent[];
    assert.deepEqual(
      said.map(({ severity, code, message: words }) => [severity, code, words]),
      [
        ['ERROR', '42501', 'no'],
        ['NOTICE', '00000', 'held'],
        ['NOTIFY', '', 'news: it’s here'],
      ],
    );
    assert.equal(said[0]?.hint, 'ask');
    assert.equal(
      (lines as (CutEvent | SaidEvent)[]).some((line) => line.operation !== undefined),
      false,
    );
  });
});
