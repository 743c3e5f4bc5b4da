/** Errors and notices of statements that touch masked columns: their words are withheld, what happened is still said. */
import * as build from '../builders.ts';
import { parseServerMessage, type ServerMessage } from '../messages.ts';
import type { Frame } from '../wire.ts';
import { STANDARD_SQLSTATES } from './sqlstates.ts';

/**
 * Where the server understands a text, before it has seen a row: unknown columns, missing operators, wrong arguments.
 * Not among them: what also reads names out of values at run time (regclass and its kin: namespace.c, regproc.c,
 * parse_type.c, scan.l, gram.y).
 */
const BEFORE_ANY_ROW = new Set([
  'analyze.c',
  'parse_agg.c',
  'parse_clause.c',
  'parse_coerce.c',
  'parse_cte.c',
  'parse_expr.c',
  'parse_func.c',
  'parse_merge.c',
  'parse_oper.c',
  'parse_param.c',
  'parse_relation.c',
  'parse_target.c',
]);

const WITHHELD =
  'the server’s message is withheld: the statement touches masked columns, and its text may show a value';
const HINT = 'The SQLSTATE says what kind of error it is. Try it on rows without masked columns, or ask for a reveal.';

/** SQLSTATE class 42 is "syntax error or access rule violation". */
const isAboutTheText = ({ sqlstate, fields }: ServerMessage): boolean =>
  sqlstate.startsWith('42') && BEFORE_ANY_ROW.has(fields.get('F') ?? '');

export type Scrubbed = {
  /** What the client gets in its place. */
  readonly bytes: Buffer;
  /** The same for audit and card. */
  readonly message: string;
  readonly sqlstate: string;
};

/**
 * An ErrorResponse or NoticeResponse without anything that may have come out of a row: severity, SQLSTATE (a standard
 * one) and position are kept. Errors about the text itself pass whole; undefined then.
 */
export function scrub(frame: Frame): Scrubbed | undefined {
  const said = parseServerMessage(frame);
  if (isAboutTheText(said)) return undefined;
  const sqlstate = STANDARD_SQLSTATES.has(said.sqlstate) ? said.sqlstate : 'XX000';
  const severity = SEVERITIES.has(said.severity) ? said.severity : 'ERROR';
  const position = said.fields.get('P');
  const isError = frame.type === 0x45;
  const report = {
    severity,
    sqlstate,
    message: WITHHELD,
    hint: HINT,
    ...(position !== undefined && /^\d{1,9}$/.test(position) ? { position } : {}),
  };
  return {
    bytes: isError ? build.errorResponse(report) : build.noticeResponse(report),
    message: WITHHELD,
    sqlstate,
  };
}

const SEVERITIES = new Set(['ERROR', 'FATAL', 'PANIC', 'WARNING', 'NOTICE', 'DEBUG', 'INFO', 'LOG']);
