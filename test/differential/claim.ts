/** What the product's inspector says a script does, and whether that may stand beside what was observed. */
import { asGatewayError } from '../../gateway/errors.ts';
import { innerFacts } from '../../gateway/listeners/postgres/session/names.ts';
import { checkTogether, runsWhenParsed } from '../../gateway/listeners/postgres/session/operation.ts';
import type { Inspector, StatementFacts } from '../../gateway/listeners/postgres/types.ts';
import type { Effect } from '../../gateway/operation.ts';
import { type Change, isWeakLock, type Observation } from './observer.ts';

export type Claim =
  | { readonly refused: string }
  | {
      readonly statements: readonly StatementFacts[];
      readonly effects: readonly Effect[];
      readonly risks: readonly string[];
      /** It would pass where only reads are allowed. */
      readonly harmless: boolean;
      /** The gateway would not even let the server parse it before somebody agreed. */
      readonly heldAtParse: boolean;
    };

const HARMLESS: ReadonlySet<string> = new Set(['read', 'copy-out', 'session', 'transaction']);
const SEARCH_PATH = ['public'];

/** Judges each text as a session would, names it prepared before looked up. */
export async function claimOf(inspector: Inspector, script: readonly string[]): Promise<Claim> {
  const names = new Map<string, StatementFacts>();
  const statements: StatementFacts[] = [];
  const effects: Effect[] = [];
  const risks: string[] = [];
  try {
    for (const text of script) {
      const found = await inspector.inspect(text, { frame: '', searchPath: SEARCH_PATH });
      checkTogether(found, false);
      for (const facts of found) {
        statements.push(facts);
        effects.push(...facts.effects);
        risks.push(...facts.risks);
        const { session } = facts;
        if (session.kind === 'execute') {
          const inner = names.get(session.name);
          if (!inner) return { refused: 'UNKNOWN_NAME' };
          effects.push(...inner.effects);
          risks.push(...inner.risks);
        }
        if (session.kind === 'prepare') {
          const made = { text, made: 'sql', source: text, empty: false, parameterTypes: [] } as const;
          names.set(session.name, innerFacts(made, found));
        }
      }
    }
  } catch (error) {
    return { refused: asGatewayError(error, 'UNPARSEABLE').code };
  }
  return {
    statements,
    effects,
    risks,
    harmless: effects.every(({ action }) => HARMLESS.has(action)),
    heldAtParse: runsWhenParsed(statements),
  };
}

/**
 * Changes that a script which passes as harmless must not make. Its own settings, prepared statements, cursors and
 * subscriptions are what `session` statements are for; a transaction id taken for nothing changes nothing.
 */
export function unexplained(claim: Exclude<Claim, { refused: string }>, { changes }: Observation): Change[] {
  const settings = new Set(claim.effects.filter(({ action }) => action === 'session').map(({ object }) => object));
  const resets = claim.statements.some(
    ({ session }) => session.kind === 'discard' || (session.kind === 'frame' && session.setting === 'ALL'),
  );
  const kinds = new Set(claim.statements.map(({ session }) => session.kind));
  const transaction = claim.effects.some(({ action }) => action === 'transaction');
  return changes.filter((change) => {
    const { kind, name } = change;
    if (kind === 'xid' || isWeakLock(change)) return false;
    if (kind === 'setting') {
      if (resets || settings.has(name.toLowerCase())) return false;
      return !/^(?:default_)?transaction_/.test(name) || !(transaction || settings.has(`default_${name}`));
    }
    if (kind === 'prepared') return !kinds.has('prepare') && !kinds.has('deallocate') && !resets;
    if (kind === 'cursors') return !['declare', 'close', 'fetch', 'discard'].some((one) => kinds.has(one as never));
    if (kind === 'channels') return !claim.statements.some(({ headline }) => /^(?:UN)?LISTEN|^DISCARD/.test(headline));
    return true;
  });
}

/** Tables whose rows changed though no effect names them; where code ran, nobody said it would stay in bounds. */
export function unnamed(claim: Exclude<Claim, { refused: string }>, { changes }: Observation): string[] {
  if (claim.effects.some(({ action }) => ['call', 'unknown', 'ddl', 'dcl'].includes(action))) return [];
  const writes = ['insert', 'update', 'delete', 'copy-in'];
  const named = new Set(claim.effects.filter(({ action }) => writes.includes(action)).map(({ object }) => object));
  if (claim.risks.includes('fires triggers')) return [];
  return changes
    .filter(({ kind, name, onlyLocked }) => kind === 'rows' && !onlyLocked && !named.has(name))
    .map(({ name }) => name);
}
