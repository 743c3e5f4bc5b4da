/** Enough of an inspector for the protocol's sake: what the real one finds is tested in its own room. */
import { loadModule, parseSync } from 'libpg-query';
import { GatewayError } from '../../gateway/errors.ts';
import type { Inspector, SessionEffect, StatementFacts } from '../../gateway/listeners/postgres/types.ts';
import type { Effect } from '../../gateway/operation.ts';

await loadModule();

export class TinyInspector implements Inspector {
  /** Answers come later, as for a long text. */
  late = false;
  refreshed = 0;
  readonly frames: string[] = [];

  inspect(text: string, { frame }: { frame: string }): readonly StatementFacts[] | Promise<readonly StatementFacts[]> {
    this.frames.push(frame);
    if (!this.late) return read(text);
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          resolve(read(text));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  shape = async (): Promise<undefined> => undefined;

  boundTypes(): readonly Effect[] {
    return [];
  }

  showParameters(parameters: readonly { value: Uint8Array | null }[]): readonly string[] {
    return parameters.map(({ value }) => (value === null ? 'NULL' : Buffer.from(value).toString()));
  }

  masked(): undefined {}

  replanned(): undefined {}

  catalogueAgeMs(): undefined {}

  async refresh(): Promise<void> {
    this.refreshed++;
  }

  async close(): Promise<void> {}
}

type Node = Record<string, unknown>;

function read(text: string): StatementFacts[] {
  let stmts: { stmt?: Node; stmt_location?: number; stmt_len?: number }[];
  try {
    stmts = (parseSync(text) as unknown as { stmts?: typeof stmts }).stmts ?? [];
  } catch (cause) {
    throw new GatewayError('UNPARSEABLE', `cannot be read: ${(cause as Error).message}`, { cause });
  }
  const bytes = Buffer.from(text);
  return stmts.map(({ stmt, stmt_location = 0, stmt_len }) => {
    const own = bytes.subarray(stmt_location, stmt_len === undefined ? undefined : stmt_location + stmt_len);
    return factsOf(stmt ?? {}, own.toString().trim());
  });
}

function factsOf(stmt: Node, text: string): StatementFacts {
  const [kind = ''] = Object.keys(stmt);
  const node = stmt[kind] as Node & { query?: Node; name?: string; portalname?: string };
  const make = (effects: Effect[], session: SessionEffect = { kind: 'none' }, copy?: 'in' | 'out'): StatementFacts => ({
    text,
    shown: text,
    effects,
    headline: `${kind} ${effects.map(({ action }) => action).join(' ')}`,
    risks: [],
    session,
    ...(copy ? { copy } : {}),
    parameters: 0,
  });
  const session = (effect: SessionEffect): StatementFacts => make([{ action: 'session', object: '' }], effect);
  switch (kind) {
    case 'SelectStmt':
      return make([{ action: JSON.stringify(node).includes('"dangerous') ? 'call' : 'read', object: '' }]);
    case 'InsertStmt':
      return make([{ action: 'insert', object: 'public.t' }]);
    case 'UpdateStmt':
      return make([{ action: 'update', object: 'public.t' }]);
    case 'DeleteStmt':
      return make([{ action: 'delete', object: 'public.t' }]);
    case 'PrepareStmt': {
      const inner = factsOf(node.query!, text.slice(text.toLowerCase().indexOf(' as ') + 4));
      return session({ kind: 'prepare', name: node.name!, inner });
    }
    case 'ExecuteStmt':
      return session({ kind: 'execute', name: node.name! });
    case 'DeallocateStmt':
      return session({ kind: 'deallocate', name: node.name ?? 'ALL' });
    case 'DeclareCursorStmt': {
      const inner = factsOf(node.query!, text.slice(text.toLowerCase().indexOf(' for ') + 5));
      const hold = (Number(node.options) & 0x20) !== 0;
      return make([...inner.effects], { kind: 'declare', name: node.portalname!, hold, inner });
    }
    case 'FetchStmt':
      return session({ kind: 'fetch', name: node.portalname! });
    case 'ClosePortalStmt':
      return session({ kind: 'close', name: node.portalname ?? 'ALL' });
    case 'DiscardStmt': {
      const what = String(node.target).replace('DISCARD_', '').toLowerCase() as 'all' | 'plans';
      return session({ kind: 'discard', what });
    }
    case 'TransactionStmt': {
      const verbs: Record<string, 'begin' | 'commit' | 'rollback' | 'savepoint' | 'release' | 'rollback-to'> = {
        TRANS_STMT_COMMIT: 'commit',
        TRANS_STMT_ROLLBACK: 'rollback',
        TRANS_STMT_SAVEPOINT: 'savepoint',
        TRANS_STMT_RELEASE: 'release',
        TRANS_STMT_ROLLBACK_TO: 'rollback-to',
      };
      return make([{ action: 'transaction', object: '' }], {
        kind: 'transaction',
        verb: verbs[String(node.kind)] ?? 'begin',
      });
    }
    case 'VariableSetStmt':
      if (!['search_path', 'role'].includes(String(node.name))) return session({ kind: 'none' });
      return make([{ action: 'unknown', object: String(node.name) }], {
        kind: 'frame',
        setting: String(node.name),
        value: '',
      });
    case 'VariableShowStmt':
      return session({ kind: 'none' });
    case 'CopyStmt':
      return node.is_from
        ? make([{ action: 'copy-in', object: 'public.t' }], { kind: 'none' }, 'in')
        : make([{ action: 'copy-out', object: 'public.t' }], { kind: 'none' }, 'out');
    case 'DoStmt':
    case 'CallStmt':
      return make([{ action: 'call', object: '' }]);
    default:
      return make([{ action: 'ddl', object: 'public.t' }]);
  }
}
