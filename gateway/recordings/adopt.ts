/** Recordings that a dead gateway left: read to their end, sealed as they are, and put where they are found. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Audit } from '../audit/entry.ts';
import type { WrappingKey } from './keys.ts';
import { readRecording } from './read.ts';
import type { RecordedHead, SessionSummary } from './shape.ts';
import { SUMMARY } from './store.ts';
import { RECORDING_FILE } from './summary.ts';
import { Summing } from './summing.ts';

export type AdoptDeps = {
  readonly dir: string;
  readonly keys: readonly WrappingKey[];
  /** Gateways that may still be writing, this one's own id included. @throws where nobody can say */
  readonly alive: () => Promise<ReadonlySet<string>>;
  readonly audit: Pick<Audit, 'commit'>;
  readonly finished: (summary: SessionSummary) => Promise<void>;
  /** A gateway without a lease may go on for so long: it is dead when it was missing in every look since, ms. */
  readonly deadAfterMs: number;
  readonly monotonic?: () => number;
  readonly log: { warn(details: object, message: string): void };
};

/**
 * Looks, each time it is called, for what dead gateways left; resolves with how many recordings were adopted.
 * @throws where the directory or the list of gateways cannot be read
 */
export function adopter(deps: AdoptDeps): () => Promise<number> {
  const { monotonic = () => performance.now() } = deps;
  /** When a gateway was first missing; gone once it is seen again. */
  const missing = new Map<string, number>();
  const told = new Set<string>();
  return async () => {
    const { dir, alive } = deps;
    const names = new Set(await readdir(dir, { recursive: true }));
    const left = [...names].filter((name) => RECORDING_FILE.test(name) && !names.has(`${name}${SUMMARY}`));
    if (left.length === 0) return 0;
    const living = await alive();
    for (const gateway of living) missing.delete(gateway);
    const now = monotonic();
    const isDead = (gateway: string) => {
      if (living.has(gateway)) return false;
      const since = missing.get(gateway) ?? now;
      missing.set(gateway, since);
      return now - since >= deps.deadAfterMs;
    };
    const unreadable = (file: string, error: unknown) => {
      if (told.has(file)) return;
      told.add(file);
      deps.log.warn({ file, reason: String(error) }, 'a recording that a gateway left cannot be read');
    };
    return adopt(deps, left, { isDead, unreadable });
  };
}

type Judge = { isDead(gateway: string): boolean; unreadable(file: string, error: unknown): void };

async function adopt({ dir, keys, audit, finished }: AdoptDeps, left: string[], judge: Judge): Promise<number> {
  let adopted = 0;
  for (const file of left) {
    try {
      const found = await read(join(dir, file), file, keys, judge);
      if (!found) continue;
      const { summary, torn } = found;
      const { session, bytes, sha256 } = summary;
      await audit.commit({
        kind: 'recording.sealed',
        recordings: [{ session, file, bytes, sha256 }], // no end: should its gateway be there after all, it goes on
        adoptedFrom: summary.gateway,
        ...(torn > 0 ? { torn } : {}),
      });
      await finished(summary);
      adopted++;
    } catch (error) {
      judge.unreadable(file, error);
    }
  }
  return adopted;
}

async function read(path: string, file: string, keys: readonly WrappingKey[], { isDead }: Judge) {
  const hash = createHash('sha256');
  let bytes = 0;
  let torn = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  let summing: Summing | undefined;
  let startedAt = 0;
  const onTorn = (left: number) => {
    torn = left;
  };
  for await (const line of readRecording(counted(), { keys, onTorn })) {
    if (summing && 't' in line) {
      summing.take(line, startedAt + line.t);
      continue;
    }
    const head = line as RecordedHead;
    if (!isDead(head.gateway)) return undefined;
    startedAt = head.startedAt;
    summing = new Summing(head, file);
  }
  return summing && { summary: summing.summary({ bytes, sha256: hash.digest('hex') }), torn };
}
