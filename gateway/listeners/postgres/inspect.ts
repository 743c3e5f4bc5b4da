/** PostgreSQL statements to what they do: parsed by PostgreSQL's grammar, judged against the target's catalogue. */
import type { Parameter } from '../../operation.ts';
import type { Catalog, CatalogState } from './catalog/catalog.ts';
import { describedCatalog } from './catalog/describe.ts';
import { FIRST_USER_OID } from './catalog/harmless.ts';
import { MaskedColumns } from './catalog/masked-columns.ts';
import { objectName, type Snapshot } from './catalog/snapshot.ts';
import { type ClassifyContext, classifyStatement } from './inspect/classify.ts';
import { Known } from './inspect/known.ts';
import { type ParsedStatement, Parser } from './inspect/parser.ts';
import { Replanner } from './inspect/replan.ts';
import { alike, speaksForAll, templated } from './inspect/template.ts';
import { shapeOf } from './shape.ts';
import type { InspectContext, Inspector, StatementFacts } from './types.ts';

const MAX_CACHED_TEXT = 16 * 1024; // UTF-16 units; longer ones are seldom sent twice
const TEMPLATES = 2_000; // distinct ones of one target
const PARAMETER_CHARACTERS = 2_000;

/**
 * @param maskLiteral detectors: a text in, the same text out with what is sensitive replaced
 * @param workerDeadlineMs for one text above 8 KB in the parser's thread
 * @throws GatewayError CONFIG for a server release whose grammar is not at hand
 */
export function createInspector(options: {
  readonly serverMajor: number;
  readonly catalog: Catalog;
  readonly maskLiteral: (text: string) => string;
  readonly cacheEntries: number;
  readonly workerDeadlineMs: number;
}): Inspector {
  const { catalog, maskLiteral, cacheEntries } = options;
  const parser = new Parser({ serverMajor: options.serverMajor, deadlineMs: options.workerDeadlineMs });
  const cache = new Known(cacheEntries);
  const templates = new Known(TEMPLATES);
  const maskedColumns = new MaskedColumns();
  const replanner = new Replanner(parser);
  let cachedFor: Snapshot | undefined;

  const renew = (snapshot: Snapshot | undefined): void => {
    if (snapshot === cachedFor) return;
    cache.clear();
    templates.clear();
    cachedFor = snapshot;
  };
  const remember = (
    text: string,
    context: InspectContext,
    state: CatalogState,
    found: readonly StatementFacts[],
  ): void => {
    if (!state.fresh || text.length > MAX_CACHED_TEXT) return;
    if (state.snapshot !== catalog.current()?.snapshot) return; // judged by what has changed since
    renew(state.snapshot);
    cache.set(context, text, found);
  };

  const judge = (text: string, parsed: readonly ParsedStatement[], context: InspectContext, state: CatalogState) => {
    const { searchPath, profile } = context;
    const guard = maskedColumns.guardOf(state.snapshot, profile);
    const scans = profile?.detection !== undefined;
    const judged = classifyAll(text, parsed, { ...state, searchPath, maskLiteral, guard, scans });
    if (guard) for (const facts of judged.facts) replanner.note(facts, searchPath);
    return judged;
  };

  /** A name nobody knows may be minutes old: look once more, then say so. */
  const judgeTwice = async (
    text: string,
    parsed: readonly ParsedStatement[],
    context: InspectContext,
  ): Promise<readonly StatementFacts[]> => {
    let state = await looked(catalog);
    let judged = judge(text, parsed, context, state);
    if (judged.missing && state.fresh) {
      state = await looked(catalog, true);
      judged = judge(text, parsed, context, state);
    }
    if (!judged.missing) remember(text, context, state, judged.facts);
    return judged.facts;
  };

  return {
    inspect: (text, context) => {
      const state = catalog.current();
      renew(state?.snapshot);
      const known = state?.fresh ? cache.get(context, text) : undefined;
      if (known) return known;
      const plain = state?.fresh ? templated(text) : undefined;
      const like = plain && templates.get(context, plain.template);
      const same = like && alike(plain, like, maskLiteral);
      if (same) return same;
      const parsed = parser.parse(text);
      if (parsed instanceof Promise) return parsed.then((trees) => judgeTwice(text, trees, context));
      if (!state?.fresh) return judgeTwice(text, parsed, context);
      const judged = judge(text, parsed, context, state);
      if (judged.missing) return judgeTwice(text, parsed, context);
      if (!plain || !speaksForAll(judged.facts)) remember(text, context, state, judged.facts);
      else if (state.snapshot === cachedFor) templates.set(context, plain.template, judged.facts);
      return judged.facts;
    },
    shape: async (text, bound, { searchPath }) => {
      const state = catalog.current();
      if (!state?.fresh) return undefined;
      try {
        return shapeOf(await parser.parse(text), bound, { snapshot: state.snapshot, searchPath });
      } catch {
        return undefined; // whatever it is, it is like nothing else
      }
    },
    boundTypes: (types) =>
      types
        .filter((oid) => oid >= FIRST_USER_OID)
        .flatMap((oid) => {
          const type = catalog.current()?.snapshot.typeOf(oid);
          if (type?.harmless) return [];
          const name = type ? objectName(type.schema, type.name) : `oid ${oid}`;
          return [{ action: 'call', object: `type ${name}` } as const];
        }),
    showParameters: (parameters) => parameters.map((parameter) => showParameter(parameter, maskLiteral)),
    catalogueAgeMs: () => catalog.ageMs(),
    masked: (profile) => {
      const state = catalog.current();
      return state && maskedColumns.of(state.snapshot, profile);
    },
    replanned: (guarded, profile) => {
      const state = catalog.current();
      const guard = state && maskedColumns.guardOf(state.snapshot, profile);
      return guard && replanner.again(guarded, state.snapshot, guard);
    },
    refresh: async () => {
      await catalog.refresh();
    },
    close: async () => {
      await Promise.all([parser.close(), catalog.close()]);
    },
  };
}

