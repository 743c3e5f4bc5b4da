/** Which of PostgreSQL's own functions may run inside a plain read: volatility first, then two reviewed lists. */
import { objectName } from './snapshot.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Objects below this oid were made by initdb. */
export const FIRST_USER_OID = 16_384;

/** Declared volatile, yet they only look: nothing is changed, locked, sent, read from files or waited for. */
const VOLATILE_BUT_HARMLESS = words(`
  random random_normal clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 current_query array_sample array_shuffle
  bernoulli system currval lastval pg_database_size pg_relation_size pg_table_size pg_indexes_size
  pg_total_relation_size pg_tablespace_size pg_is_in_recovery pg_current_wal_lsn pg_current_wal_insert_lsn
  pg_current_wal_flush_lsn pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp
  pg_is_wal_replay_paused pg_blocking_pids pg_safe_snapshot_blocking_pids pg_partition_tree pg_partition_ancestors
  pg_sequence_last_value pg_xact_status txid_status pg_xact_commit_timestamp pg_last_committed_xact pg_jit_available
  pg_lock_status pg_notification_queue_usage pg_stat_get_xact_numscans pg_stat_get_xact_tuples_inserted
  pg_stat_get_xact_tuples_updated pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_returned
  pg_stat_get_xact_tuples_fetched
`);

/** Declared stable or immutable, yet they run what their arguments name: a query, a table, a type's input function. */
const RUNS_ITS_ARGUMENT = words(`
  query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema table_to_xml
  table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema
  database_to_xml database_to_xmlschema database_to_xml_and_xmlschema ts_stat ts_rewrite pg_input_is_valid
  pg_input_error_info domain_in domain_recv record_in record_recv array_in array_recv range_in range_recv
  multirange_in multirange_recv pg_notify set_config nextval setval
`);

/** Whole families that change, reveal or reach something besides tables; volatile today, named against tomorrow. */
const NEVER = [
  'lo_',
  'pg_ls_',
  'pg_read_',
  'pg_advisory_',
  'pg_try_advisory_',
  'pg_sleep',
  'pg_logical_',
  'pg_replication_',
  'pg_create_',
  'pg_drop_',
  'pg_stat_reset',
  'pg_wal_replay_',
  'binary_upgrade_',
];

/** Gives back what this session locked, as DISCARD ALL does, which is a session statement: pools end each loan with it. */
const GIVES_BACK = 'pg_advisory_unlock_all';

/** They build values of a type their arguments have; harmless as long as no type in the database runs code. */
const FILLS_TYPES = words(`
  json_populate_record json_populate_recordset jsonb_populate_record jsonb_populate_recordset
  jsonb_populate_record_valid
`);

/** Extensions whose functions compute and nothing else; their volatile ones still count as code. */
const TRUSTED_EXTENSIONS = words(`
  btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore intarray isn ltree pg_trgm pgcrypto seg unaccent
  uuid-ossp vector
`);

/** What an administrator answers for, besides what is known of PostgreSQL itself. */
export type Vouched = {
  /** `schema.function`, whatever its arguments: computes from them alone, changes nothing, reads no table. */
  readonly functions: ReadonlySet<string>;
  /** Extensions whose functions only compute; their volatile ones still count as code. */
  readonly extensions: ReadonlySet<string>;
};
export const NOTHING_VOUCHED: Vouched = Object.freeze({
  functions: new Set<string>(),
  extensions: new Set<string>(),
});

export type FunctionTraits = {
  readonly name: string;
  readonly schema: string;
  /** Made by initdb, in pg_catalog or information_schema. */
  readonly builtin: boolean;
  readonly kind: string;
  readonly volatility: string;
  readonly extension: string | undefined;
  /** Oid of its language. */
  readonly language: string;
};

/** internal and c: what only a superuser can write. Other code may have been put into the extension by its owner. */
const COMPILED = new Set(['12', '13']);

/** Does calling it do nothing but compute from its arguments and what a reader may see? `riskyTypes`: some type runs code. */
export function isHarmless(fn: FunctionTraits, riskyTypes: boolean, vouched = NOTHING_VOUCHED): boolean {
  if (fn.kind === 'p') return false;
  if (fn.builtin && fn.name === GIVES_BACK) return true;
  if (!fn.builtin) {
    if (vouched.functions.has(objectName(fn.schema, fn.name))) return true;
    const { extension } = fn;
    if (extension === undefined) return false;
    if (!TRUSTED_EXTENSIONS.has(extension) && !vouched.extensions.has(extension)) return false;
    return fn.volatility !== 'v' && COMPILED.has(fn.language);
  }
  if (RUNS_ITS_ARGUMENT.has(fn.name) || NEVER.some((family) => fn.name.startsWith(family))) return false;
  if (riskyTypes && FILLS_TYPES.has(fn.name)) return false;
  return fn.volatility !== 'v' || VOLATILE_BUT_HARMLESS.has(fn.name);
}
