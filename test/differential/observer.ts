/** Tells what a statement did, by looking at the server before and after: rows, definitions, sequences, locks, session. */
import type pg from 'pg';
import type { Role, Stage } from './stage.ts';

export type Change = {
  readonly kind:
    | 'rows' // of a table or a catalogue, made, changed, removed or locked: `name` is schema.table
    | 'xid' // a transaction id was taken, and nothing found that it was for
    | 'sequence'
    | 'lock'
    | 'setting'
    | 'prepared'
    | 'cursors'
    | 'channels'
    | 'notified'
    | 'slots'
    | 'others' // another session is gone
    | 'session'; // its own session is gone
  readonly name: string;
  /** Of its rows nothing but who locks them is different: so does the check of a foreign key. */
  readonly onlyLocked?: boolean;
};

export type Observation = {
  /** SQLSTATE of the first statement that failed; what came before may have had effects that outlive the rollback. */
  readonly failed: string | undefined;
  readonly message: string | undefined;
  readonly changes: readonly Change[];
};

/** Taken as soon as a DML statement is parsed, by PREPARE and EXPLAIN too; it makes only schema changes wait. */
export const isWeakLock = ({ kind, name }: Change): boolean =>
  kind === 'lock' && /^relation Row(?:Share|Exclusive)Lock /.test(name);

type State = Record<string, string | number | null>;
type Look = { readonly state: State; readonly settings: ReadonlyMap<string, string> };

const LOOK = `SELECT watch.state() AS state, pg_catalog.concat_ws(E'\\x01',
  (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(E'\\x02', name, setting), E'\\x01' ORDER BY name) FROM pg_catalog.pg_settings),
  pg_catalog.concat_ws(E'\\x02', 'attack.mark', pg_catalog.current_setting('attack.mark', true)),
  pg_catalog.concat_ws(E'\\x02', 'role', CURRENT_USER), pg_catalog.concat_ws(E'\\x02', 'session_authorization', SESSION_USER)) AS settings`;
