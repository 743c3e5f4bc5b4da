/** The `masking` section: what is masked for whom on which connection, and the keys of a connection that belong to it. */
import { z } from 'zod';
import { DETECTORS } from '../masking/detectors.ts';
import { patternMistake } from '../masking/patterns.ts';
import type { ColumnPattern, MaskFormat } from '../masking/profile.ts';
import { MAX_PATTERN, MAX_STARS } from '../policy/glob.ts';
import { section } from './problems.ts';
import { line } from './units.ts';

const MAX_COLUMNS = 10_000;
export const MAX_PATTERNS = 50; // each is a pass of its own over whatever its literal does not rule out
const MAX_FIXED = 200; // characters; one stands in every masked value

const list = <T extends z.ZodType>(item: T, expected: string, most: number) =>
  z.array(item, { error: expected }).min(1, 'expected at least one').max(most, `expected at most ${most}`);

const CONNECTION = 'expected the name of a connection, * standing for any run of characters';
const connectionName = line(CONNECTION, MAX_PATTERN).refine(fewStars, `expected at most ${MAX_STARS} *`);
const connections = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  list(connectionName, 'expected a connection or a list of connections', 1_000),
);

const COLUMN = 'expected schema.table.column, * standing for any run of characters: public.customers.ssn, "*.*.card"';
const column = line(COLUMN).transform((text, context): ColumnPattern => {
  const [schema, table, name, ...more] = dotted(text) ?? [];
  if (schema && table && name && more.length === 0 && [schema, table, name].every(fewStars)) {
    return { schema, table, column: name };
  }
  context.addIssue({ code: 'custom', message: COLUMN });
  return z.NEVER;
});

function fewStars(text: string): boolean {
  return text.split('*').length - 1 <= MAX_STARS;
}

/** `public."Odd.Name".ssn` in its parts, quotes taken off, a doubled one inside kept once; undefined where they do not close. */
function dotted(text: string): string[] | undefined {
  const parts: string[] = [];
  let rest = text;
  for (;;) {
    const [whole, quoted, bare = ''] = /^(?:"((?:[^"]|"")+)"|([^".]+))(?=\.|$)/.exec(rest) ?? [];
    if (whole === undefined) return undefined;
    parts.push(quoted?.replaceAll('""', '"') ?? bare);
    rest = rest.slice(whole.length);
    if (rest === '') return parts;
    rest = rest.slice(1);
  }
}

const FORMAT = 'expected redact, last4, partial, hash, null or fixed: TEXT';
const FIXED = `expected a text of 1 to ${MAX_FIXED} characters`;
const fixedText = line(FIXED, MAX_FIXED).max(MAX_FIXED, FIXED);
const format = z.unknown().transform((value, context): MaskFormat => {
  const mistaken = (message: string) => {
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  };
  if (value === null) return { kind: 'null' }; // YAML's own null, which `as: null` is
  if (typeof value === 'object') {
    const { fixed, ...others } = value as { readonly fixed?: unknown };
    if (fixed === undefined || Object.keys(others).length > 0) return mistaken(FORMAT);
    const text = fixedText.safeParse(fixed);
    return text.success ? { kind: 'fixed', text: text.data } : mistaken(FIXED);
  }
  if (value === 'redact' || value === 'last4' || value === 'partial' || value === 'hash' || value === 'null') {
    return { kind: value };
  }
  const [, fixed] = typeof value === 'string' ? (/^fixed:[ ]*(.*)$/su.exec(value) ?? []) : [];
  const text = fixed === undefined ? undefined : fixedText.safeParse(fixed);
  if (text?.success) return { kind: 'fixed', text: text.data };
  return mistaken(text ? FIXED : FORMAT);
});

const adminPattern = section({
  name: line('expected a name for what it finds', 63),
  pattern: z.string({ error: 'expected a regular expression' }).superRefine((source, context) => {
    const mistake = patternMistake(source);
    if (mistake !== undefined) context.addIssue({ code: 'custom', message: mistake });
  }),
});

/** An entry of `masking`. */
export const maskingRule = section({
  connection: connections,
  columns: list(column, 'expected a list of schema.table.column', MAX_COLUMNS).default([]),
  detect: list(
    z.enum(DETECTORS, { error: `expected one of ${DETECTORS.join(', ')}` }),
    `expected a list of ${DETECTORS.join(', ')}`,
    DETECTORS.length,
  ).default([]),
  patterns: list(adminPattern, 'expected a list of name and pattern', MAX_PATTERNS).default([]),
  as: format.default({ kind: 'redact' }),
  except: section({
    groups: list(line('expected a group', MAX_PATTERN), 'expected a list of groups', 1_000),
  }).optional(),
}).refine(
  ({ columns, detect, patterns }) => columns.length + detect.length + patterns.length > 0,
  'expected columns, detect or patterns: without them nothing is masked',
);

export const maskingSection = z.array(maskingRule, { error: 'expected a list of masking rules' }).max(10_000);

const FUNCTION = 'expected schema.function, like public.initials';
const functionName = line(FUNCTION, 200).refine((text) => dotted(text)?.length === 2 && !text.includes('*'), FUNCTION);
const plainList = <T extends z.ZodType>(item: T, expected: string) =>
  z.array(item, { error: expected }).max(1_000).default([]);

/** What a connection says about its masked columns. */
export const connectionMaskingShape = {
  predicates: z
    .enum(['audit', 'equality-only', 'hold'], { error: 'expected audit, equality-only or hold' })
    .default('audit'),
  pure: plainList(functionName, 'expected a list of schema.function'),
  trusted_extensions: plainList(line('expected the name of an extension', 63), 'expected a list of extensions'),
};
