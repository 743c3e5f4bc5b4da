/** Puts the lab right after an attempt: rows, sequences, objects that were made; says so when something else changed. */
import pg from 'pg';
import type { TestPostgres } from '../support/postgres.ts';
import { BASE_TABLES, OWNER } from './schema.ts';

const ROWS = `SELECT ${BASE_TABLES.map((name) => `(SELECT count(*) || '/' || coalesce(sum(xmin::text::bigint), 0) FROM ${name === 'part' ? '' : 'ONLY '}public.${name})`).join(" || ' ' || ")}
  || (SELECT last_value || '' FROM public.counter) || (SELECT count(*) FROM pg_largeobject_metadata) AS rows`;

/** Differs whenever anybody has written anything since, in any database: the next transaction id, and what takes none. */
const WRITTEN =
  "SELECT pg_snapshot_xmax(pg_current_snapshot()) || '/' || (SELECT last_value || ' ' || is_called FROM public.counter) AS written";

/** Everything that has a definition, less what belongs to sessions. */
const SHAPE = `SELECT md5(string_agg(what, '|' ORDER BY what)) AS shape FROM (
    SELECT concat_ws(' ', c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relacl, a.attname, a.atttypid, a.attnotnull,
      CASE WHEN c.relkind IN ('v', 'm') THEN md5(pg_get_viewdef(c.oid)) END) AS what
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace IN ('public'::regnamespace, 'app_s'::regnamespace)
    UNION ALL SELECT concat_ws(' ', proname, prosrc, pronargs) FROM pg_proc WHERE pronamespace IN ('public'::regnamespace, 'app_s'::regnamespace)
    UNION ALL SELECT 'rules ' || count(*) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relpersistence <> 't'
    UNION ALL SELECT 'triggers ' || count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relpersistence <> 't'
    UNION ALL SELECT 'policies ' || count(*) FROM pg_policy
    UNION ALL SELECT 'schemas ' || string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%temp%'
    UNION ALL SELECT 'operators ' || count(*) FROM pg_operator UNION ALL SELECT 'casts ' || count(*) FROM pg_cast
    UNION ALL SELECT 'defaults ' || count(*) FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid WHERE c.relpersistence <> 't'
    UNION ALL SELECT 'constraints ' || count(*) FROM pg_constraint o WHERE o.connamespace IN ('public'::regnamespace, 'app_s'::regnamespace)
    UNION ALL SELECT 'comments ' || count(*) FROM pg_description WHERE objoid >= 16384
    UNION ALL SELECT 'settings ' || count(*) FROM pg_db_role_setting) s`;

const OBJECTS = `
    SELECT 'pg_class'::regclass::oid AS catalog, oid FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'i', 'I') AND relpersistence <> 't' AND relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)')
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t LEFT JOIN pg_class c ON c.oid = typrelid WHERE t.oid >= 16384 AND (typtype IN ('d', 'e', 'r') OR relkind = 'c') AND typnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_')
    UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE r.oid >= 16384 AND rulename <> '_RETURN' AND relpersistence <> 't'
    UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND relpersistence <> 't'
    UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_policy
    UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oid >= 16384
    UNION ALL SELECT 'pg_cast'::regclass, oid FROM pg_cast WHERE oid >= 16384
    UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'`;

const DROP_NEW = `DO $$ DECLARE o record; what record; BEGIN
    FOR o IN SELECT * FROM (${OBJECTS}) made WHERE (catalog, oid) NOT IN (SELECT catalog, oid FROM saved.objects) LOOP
      SELECT * INTO what FROM pg_identify_object(o.catalog, o.oid, 0);
      CONTINUE WHEN what.type IS NULL;
      BEGIN EXECUTE format('DROP %s IF EXISTS %s CASCADE', replace(what.type, 'composite type', 'type'), what.identity);
      EXCEPTION WHEN OTHERS THEN RAISE NOTICE '% % is left: %', what.type, what.identity, SQLERRM; END;
    END LOOP;
    PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
  END $$`;

export class Resetter {
  readonly #superuser: pg.Client;
  readonly #owner: pg.Client;
  #written = '';
  #rows = '';
  #shape = '';
  #columns = new Map<string, string>();

  private constructor(superuser: pg.Client, owner: pg.Client) {
    this.#superuser = superuser;
    this.#owner = owner;
  }

  static async open(server: TestPostgres, database: string): Promise<Resetter> {
    const connect = async (url: string) => {
      const client = new pg.Client(url);
      client.on('error', () => undefined);
      await client.connect();
      return client;
    };
    const made = new Resetter(
      await connect(server.url(database)),
      await connect(server.url(database, OWNER.user, OWNER.password)),
    );
    await made.#begin();
    return made;
  }

  async #begin(): Promise<void> {
    await this.#superuser.query('SET session_replication_role = replica; SET lock_timeout = 5000');
    const columns = await this.#superuser.query(`
      SELECT relname, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
      WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND attgenerated = '' AND NOT attisdropped GROUP BY 1`);
    this.#columns = new Map(columns.rows.map(({ relname, names }) => [relname, names]));
    await this.#superuser.query(`CREATE TABLE IF NOT EXISTS saved.objects AS ${OBJECTS}`);
    await this.#superuser.query(`INSERT INTO saved.objects SELECT 'pg_class'::regclass, 'saved.objects'::regclass`);
    this.#rows = await this.#ask(ROWS, 'rows');
    this.#shape = await this.#ask(SHAPE, 'shape');
  }

  /** As the owner of the tables, who is not the attacker. */
  async asOwner(sql: string): Promise<void> {
    await this.#owner.query(sql);
  }

  /** Resolves with false when something is different that it cannot put right. */
  async reset(undo: readonly string[] = []): Promise<boolean> {
    await this.#owner.query('ROLLBACK');
    if (undo.length === 0 && (await this.#ask(WRITTEN, 'written')) === this.#written) return true;
    const right = await this.#right(undo);
    this.#written = await this.#ask(WRITTEN, 'written');
    return right;
  }

  async #right(undo: readonly string[]): Promise<boolean> {
    for (const sql of undo) await this.#superuser.query(sql);
    if (
      undo.length === 0 &&
      (await this.#ask(ROWS, 'rows')) === this.#rows &&
      (await this.#ask(SHAPE, 'shape')) === this.#shape
    )
      return true;
    await this.#superuser.query(DROP_NEW);
    await this.#superuser.query('ALTER ROLE app RESET ALL');
    await this.#superuser.query('BEGIN');
    for (const table of BASE_TABLES) {
      const names = this.#columns.get(table);
      await this.#superuser.query(`DELETE FROM ${table === 'part' ? '' : 'ONLY '}public.${table}`);
      await this.#superuser.query(`INSERT INTO public.${table} (${names}) SELECT ${names} FROM saved.${table}`);
    }
    await this.#superuser.query("SELECT setval('public.counter', 1, false)");
    await this.#superuser.query('COMMIT');
    this.#rows = await this.#ask(ROWS, 'rows');
    const shape = await this.#ask(SHAPE, 'shape');
    const right = shape === this.#shape;
    this.#shape = shape; // said once, not of everything that follows
    return right;
  }

  async #ask(sql: string, name: string): Promise<string> {
    return (await this.#superuser.query(sql)).rows[0]?.[name] ?? '';
  }

  async close(): Promise<void> {
    await Promise.all([this.#superuser.end(), this.#owner.end()]);
  }
}