/** The catalogue now; where it cannot be had, PostgreSQL's own objects alone, marked as not fresh. */
async function looked(catalog: Catalog, again = false): Promise<CatalogState> {
  const known = catalog.current();
  if (known?.fresh && !again) return known;
  const refreshed = await catalog.refresh().catch(() => undefined);
  if (refreshed) return { snapshot: refreshed, fresh: true };
  const last = catalog.current();
  return { snapshot: last?.snapshot ?? describedCatalog({}), fresh: false };
}

function classifyAll(
  text: string,
  parsed: readonly ParsedStatement[],
  context: ClassifyContext,
): { readonly facts: readonly StatementFacts[]; readonly missing: boolean } {
  const bytes = Buffer.byteLength(text) === text.length ? undefined : Buffer.from(text);
  const classified = parsed.map(({ stmt, stmt_location: from = 0, stmt_len: length }) => {
    const to = length ? from + length : undefined;
    const own = bytes ? bytes.subarray(from, to).toString() : text.slice(from, to);
    const blank = Buffer.byteLength(own.slice(0, own.length - own.trimStart().length));
    const { facts, missing } = classifyStatement(stmt, own.trim(), { ...context, from: from + blank });
    for (const effect of facts.effects) Object.freeze(effect);
    Object.freeze(facts.effects); // judged and written down once, however often they are asked about
    return { facts, missing };
  });
  return { facts: classified.map((one) => one.facts), missing: classified.some((one) => one.missing) };
}

/**
 * The same without a database: every statement of the text against a described catalogue.
 * @throws GatewayError UNPARSEABLE | SESSION_FRAME | CONFIG
 */
export async function classify(
  text: string,
  options: {
    readonly serverMajor: number;
    readonly catalog: Snapshot;
    readonly searchPath?: readonly string[];
    readonly maskLiteral?: (text: string) => string;
  },
): Promise<readonly StatementFacts[]> {
  const { serverMajor, searchPath = ['public'], maskLiteral = (literal) => literal } = options;
  const parser = offlineParsers.get(serverMajor) ?? new Parser({ serverMajor, deadlineMs: 5_000 });
  offlineParsers.set(serverMajor, parser);
  const parsed = await parser.parse(text);
  return classifyAll(text, parsed, { snapshot: options.catalog, fresh: true, searchPath, maskLiteral }).facts;
}

/** One a release, for the life of the process: loading a grammar takes longer than reading a file of statements. */
const offlineParsers = new Map<number, Parser>();

function showParameter({ format, value }: Parameter, mask: (text: string) => string): string {
  if (value === null) return 'NULL';
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (format === 'text') return cut(mask(bytes.toString('utf8')), bytes.length);
  // Binary text is the same bytes; the detectors look at it as such before it is shown as hex.
  const asText = bytes.toString('utf8');
  if (mask(asText) !== asText) return `(binary, ${bytes.length} bytes, masked)`;
  return cut(`\\x${bytes.subarray(0, PARAMETER_CHARACTERS).toString('hex')}`, bytes.length);
}

const cut = (text: string, bytes: number): string =>
  text.length > PARAMETER_CHARACTERS ? `${text.slice(0, PARAMETER_CHARACTERS)}… (${bytes} bytes in all)` : text;
