/** Rows of pg_catalog, as the readers of them look at them. Oids and flags are texts. */
import { FIRST_USER_OID } from './harmless.ts';

export const isUser = (oid: string): boolean => Number(oid) >= FIRST_USER_OID;
export const truthy = (value: string | undefined): boolean => value === 't';

export function groupBy(rows: readonly (readonly string[])[], key: number): Map<string, (readonly string[])[]> {
  const groups = new Map<string, (readonly string[])[]>();
  for (const row of rows) {
    const group = groups.get(row[key]!);
    if (group) group.push(row);
    else groups.set(row[key]!, [row]);
  }
  return groups;
}

/** From the column `from` of each row to its column `to`. */
export function edges(rows: readonly (readonly string[])[], from: number, to: number): Map<string, readonly string[]> {
  return new Map([...groupBy(rows, from)].map(([one, group]) => [one, group.map((row) => row[to]!)]));
}
