/** SET, RESET and their kin: which settings are harmless, which are pinned, which the verdicts depend on. */
import { GatewayError } from '../../../errors.ts';
import type { SessionEffect } from '../types.ts';
import type { Findings } from './findings.ts';
import type { Tree } from './parser.ts';
import { listOf, nodeOf, textOf, treeOf } from './tree.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Parser and server agree only while these stand; every other value is refused. */
const PINNED: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['client_encoding', words('utf8 utf-8 unicode')],
  ['standard_conforming_strings', words('on true yes 1')],
  ['backslash_quote', words('safe_encoding')],
]);

/** They change how results look, how long things may take, or how a plan is chosen; never what is done to what. */
const HARMLESS = words(`
  application_name datestyle timezone intervalstyle extra_float_digits bytea_output client_min_messages
  statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout
  deadlock_timeout escape_string_warning lc_monetary lc_numeric lc_time lc_messages xmlbinary
  default_transaction_isolation default_transaction_deferrable transaction_isolation transaction_deferrable
  geqo jit random_page_cost seq_page_cost cpu_tuple_cost effective_cache_size from_collapse_limit
  join_collapse_limit plan_cache_mode max_parallel_workers_per_gather tcp_keepalives_idle tcp_keepalives_interval
  tcp_keepalives_count tcp_user_timeout
`);

const isHarmless = (name: string, value: string): boolean =>
  HARMLESS.has(name) || /^enable_[a-z_]+$/.test(name) || (READ_ONLY.has(name) && ON.has(value));
const READ_ONLY = words('default_transaction_read_only transaction_read_only');
const ON = words('on true yes 1');

/**
 * VariableSetStmt: adds `session` or `unknown` to the findings; says how the frame changes. A reset returns to what
 * the start-up packet said: value `DEFAULT`, and setting `ALL` for RESET ALL.
 * @throws GatewayError SESSION_FRAME for a pinned setting
 */
export function judgeSetting(body: Tree, findings: Findings): SessionEffect {
  const name = textOf(body.name).toLowerCase();
  const value = settingValue(body);
  switch (body.kind) {
    case 'VAR_SET_MULTI':
      // SET TRANSACTION and SET SESSION CHARACTERISTICS: isolation, read only, deferrable, an exported snapshot.
      findings.add('transaction', '');
      return { kind: 'none' };
    case 'VAR_RESET_ALL':
      findings.add('session', 'all');
      return { kind: 'frame', setting: 'ALL', value: 'DEFAULT' };
    case 'VAR_RESET':
    case 'VAR_SET_DEFAULT':
      findings.add('session', name);
      return isHarmless(name, value) || PINNED.has(name)
        ? { kind: 'none' }
        : { kind: 'frame', setting: name, value: 'DEFAULT' };
    case 'VAR_SET_VALUE':
    case undefined: {
      const pinned = PINNED.get(name);
      if (pinned && !pinned.has(value.trim().toLowerCase())) throw frameError(name);
      if (pinned || isHarmless(name, value.toLowerCase())) {
        findings.add('session', name);
        return { kind: 'none' };
      }
      findings.add('unknown', `setting ${name}`);
      findings.risk(`changes ${name}`);
      return { kind: 'frame', setting: name, value };
    }
    default:
      if (PINNED.has(name)) throw frameError(name);
      findings.add('unknown', `setting ${name}`);
      return { kind: 'frame', setting: name, value: 'CURRENT' };
  }
}

export const REVEAL = 'countersign.reveal';

/** `SET countersign.reveal = 'why'`: the reason; empty for a reset. Undefined for any other statement. */
export function revealReason(body: Tree): string | undefined {
  if (textOf(body.name).toLowerCase() !== REVEAL) return undefined;
  if (body.kind === 'VAR_RESET' || body.kind === 'VAR_SET_DEFAULT') return '';
  if (body.kind !== undefined && body.kind !== 'VAR_SET_VALUE') return undefined;
  return settingValue(body);
}

/** The setting that `set_config(name, value, is_local)` would change, where it is harmless whatever the value turns out to be. */
export function harmlessSetConfig(args: readonly unknown[]): string | undefined {
  const [name, value, local, ...more] = args;
  const constant = nodeOf(name, 'A_Const');
  if (!constant || !('sval' in constant) || !nodeOf(local, 'A_Const') || more.length > 0) return undefined;
  if (!nodeOf(value, 'A_Const') && !nodeOf(value, 'ParamRef')) return undefined;
  const setting = textOf(treeOf(constant.sval).sval).toLowerCase();
  return isHarmless(setting, '') ? setting : undefined;
}

function frameError(name: string): GatewayError {
  return new GatewayError('SESSION_FRAME', `The setting ${name} is pinned by the gateway`, {
    hint: 'Statements are read as the server reads them only while encoding and string syntax stay as they are.',
  });
}

/** The new value as one text; a list (search_path) joined by commas. */
function settingValue(body: Tree): string {
  return listOf(body.args)
    .map((arg) => {
      const constant = nodeOf(arg, 'A_Const') ?? nodeOf(treeOf(nodeOf(arg, 'TypeCast')).arg, 'A_Const');
      if (!constant) return '?';
      if ('sval' in constant) return textOf(treeOf(constant.sval).sval);
      if ('ival' in constant) return String(treeOf(constant.ival).ival ?? 0);
      if ('fval' in constant) return textOf(treeOf(constant.fval).fval);
      return '?';
    })
    .join(', ');
}
