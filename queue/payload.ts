/** Reading what arrived on a queue: signature, version, shape; all or nothing. */
import type { z } from 'zod';
import { unseal, type VerifyingKey } from './sign.ts';

/** Turns a payload of version `n` into one of `n + 1`; keyed by `n`. */
type Upcasters = Readonly<Record<number, (payload: Record<string, unknown>) => Record<string, unknown>>>;

export type Read<T> =
  | { readonly ok: true; readonly value: T; readonly by: string }
  /** `newer`: a trusted key sealed it, and this process is too old to read it. One that is not shall have it. */
  | { readonly ok: false; readonly why: string; readonly newer: boolean };

export type Reader<T> = {
  readonly schema: z.ZodType<T>;
  /** The version written today; the one before it is read through `upcasters`, anything else is refused. */
  readonly version: number;
  readonly upcasters: Upcasters;
};

/** What is inside an envelope, if one of `keys` sealed it for `context` and it fits. Never throws. */
export function readPayload<T>(
  envelope: unknown,
  context: string,
  keys: readonly VerifyingKey[],
  reader: Reader<T>,
): Read<T> {
  const opened = unseal(envelope, context, keys);
  if (!opened) return { ok: false, why: `not sealed for ${context} by a key that is trusted here`, newer: false };
  const current = upcast(opened.payload, reader);
  if (!current) {
    const newer = versionOf(opened.payload) > reader.version;
    return { ok: false, why: `a version other than ${reader.version} and the one before it`, newer };
  }
  const parsed = reader.schema.safeParse(current);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return {
      ok: false,
      why: `does not fit: ${issue?.path.join('.') || 'payload'} ${issue?.message ?? ''}`.slice(0, 300),
      newer: false,
    };
  }
  return { ok: true, value: parsed.data, by: opened.by };
}

function versionOf(payload: unknown): number {
  const version = (payload as { v?: unknown } | null)?.v;
  return typeof version === 'number' ? version : 0;
}

function upcast(payload: unknown, { version, upcasters }: Reader<unknown>): Record<string, unknown> | undefined {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return undefined;
  const fields = payload as Record<string, unknown>;
  if (fields.v === version) return fields;
  const lift = fields.v === version - 1 ? upcasters[version - 1] : undefined;
  return lift ? { ...lift(fields), v: version } : undefined;
}