const SIMPLE = ['prepared', 'cursors', 'channels', 'slots', 'others'] as const;
const PLAIN = /^[\s(]*(?:SELECT|VALUES|TABLE|WITH|EXPLAIN|COPY)\b/i;
/** Of this session as it begins. */
const PREPARE_SESSION = `LISTEN canary; SET lock_timeout = '300ms'; SET statement_timeout = '2s'`;

export class Observer {
  readonly #stage: Stage;
  readonly #role: Role;
  #client: pg.Client | undefined;
  #clean: Look | undefined;
  #relations: Readonly<Record<string, string>> | undefined;
  #heard = 0;

  readonly #fresh: boolean;

  /** @param fresh every script on a connection of its own, whose caches know no table yet: their filling runs code too */
  constructor(stage: Stage, role: Role, { fresh = false } = {}) {
    this.#stage = stage;
    this.#role = role;
    this.#fresh = fresh;
  }

  /**
   * Runs the statements in one transaction, looks, and takes them back; what needed no transaction id is committed,
   * so that what happens at commit (notifications, LISTEN, cursors WITH HOLD) is seen too.
   * @param suspicious the script may have ended the transaction by itself: look at all rows in any case
   */
  async run(script: readonly string[], { suspicious = false } = {}): Promise<Observation> {
    const client = await this.#session();
    const before = this.#clean!;
    const changes: Change[] = [];
    let committed = false;
    let failure: { code?: string; message?: string } | undefined;
    try {
      await client.query('BEGIN');
      for (const sql of script) {
        failure = await client.query(sql).then(
          () => undefined,
          (error) => error,
        );
        if (failure) break;
      }
      if (failure) {
        await client.query('ROLLBACK');
      } else {
        const now = await this.#look(client);
        const xid = now.state.xid !== null;
        if (xid || suspicious) {
          const rows = await this.#changedRows(client);
          changes.push(...rows);
          if (xid && rows.length === 0) changes.push({ kind: 'xid', name: '' });
        }
        changes.push(...differences(before, now));
        committed = !xid || suspicious;
        await client.query(xid ? 'ROLLBACK' : 'COMMIT').catch((error) => {
          failure = error; // a cursor WITH HOLD runs at commit
        });
      }
      // A plain query that left nothing behind until now has nothing more to do at commit but to notify.
      if (changes.length > 0 || failure || script.length > 1 || !PLAIN.test(script[0]!)) {
        changes.push(...differences(before, await this.#look(client)));
      }
    } catch {
      changes.push({ kind: 'session', name: 'ended' });
      this.#client = undefined;
      await client.end().catch(() => undefined);
    }
    if (this.#heard > 0) changes.push({ kind: 'notified', name: 'canary' });
    this.#heard = 0;
    if (committed && changes.length > 0) this.#relations = undefined; // what a cursor WITH HOLD did at its commit stays
    if (this.#fresh) {
      await this.#client?.end();
      this.#client = undefined;
    } else if (changes.length > 0 && this.#client) await this.#reset(client);
    const unique = new Map(changes.map((change) => [`${change.kind} ${change.name}`, change]));
    return {
      failed: failure && (failure.code ?? 'no SQLSTATE'),
      message: failure?.message,
      changes: [...unique.values()],
    };
  }

  /**
   * Many texts in one transaction, one look at the end: true if nothing at all changed. What failed is passed over.
   * Cheap where nothing is expected; after a false each has to be run on its own.
   */
  async quiet(texts: readonly string[]): Promise<{ readonly quiet: boolean; readonly failed: number }> {
    const client = await this.#session();
    let failed = 0;
    try {
      await client.query('BEGIN; SAVEPOINT before');
      for (const text of texts) {
        await client.query(`${text}\n;SAVEPOINT before`).catch(async () => {
          failed++;
          await client.query('ROLLBACK TO SAVEPOINT before');
        });
      }
      const now = await this.#look(client);
      const changed = now.state.xid !== null || differences(this.#clean!, now).some((change) => !isWeakLock(change));
      await client.query(changed ? 'ROLLBACK' : 'COMMIT');
      const quiet = !changed && this.#heard === 0;
      if (!quiet) await this.#reset(client);
      this.#heard = 0;
      return { quiet, failed };
    } catch {
      this.#client = undefined;
      await client.end().catch(() => undefined);
      return { quiet: false, failed };
    }
  }

  async close(): Promise<void> {
    await this.#client?.end();
  }

  async #session(): Promise<pg.Client> {
    if (this.#client) return this.#client;
    const client = await this.#stage.connect(this.#role);
    client.on('notification', () => this.#heard++);
    this.#client = client;
    await this.#reset(client);
    return client;
  }

  async #reset(client: pg.Client): Promise<void> {
    if (!this.#fresh) {
      await client.query('ROLLBACK');
      await client.query('RESET SESSION AUTHORIZATION');
      await client.query('DISCARD ALL');
    }
    await client.query(PREPARE_SESSION);
    this.#clean = await this.#look(client);
    this.#relations ??= await this.#baseline();
  }

  /** On another connection: this one's caches stay as they are. */
  async #baseline(): Promise<Record<string, string>> {
    const other = await this.#stage.connect('postgres');
    const found = await relationsOf(other);
    await other.end();
    return found;
  }

  async #look(client: pg.Client): Promise<Look> {
    const { rows } = await client.query(LOOK);
    const { state, settings } = rows[0] as { state: State; settings: string };
    const pairs = settings.split('\x01').map((pair) => pair.split('\x02') as [string, string | undefined]);
    return { state, settings: new Map(pairs.map(([name, value]) => [name, value ?? ''])) };
  }

  async #changedRows(client: pg.Client): Promise<Change[]> {
    const now = await relationsOf(client);
    const names = new Set([...Object.keys(now), ...Object.keys(this.#relations!)]);
    // How many there are and which; how many of them are locked: watch.relations() puts the locks last.
    const rowsIn = (look: string | undefined) => look?.slice(0, look.lastIndexOf('/'));
    return [...names]
      .filter((name) => now[name] !== this.#relations![name])
      .map((name) => ({ kind: 'rows', name, onlyLocked: rowsIn(now[name]) === rowsIn(this.#relations![name]) }));
  }
}

async function relationsOf(client: pg.Client): Promise<Record<string, string>> {
  return (await client.query('SELECT watch.relations() AS found')).rows[0].found;
}

function differences(before: Look, now: Look): Change[] {
  const found: Change[] = [];
  for (const kind of SIMPLE) {
    if (before.state[kind] !== now.state[kind]) found.push({ kind, name: String(now.state[kind] ?? '') });
  }
  const locks = (look: Look) => new Set(String(look.state.locks ?? '').split(', '));
  for (const lock of locks(now)) if (!locks(before).has(lock)) found.push({ kind: 'lock', name: lock });
  const sequences = (look: Look) => String(look.state.sequences).trim().split(' ');
  const known = new Set(sequences(before));
  for (const one of sequences(now)) {
    if (one !== '' && !known.has(one)) found.push({ kind: 'sequence', name: one.split('=')[0]! });
  }
  for (const name of new Set([...before.settings.keys(), ...now.settings.keys()])) {
    if (before.settings.get(name) !== now.settings.get(name)) found.push({ kind: 'setting', name });
  }
  return found;
}
