/** What a write reaches besides the rows it names: relations and sizes, cascades, triggers, rules, what stands in its way. */
import type { Operation } from '../../../operation.ts';
import { objectName } from '../catalog/snapshot.ts';
import { displayName } from '../inspect/names.ts';
import type { StatementFacts } from '../types.ts';
import { aboutRows, packed, size } from './amounts.ts';
import { apart, ask, type ReachClient } from './client.ts';
import { CASCADES, RELATIONS, RULES, SIZES, TRIGGERS, VIEWS } from './questions.ts';

const MAX_OBJECTS = 50;
type Event = 'insert' | 'update' | 'delete' | 'truncate' | 'drop' | 'change';
type Touched = { readonly schema: string; readonly name: string; readonly event: Event };

/** A relation and everything below it. */
export type Table = {
  readonly root: number;
  readonly label: string;
  readonly event: Event;
  readonly oids: readonly number[];
  /** Below it by partitioning or inheritance. */
  readonly parts: number;
  /** By the server's statistics; undefined where it has none. */
  readonly rows: number | undefined;
  bytes: number;
};

/** The objects a write names, with what happens to each; those that only follow are found again from these. */
export function touchedBy(operation: Operation, facts: readonly StatementFacts[] | undefined): readonly Touched[] {
  const named = new Set(facts?.flatMap(({ targets }) => targets ?? []));
  const found = new Map<string, Touched>();
  for (const { action, object } of operation.effects) {
    const event = eventOf(action, operation.headline);
    const parts = event && (named.size === 0 || named.has(object)) ? partsOf(object) : undefined;
    if (!event || !parts || found.size >= MAX_OBJECTS) continue;
    const key = `${object} ${event}`;
    found.set(key, { ...parts, event });
  }
  return [...found.values()];
}

function eventOf(action: string, headline: string): Event | undefined {
  switch (action) {
    case 'insert':
    case 'update':
    case 'delete':
      return action;
    case 'ddl': // a headline begins with words of ours
      return headline.startsWith('TRUNCATE ') ? 'truncate' : headline.startsWith('DROP ') ? 'drop' : 'change';
    case 'dcl':
      return 'change';
    default:
      return undefined;
  }
}

/** `schema.name` as objects are written, taken apart; undefined for what is no relation anybody else could see. */
export function partsOf(object: string): { readonly schema: string; readonly name: string } | undefined {
  const match = /^(?:"((?:[^"]|"")*)"|([^."\s]+))\.(?:"((?:[^"]|"")*)"|([^."\s]+))$/s.exec(object);
  if (!match) return undefined;
  const [
    ,
    quotedSchema,
    schema = quotedSchema?.replaceAll('""', '"'),
    quotedName,
    name = quotedName?.replaceAll('""', '"'),
  ] = match;
  if (schema === undefined || name === undefined || schema === 'pg_temp' || schema === '?') return undefined;
  return { schema, name };
}

const labelOf = (schema: unknown, name: unknown): string => displayName(objectName(String(schema), String(name)));

/** @throws pg's error */
export async function tablesOf(client: ReachClient, touched: readonly Touched[]): Promise<readonly Table[]> {
  if (touched.length === 0) return [];
  const rows = await ask(client, RELATIONS, [touched.map(({ schema }) => schema), touched.map(({ name }) => name)]);
  const trees = new Map<number, Record<string, unknown>[]>();
  for (const row of rows) {
    const root = Number(row.root);
    const tree = trees.get(root);
    if (tree) tree.push(row);
    else trees.set(root, [row]);
  }
  const below = new Set(rows.filter(({ root, oid }) => root !== oid).map(({ oid }) => Number(oid)));
  const tables: Table[] = [];
  for (const [root, tree] of trees) {
    const own = tree.find(({ oid }) => Number(oid) === root);
    if (!own || below.has(root)) continue; // a partition of another one here
    const stored = tree.filter(({ kind }) => kind === 'r' || kind === 'm' || kind === 't');
    const known = stored.filter((row) => Number(row.rows) >= 0);
    for (const { event } of touched.filter(({ schema, name }) => schema === own.schema && name === own.name)) {
      tables.push({
        root,
        label: labelOf(own.schema, own.name),
        event,
        oids: tree.map(({ oid }) => Number(oid)),
        parts: tree.length - 1,
        rows: known.length < stored.length || stored.length === 0 ? undefined : sum(known, 'rows'),
        bytes: sum(stored, 'bytes'),
      });
    }
  }
  return tables;
}

const sum = (rows: readonly Record<string, unknown>[], of: string): number =>
  rows.reduce((total, row) => total + (Number(row[of]) || 0), 0);

