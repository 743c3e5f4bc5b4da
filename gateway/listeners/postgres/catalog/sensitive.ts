/** Where PostgreSQL itself keeps, or shows, values of tables and other sessions' statements. Names only. */

/** Columns of its own relations, and of pg_stat_statements. A release that lacks one has nothing to hide there. */
export const SENSITIVE_COLUMNS: ReadonlyMap<string, readonly string[]> = new Map([
  ['pg_stat_activity', ['query']],
  [
    'pg_stats',
    ['most_common_vals', 'histogram_bounds', 'most_common_elems', 'range_bounds_histogram', 'range_length_histogram'],
  ],
  ['pg_stats_ext', ['most_common_vals']],
  ['pg_stats_ext_exprs', ['most_common_vals', 'histogram_bounds', 'most_common_elems']],
  ['pg_statistic', ['stavalues1', 'stavalues2', 'stavalues3', 'stavalues4', 'stavalues5']],
  ['pg_statistic_ext_data', ['stxdmcv', 'stxdexpr']],
  ['pg_attribute', ['attmissingval']], // what rows hold that are older than the column
  ['pg_prepared_statements', ['statement']],
  ['pg_cursors', ['statement']],
  ['pg_prepared_xacts', ['gid']],
  ['pg_largeobject', ['data']],
  ['pg_locks', ['classid', 'objid', 'objsubid']], // keys of advisory locks
  ['pg_stat_statements', ['query']],
]);

/** Functions behind those views, harmless otherwise: name → the view that shows the same. */
export const REVEALING_FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ['pg_stat_get_activity', 'pg_stat_activity'],
  ['pg_stat_get_backend_activity', 'pg_stat_activity'],
  ['pg_cursor', 'pg_cursors'],
  ['pg_prepared_statement', 'pg_prepared_statements'],
  ['pg_prepared_xact', 'pg_prepared_xacts'],
  ['pg_lock_status', 'pg_locks'],
]);
