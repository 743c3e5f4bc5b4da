/** Functions, operators and types: which run code nobody knows, make rows, or tell what other sessions do. */
import { REVEALING_FUNCTIONS } from '../catalog/sensitive.ts';
import { objectName, type Snapshot } from '../catalog/snapshot.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** PostgreSQL's own that return sets, for catalogues that do not say so. */
const SETS = words(`
  generate_series generate_subscripts unnest regexp_matches regexp_split_to_table string_to_table json_array_elements
  json_array_elements_text json_each json_each_text json_object_keys json_populate_recordset json_to_recordset
  jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys jsonb_populate_recordset
  jsonb_to_recordset jsonb_path_query jsonb_path_query_tz aclexplode ts_debug ts_parse ts_stat ts_token_type
  pg_mcv_list_items pg_options_to_table _pg_expandarray each skeys svals pg_get_keywords pg_listening_channels
`);

/** They return one column of a plain type, whatever it is called. */
const ONE_COLUMN = words(`
  generate_series generate_subscripts regexp_split_to_table string_to_table regexp_matches json_array_elements
  json_array_elements_text jsonb_array_elements jsonb_array_elements_text json_object_keys jsonb_object_keys
  jsonb_path_query
`);
const KEY_VALUE = words('json_each json_each_text jsonb_each jsonb_each_text');

/** Of many rows make one: what they give differs with the rows even where their arguments do not. */
const AGGREGATES = words(`
  count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg xmlagg bool_and bool_or
  every bit_and bit_or bit_xor any_value range_agg range_intersect_agg stddev stddev_pop stddev_samp variance var_pop
  var_samp corr regr_count
`);

/** Harmless by declaration; here they give away what is kept elsewhere. */
const MORE_REVEALING = words('pg_stat_statements pg_mcv_list_items lo_get');

const COMPARISONS = ['=', '<>', '<', '>', '<=', '>='];

/** Of one snapshot; remembers what it was asked. */
class Code {
  readonly #snapshot: Snapshot;
  readonly #functions = new Map<string, string | undefined>();
  readonly #operators = new Map<string, string | undefined>();
  readonly #types = new Map<string, string | undefined>();
  #comparisons: string | undefined | null = null;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  /** Why a call of it is asked about; undefined: every function of that name is known to be harmless. */
  call(name: string, schema: string | undefined): string | undefined {
    return remembered(this.#functions, schema, name, () => {
      const found = this.#snapshot.functions(name, schema);
      const code = found.find((one) => !one.harmless);
      if (code) return `calls ${objectName(code.schema, code.name)}, which nobody knows to be harmless`;
      if (REVEALING_FUNCTIONS.has(name) || MORE_REVEALING.has(name)) return `calls ${name}, which shows what others do`;
      if (found.length > 0 || this.#snapshot.types(name, schema).length > 0) return this.type(name, schema, true);
      return `calls ${objectName(schema ?? '?', name)}, a function the catalogue does not know`;
    });
  }

  /** The same for `a.b` where b is no column: PostgreSQL calls b with a, if there is such a function. */
  attribute(name: string): string | undefined {
    return this.names(name) ? this.call(name, undefined) : undefined;
  }

  /** Is there a function, or a type to cast to, of that name? */
  names(name: string): boolean {
    return this.#snapshot.functions(name).length > 0 || this.#snapshot.types(name).length > 0;
  }

  operator(name: string, schema: string | undefined): string | undefined {
    return remembered(this.#operators, schema, name, () => {
      const found = this.#snapshot.operators(name === '!=' ? '<>' : name, schema);
      const code = found.find((one) => !one.harmless);
      if (code) return `uses the operator ${objectName(code.schema, code.name)}, which nobody knows to be harmless`;
      return found.length > 0 ? undefined : `uses ${name}, an operator the catalogue does not know`;
    });
  }

  /** What sorting, grouping, IN, BETWEEN and their kind may call. */
  comparing(): string | undefined {
    if (this.#comparisons === null) {
      this.#comparisons = COMPARISONS.map((name) => this.operator(name, undefined)).find((one) => one !== undefined);
    }
    return this.#comparisons;
  }

  /** @param tolerant a name nobody knows is no type, and none is asked about */
  type(name: string, schema: string | undefined, tolerant = false): string | undefined {
    if (name === '') return undefined;
    const reason = remembered(this.#types, schema, name, () => {
      const found = this.#snapshot.types(name, schema);
      const code = found.find((one) => !one.harmless);
      if (code) return `makes values of ${objectName(code.schema, code.name)}, which runs code`;
      return found.length > 0 ? undefined : UNKNOWN_TYPE;
    });
    if (reason !== UNKNOWN_TYPE) return reason;
    return tolerant ? undefined : `uses the type ${objectName(schema ?? '?', name)}, which the catalogue does not know`;
  }

  /** PostgreSQL's own, and nobody else's. */
  builtinType(name: string): boolean {
    const found = this.#snapshot.types(name);
    return found.length > 0 && found.every((one) => one.schema === 'pg_catalog') && !/^(?:pg|information)_/.test(name);
  }

  returnsSet(name: string): boolean {
    return SETS.has(name) || this.#snapshot.functions(name).some((one) => one.set === true);
  }

  /** Columns of a function in FROM: how many, under which names; undefined: not known. */
  shape(name: string, schema: string | undefined): readonly (string | undefined)[] | undefined {
    if (this.#snapshot.functions(name, schema).some((one) => one.schema !== 'pg_catalog')) return undefined;
    if (ONE_COLUMN.has(name)) return [undefined];
    return KEY_VALUE.has(name) ? ['key', 'value'] : undefined;
  }
}
const UNKNOWN_TYPE = '?';

export type { Code };

export const isAggregate = (name: string): boolean => AGGREGATES.has(name);

const codeOfSnapshot = new WeakMap<Snapshot, Code>();

export function codeOf(snapshot: Snapshot): Code {
  let code = codeOfSnapshot.get(snapshot);
  if (!code) {
    code = new Code(snapshot);
    codeOfSnapshot.set(snapshot, code);
  }
  return code;
}

const MAX_REMEMBERED = 5_000; // names; clients choose them

function remembered(
  known: Map<string, string | undefined>,
  schema: string | undefined,
  name: string,
  find: () => string | undefined,
): string | undefined {
  const key = schema === undefined ? name : `${schema}\0${name}`;
  if (known.has(key)) return known.get(key);
  if (known.size >= MAX_REMEMBERED) known.clear();
  const reason = find();
  known.set(key, reason);
  return reason;
}