/** Sizes as they are now, in place of those of the last vacuum; where a lock keeps them, those stay. */
export async function measure(client: ReachClient, tables: readonly Table[]): Promise<void> {
  const oids = [...new Set(tables.flatMap((table) => table.oids))];
  if (oids.length === 0) return;
  const rows = await apart(client, () => ask(client, SIZES, [oids])).catch(() => []);
  const bytes = new Map(rows.map((row) => [Number(row.oid), Number(row.bytes)]));
  if (bytes.size === 0) return;
  for (const table of tables) table.bytes = table.oids.reduce((total, oid) => total + (bytes.get(oid) ?? 0), 0);
}

/** `public.events: about 1,200,000 rows, 340 MB in 12 parts` */
export function tableLine({ label, rows, bytes, parts }: Table): string {
  const counted = rows === undefined ? 'nobody has counted its rows' : aboutRows(rows);
  return `${label} (${counted}, ${size(bytes)}${parts > 0 ? ` in ${parts} ${parts === 1 ? 'part' : 'parts'}` : ''})`;
}

/** Lines about what else happens, and what would stop it. @throws pg's error */
export async function consequences(
  client: ReachClient,
  tables: readonly Table[],
  { cascade }: { readonly cascade: boolean },
): Promise<readonly string[]> {
  if (tables.length === 0) return [];
  const going = tables.filter(({ event }) => event === 'delete' || event === 'update' || event === 'truncate');
  const links = await ask(client, CASCADES, events(going));
  const emptied = !cascade && going.some(({ event }) => event === 'truncate');
  const roots = new Set(tables.map(({ root, event }) => `${root} ${event}`));
  const carried = links.filter(
    ({ action, cause }) => 'cnd'.includes(String(action)) && !(emptied && cause === 'truncate'),
  );
  const stopped = links.filter((link) => !carried.includes(link));
  const reached = [
    ...tables,
    ...carried.map((link) => ({ root: Number(link.oid), oids: [Number(link.oid)], event: resultOf(link) })),
  ];
  const triggers = await ask(client, TRIGGERS, events(reached));
  const rules = await ask(client, RULES, events(tables));
  const dropped = tables.filter(({ event }) => event === 'drop').map(({ root }) => root);
  const views = dropped.length > 0 ? await ask(client, VIEWS, [dropped]) : [];
  const named = views.map(({ schema, name }) => labelOf(schema, name));
  return [
    ...cascades(carried.filter((link) => !roots.has(`${Number(link.oid)} ${resultOf(link)}`))),
    ...packed(
      'fires triggers',
      triggers.map(
        (row) =>
          `${displayName(String(row.trigger))} on ${labelOf(row.schema, row.name)} (runs ${labelOf(row.function_schema, row.function)})`,
      ),
    ),
    ...packed(
      'rewritten by rules',
      rules.map((row) => `${displayName(String(row.rule))} on ${labelOf(row.schema, row.name)}`),
    ),
    ...packed(cascade ? 'drops too' : 'fails while these are made of it', named),
    ...packed(
      'fails where rows are still referred to from',
      unique(stopped.map((link) => `${labelOf(link.schema, link.name)}${keyed(link)}`)),
    ),
  ];
}

const keyed = ({ cause }: Record<string, unknown>): string => (cause === 'update' ? ' (if a key changes)' : '');

function resultOf({ cause, action }: Record<string, unknown>): Event {
  if (cause === 'truncate') return 'truncate';
  return cause === 'delete' && action === 'c' ? 'delete' : 'update';
}

function cascades(links: readonly Record<string, unknown>[]): string[] {
  const say = (wanted: (link: Record<string, unknown>) => boolean) =>
    unique(
      links.filter(wanted).map((link) => {
        const rows = Number(link.rows) >= 0 && link.kind === 'r' ? ` (it has ${aboutRows(Number(link.rows))})` : '';
        return `${labelOf(link.schema, link.name)}${rows} through ${labelOf(link.of_schema, link.of_name)}`;
      }),
    );
  return [
    ...packed(
      'deletes by cascade',
      say((link) => resultOf(link) === 'delete'),
    ),
    ...packed(
      'empties too',
      say((link) => resultOf(link) === 'truncate'),
    ),
    ...packed(
      'clears references in',
      say((link) => link.cause === 'delete' && resultOf(link) === 'update'),
    ),
    ...packed(
      'updates by cascade, if a key changes',
      say((link) => link.cause === 'update'),
    ),
  ];
}

const unique = (items: readonly string[]): string[] => [...new Set(items)];

const events = (touched: readonly { readonly oids: readonly number[]; readonly event: Event }[]): unknown[] => {
  const pairs = touched.flatMap(({ oids, event }) => oids.map((oid) => [oid, event] as const));
  return [pairs.map(([oid]) => oid), pairs.map(([, event]) => event)];
};
