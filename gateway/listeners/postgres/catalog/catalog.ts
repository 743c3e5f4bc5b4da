/** The catalogue of one target database, kept fresh on a connection of its own. Knows no policy. */
import { GatewayError } from '../../../errors.ts';
import { assemble, study } from './assemble.ts';
import { NOTHING_VOUCHED, type Vouched } from './harmless.ts';
import { Memory } from './memory.ts';
import { EARLY, LOAD_QUERIES, type LoadedRows, PACKED, unpacked, VERSION_QUERY } from './queries.ts';
import type { Snapshot } from './snapshot.ts';

/** Of pg: rows as arrays, every value as PostgreSQL writes it. */
type Question = { text: string; rowMode: 'array'; types: { getTypeParser(): (value: string) => string } };

/** What the catalogue needs of a connected `pg.Client`. */
export type CatalogClient = {
  query(question: Question): Promise<unknown>;
  end(): Promise<void>;
  on(event: 'error' | 'end', listener: () => void): unknown;
};

export type CatalogState = { readonly snapshot: Snapshot; readonly fresh: boolean };

export type Catalog = {
  /** What is known now; undefined before the first load. `fresh` is false once nobody could look for `staleMs`. */
  current(): CatalogState | undefined;
  /** How long ago anybody last looked, ms; undefined before the first look. */
  ageMs(): number | undefined;
  /** Look now; calls that overlap share one look. @throws GatewayError UPSTREAM when the target cannot be asked */
  refresh(): Promise<Snapshot>;
  close(): Promise<void>;
};

const STATEMENT_TIMEOUT_MS = 5_000; // the largest catalogue measured took 100 ms
const POLL_MS = 2_000;
const STALE_MS = 30_000;

/**
 * Opens nothing until it is first asked; from then on looks for changes every `pollMs`. `connect` yields a connected
 * client of the connection's own upstream settings; an ordinary role is enough.
 */
export function createCatalog(options: {
  readonly connect: () => Promise<CatalogClient>;
  /** What an administrator answers for; absent: nothing. */
  readonly vouched?: Vouched;
  readonly pollMs?: number;
  readonly staleMs?: number;
  readonly now?: () => number;
}): Catalog {
  const { connect, vouched = NOTHING_VOUCHED } = options;
  const { pollMs = POLL_MS, staleMs = STALE_MS, now = () => performance.now() } = options;
  let client: Promise<CatalogClient> | undefined;
  let memory = new Memory();
  let snapshot: Snapshot | undefined;
  let seenAt = 0;
  let running: Promise<Snapshot> | undefined;
  let next: Promise<Snapshot> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const connected = (): Promise<CatalogClient> => {
    if (client) return client;
    memory = new Memory(); // another server may answer
    const opening = open(connect).then((opened) => {
      const lost = () => {
        if (client === opening) client = undefined;
      };
      opened.on('error', lost);
      opened.on('end', lost);
      return opened;
    });
    client = opening;
    opening.catch(() => {
      if (client === opening) client = undefined;
    });
    return opening;
  };

  const look = async (): Promise<Snapshot> => {
    if (closed) throw new GatewayError('SHUTDOWN', 'The gateway is stopping');
    const asked = now();
    try {
      const target = await connected();
      const version = snapshot && (await ask(target, VERSION_QUERY))[0]?.[0];
      if (!snapshot || snapshot.version !== version) {
        const loaded = await load(target, memory);
        snapshot = assemble(loaded.rows, loaded.version, memory, vouched);
      }
      seenAt = asked;
      return snapshot;
    } catch (cause) {
      const broken = client;
      client = undefined;
      void broken?.then((old) => old.end()).catch(() => undefined);
      throw new GatewayError('UPSTREAM', 'The target’s catalogue could not be read', { cause });
    }
  };

  const begin = (): Promise<Snapshot> => {
    const turn = look().finally(() => {
      if (running === turn) running = undefined;
    });
    running = turn;
    return turn;
  };

  const refresh = (): Promise<Snapshot> => {
    schedule();
    if (!running) return begin();
    // One that is under way may have read the version before the change the caller knows of: queue one behind it.
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return begin();
      });
    return next;
  };

  const schedule = (): void => {
    if (timer || closed) return;
    timer = setInterval(() => {
      if (!running) begin().catch(() => undefined); // said by `fresh`
    }, pollMs);
    timer.unref();
  };

  return {
    ageMs: () => snapshot && Math.round(now() - seenAt),
    current: () => snapshot && { snapshot, fresh: now() - seenAt < staleMs },
    refresh,
    close: async () => {
      closed = true;
      clearInterval(timer);
      const last = client;
      client = undefined;
      await last?.then((opened) => opened.end()).catch(() => undefined);
    },
  };
}

async function open(connect: () => Promise<CatalogClient>): Promise<CatalogClient> {
  const client = await connect();
  await ask(
    client,
    `select pg_catalog.set_config('search_path', 'pg_catalog', false),
    pg_catalog.set_config('statement_timeout', '${STATEMENT_TIMEOUT_MS}', false),
    pg_catalog.set_config('default_transaction_read_only', 'on', false)`,
  );
  return client;
}

/** Everything at one instant, and the version that instant has. */
async function load(client: CatalogClient, memory: Memory): Promise<{ rows: LoadedRows; version: string }> {
  const late = (Object.keys(LOAD_QUERIES) as (keyof LoadedRows)[]).filter((name) => !EARLY.some((one) => one === name));
  const [, ...first] = await askAll(client, [
    'begin isolation level repeatable read read only',
    ...EARLY.map((name) => LOAD_QUERIES[name]),
  ]);
  const rest = askAll(client, [VERSION_QUERY, ...late.map((name) => LOAD_QUERIES[name]), 'commit']);
  rest.catch(() => undefined); // heard below, if the first answers can be read
  const early = rowsOf(EARLY, first);
  study(early, memory);
  const [version, ...others] = await rest;
  return { rows: { ...early, ...rowsOf(late, others) } as LoadedRows, version: version?.[0]?.[0] ?? '' };
}

function rowsOf<K extends keyof LoadedRows>(names: readonly K[], answers: readonly string[][][]): Pick<LoadedRows, K> {
  const rows: unknown = Object.fromEntries(
    names.map((name, index) => {
      const [answer, packed] = [answers[index] ?? [], PACKED[name]];
      return [name, packed ? answer.map(([row]) => unpacked(row ?? '', packed)) : answer];
    }),
  );
  return rows as Pick<LoadedRows, K>;
}

async function askAll(client: CatalogClient, questions: readonly string[]): Promise<string[][][]> {
  return ((await client.query(asTexts(questions.join('; ')))) as { rows: string[][] }[]).map(({ rows }) => rows);
}

async function ask(client: CatalogClient, text: string): Promise<string[][]> {
  return ((await client.query(asTexts(text))) as { rows: string[][] }).rows;
}

/** Nulls stay null: the readers of a column that may hold them compare, never call. */
const asTexts = (text: string): Question => ({
  text,
  rowMode: 'array',
  types: { getTypeParser: () => (value) => value },
});
