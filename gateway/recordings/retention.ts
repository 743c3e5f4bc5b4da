/** Recordings that are old enough, or too many, go: oldest first, on record before it happens, and never one on hold. */
import type { Audit } from '../audit/entry.ts';
import type { SignedStore } from '../state/signed.ts';
import type { LegalHolds } from './legal-holds.ts';
import type { SessionSummary } from './shape.ts';
import { HOLD, recordingOf, type Store, SUMMARY } from './store.ts';

const claimKey = (place: string) => `countersign:recordings:retention:${place}`;
const CLAIM_MS = 60_000;
const CLAIM_AGAIN_MS = 10_000;

export type RetentionDeps = {
  readonly store: Store;
  /** Names the store: only one gateway at a time removes from it. */
  readonly place: string;
  /** From its end on, ms. */
  readonly retentionMs?: number | undefined;
  readonly maxBytes?: number | undefined;
  readonly gateway: string;
  readonly redis: SignedStore['redis'];
  readonly holds: Pick<LegalHolds, 'held'>;
  readonly audit: Pick<Audit, 'commit'>;
  readonly find: (session: string) => SessionSummary | undefined;
  readonly removed: (session: string) => Promise<void>;
  readonly now?: () => number;
};

/** A recording with all that lies beside it. */
type Group = {
  readonly file: string;
  bytes: number;
  modifiedAt: number;
  held: boolean;
  complete: boolean;
};

/**
 * Resolves with how many were removed; nothing where another gateway is at it.
 * @throws GatewayError where the store, Redis or the trail does not answer: nothing more is removed then
 */
export async function sweep(deps: RetentionDeps): Promise<number> {
  const { store, retentionMs, maxBytes, now = Date.now } = deps;
  if ((retentionMs === undefined && maxBytes === undefined) || !(await claim(deps))) return 0;
  let claimedAt = performance.now();
  let over = 0;
  if (maxBytes !== undefined) {
    for await (const { bytes } of store.list()) over += bytes;
    over -= maxBytes;
  }
  let gone = 0;
  for await (const group of groups(store)) {
    const aged = retentionMs !== undefined && endOf(group, deps) + retentionMs <= now();
    if (!aged && over <= 0) {
      if (retentionMs === undefined || startOf(group) + retentionMs > now()) break; // all that follow are younger
      continue;
    }
    if (performance.now() - claimedAt > CLAIM_AGAIN_MS) {
      if (!(await claim(deps))) break;
      claimedAt = performance.now();
    }
    if (!(await remove(group, aged ? 'age' : 'size', deps))) continue;
    over -= group.bytes;
    gone++;
  }
  return gone;
}

async function remove(group: Group, why: 'age' | 'size', deps: RetentionDeps): Promise<boolean> {
  const { store, holds, audit, find, removed } = deps;
  const { file, bytes } = group;
  const session = sessionOf(file);
  if (!group.complete || group.held || (await holds.held(session))) return false;
  // The summary came later than the recording, and may be locked for longer.
  if ((await store.locked(file)) || (await store.locked(`${file}${SUMMARY}`))) return false;
  if ((await store.readText(`${file}${HOLD}`)) !== undefined) return false; // put there since it was listed
  const { principal, connection } = find(session) ?? {};
  const of = { session, ...(principal ? { principal } : {}), ...(connection ? { connection } : {}) };
  await audit.commit({ kind: 'recording.removed', ...of, file, bytes, why });
  await store.remove(file);
  await store.remove(`${file}${SUMMARY}`);
  await removed(session);
  return true;
}

async function* groups(store: Store): AsyncGenerator<Group> {
  let group: Group | undefined;
  for await (const { key, bytes, modifiedAt } of store.list()) {
    const file = recordingOf(key);
    if (file === undefined) continue;
    if (group && group.file !== file) yield group;
    if (group?.file !== file) group = { file, bytes: 0, modifiedAt, held: false, complete: false };
    group.bytes += bytes;
    group.modifiedAt = Math.max(group.modifiedAt, modifiedAt);
    if (key === `${file}${HOLD}`) group.held = true;
    if (key === `${file}${SUMMARY}`) group.complete = true;
  }
  if (group) yield group;
}

const nameOf = (file: string) => file.slice(file.lastIndexOf('/') + 1);
const startOf = ({ file }: Group) => Number(nameOf(file).split('-', 1)[0]);
const sessionOf = (file: string) => nameOf(file).replace(/^\d+-/, '').slice(0, 36);

/** Where nobody knows, when it was last written. */
const endOf = (group: Group, { find }: RetentionDeps): number =>
  find(sessionOf(group.file))?.endedAt ?? group.modifiedAt;

async function claim({ redis, gateway, place }: RetentionDeps): Promise<boolean> {
  const key = claimKey(place);
  if ((await redis.get(key)) === gateway) return (await redis.pexpire(key, CLAIM_MS)) === 1;
  return (await redis.set(key, gateway, 'PX', CLAIM_MS, 'NX')) === 'OK';
}
