/** How a COPY … TO STDOUT lays out its rows: read from the statement's options, as the server reads them. Pure. */
import type { Tree } from '../inspect/parser.ts';
import { listOf, nodeOf, stringOf } from '../inspect/tree.ts';

/** Bytes and texts of one COPY. */
export type CopyShape = {
  readonly format: 'text' | 'csv' | 'binary';
  readonly delimiter: number;
  readonly quote: number;
  /** Inside quotes, what makes a quote or itself part of the value. */
  readonly escapedBy: number;
  readonly nullText: Buffer;
  readonly header: boolean;
};

const byte = (text: string): number | undefined => {
  const bytes = Buffer.from(text);
  return bytes.length === 1 ? bytes[0] : undefined;
};
const OFF = new Set(['false', 'off', '0']);

/** Undefined for a layout that is not understood: another encoding, an option nobody knows. */
export function copyShape(body: Tree): CopyShape | undefined {
  const given = new Map<string, string | true>();
  for (const option of listOf(body.options)) {
    const element = nodeOf(option, 'DefElem');
    const name = typeof element?.defname === 'string' ? element.defname : '';
    const value = element?.arg === undefined ? true : optionText(element.arg);
    if (name === '' || value === undefined || given.has(name)) return undefined;
    given.set(name, value);
  }
  const text = (name: string, fallback: string): string => {
    const value = given.get(name);
    given.delete(name);
    return typeof value === 'string' ? value : fallback;
  };
  const format = text('format', 'text').toLowerCase();
  if (format !== 'text' && format !== 'csv' && format !== 'binary') return undefined;
  const csv = format === 'csv';
  const delimiter = byte(text('delimiter', csv ? ',' : '\t'));
  const quote = text('quote', '"');
  const escapedBy = byte(text('escape', quote));
  const nullText = Buffer.from(text('null', csv ? '' : '\\N'));
  const headerGiven = given.has('header');
  const header = headerGiven && !OFF.has(text('header', 'true').toLowerCase());
  const encoding = text('encoding', 'utf8').toLowerCase().replace('-', '');
  given.delete('force_quote'); // quoted or not, a field is read the same way
  const known = delimiter !== undefined && byte(quote) !== undefined && escapedBy !== undefined && given.size === 0;
  if (!known || (encoding !== 'utf8' && encoding !== 'unicode')) return undefined;
  return { format, delimiter, quote: byte(quote)!, escapedBy, nullText, header };
}

function optionText(arg: unknown): string | true | undefined {
  const text = stringOf(arg);
  if (text !== undefined) return text;
  const integer = nodeOf(arg, 'Integer');
  if (integer) return String(integer.ival ?? 0);
  const boolean = nodeOf(arg, 'Boolean');
  if (boolean) return String(boolean.boolval ?? false);
  return nodeOf(arg, 'A_Star') || Array.isArray(arg) || nodeOf(arg, 'List') ? true : undefined;
}
