/** Small readers for libpg-query's parse trees. Every field is optional there: absent means the default. */
import type { Tree } from './parser.ts';

export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const treeOf = (value: unknown): Tree => (isTree(value) ? value : {});
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** `{ SelectStmt: { … } }` → its type and fields; undefined for bare fields. */
export function unwrap(value: unknown): { readonly type: string; readonly body: Tree } | undefined {
  if (!isTree(value)) return undefined;
  const keys = Object.keys(value);
  if (keys.length !== 1 || !/^[A-Z]/.test(keys[0]!)) return undefined;
  return { type: keys[0]!, body: treeOf(value[keys[0]!]) };
}

/** The fields of a wrapped node of this type, or undefined. */
export function nodeOf(value: unknown, type: string): Tree | undefined {
  const node = unwrap(value);
  return node?.type === type ? node.body : undefined;
}

/** The text of a String node. */
export const stringOf = (value: unknown): string | undefined => {
  const body = nodeOf(value, 'String');
  return body && textOf(body.sval);
};

/** A list of String nodes as texts; what is not a String is left out. */
export const stringsOf = (value: unknown): string[] =>
  listOf(value)
    .map(stringOf)
    .filter((text) => text !== undefined);

/** A possibly qualified name (String list): last part and the schema before it; a database in front is dropped. */
export function qualified(value: unknown): { readonly schema: string | undefined; readonly name: string } {
  const parts = stringsOf(value);
  return { schema: parts.at(-2), name: parts.at(-1) ?? '' };
}
