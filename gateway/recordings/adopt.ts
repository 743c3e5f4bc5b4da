/** Recordings that a dead gateway left: read to their end, sealed as they are, and put where they are found. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Audit } from '../audit/entry.ts';
import type { WrappingKey } from './keys.ts';
import { readRecording } from './read.ts';
import type { RecordedHead, SessionSummary } from './shape.ts';
import { RECORDING_FILE } from './summary.ts';
import { Summing } from './summing.ts';

export type AdoptDeps = {
  readonly dir: string;
  readonly keys: readonly WrappingKey[];
  /** Gateways that may still be writing, this one's own id included. @throws where nobody can say */
  readonly alive: () => Promise<ReadonlySet<string>>;
  readonly audit: Pick<Audit, 'commit'>;
  readonly finished: (summary: SessionSummary) => Promise<void>;
  readonly log: { warn(details: object, message: string): void };
};

/** Resolves with how many were adopted. @throws where the directory or the list of gateways cannot be read */
export async function adoptRecordings({ dir, keys, alive, audit, finished, log }: AdoptDeps): Promise<number> {
  const names = new Set(await readdir(dir, { recursive: true }));
  const left = [...names].filter((name) => RECORDING_FILE.test(name) && !names.has(`${name}.summary.json`));
  if (left.length === 0) return 0;
  const living = await alive();
  let adopted = 0;
  for (const file of left) {
    try {
      const found = await read(join(dir, file), file, keys, living);
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
      log.warn({ file, reason: String(error) }, 'a recording that a gateway left cannot be read');
    }
  }
  return adopted;
}

async function read(path: string, file: string, keys: readonly WrappingKey[], living: ReadonlySet<string>) {
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
    if (living.has(head.gateway)) return undefined;
    startedAt = head.startedAt;
    summing = new Summing(head, file);
  }
  return summing && { summary: summing.summary({ bytes, sha256: hash.digest('hex') }), torn };
}
