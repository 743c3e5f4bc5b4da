/** What is wrong with a configuration, in words that name the key and the remedy. */
import { z } from 'zod';

export type Problem = { readonly path: string; readonly message: string };

/** `connections[0].upstream.tls` */
function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += `${text === '' ? '' : '.'}${/^[\w-]+$/.test(String(step)) ? String(step) : JSON.stringify(step)}`;
  }
  return text;
}

/** A part of the file with exactly these keys; a wrong one is answered with the nearest right one. */
export function section<S extends z.ZodRawShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return `expected a section with ${known.join(', ')}`;
      // One line a key, in the order of `keys`: problemsOf takes them apart again.
      return (issue.keys as string[]).map((key) => unknownKey(key, known)).join('\n');
    },
  });
}

export function unknownKey(key: string, known: readonly string[]): string {
  const near = known.find((candidate) => plain(candidate) === plain(key)) ?? nearest(key, known);
  return `unknown key${near === undefined ? `; expected one of ${known.join(', ')}` : `; did you mean ${near}?`}`;
}

/** Every problem of one schema error; `value` is what was parsed, to tell missing from wrong. */
export function problemsOf(error: z.ZodError, value: unknown, at: readonly PropertyKey[]): Problem[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const messages = issue.message.split('\n');
      return issue.keys.map((key, i) => ({
        path: pathText([...at, ...issue.path, key]),
        message: messages[i] ?? 'unknown key',
      }));
    }
    const missing = issue.code !== 'custom' && valueAt(value, issue.path) === undefined;
    return [{ path: pathText([...at, ...issue.path]), message: missing ? `missing; ${issue.message}` : issue.message }];
  });
}

/** What stands at a path; a single value where a list may stand is its own first item. */
function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let here = value;
  for (const step of path) {
    if (typeof here !== 'object' || here === null) return here;
    here = Object.hasOwn(here, step) ? (here as Record<PropertyKey, unknown>)[step] : undefined;
  }
  return here;
}

const plain = (key: string) => key.toLowerCase().replaceAll(/[-_\s]/g, '');

/** The known key at most two typing errors away (one for short keys). */
function nearest(key: string, known: readonly string[]): string | undefined {
  if (key.length > 40) return undefined;
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(key, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= (key.length > 4 ? 2 : 1) ? best.candidate : undefined;
}

/** Levenshtein's, by rows. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
