/** Recordings that tests make up, and where they keep them. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type S3Options, S3Store } from '../../gateway/recordings/s3.ts';
import type { SessionSummary } from '../../gateway/recordings/shape.ts';
import { Secret } from '../../gateway/secrets.ts';
import { BUCKET, S3_KEYS, type TestS3 } from './s3.ts';

/** Another implementation to test against: a bucket `evidence`, and keys that may do everything in it. */
const { COUNTERSIGN_TEST_S3 } = process.env;
export const store = COUNTERSIGN_TEST_S3 === undefined ? undefined : { endpoint: COUNTERSIGN_TEST_S3 };

export const s3Options = ({ endpoint }: Pick<TestS3, 'endpoint'>): S3Options => ({
  endpoint,
  region: 'us-east-1',
  bucket: BUCKET,
  prefix: 'recordings/',
  accessKey: new Secret(S3_KEYS.access),
  secretKey: new Secret(S3_KEYS.secret),
  pathStyle: true,
});

export const storeOf = (s3: Pick<TestS3, 'endpoint'>, options: Partial<S3Options> = {}): S3Store =>
  new S3Store({ ...s3Options(s3), ...options });

export const contentOf = (bytes: Buffer) => ({
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

export function fileAt(startedAt = Date.now(), session: string = randomUUID()) {
  const day = new Date(startedAt).toISOString().slice(0, 10).replaceAll('-', '/');
  return { session, startedAt, file: `${day}/${startedAt}-${session}.jsonl` };
}

/** Of a session that is over and sealed. */
export const summaryOf = (bytes: Buffer, more: Partial<SessionSummary> = {}): SessionSummary => {
  const { session, startedAt, file } = fileAt(more.startedAt, more.session);
  return {
    v: 1,
    session,
    gateway: 'gw-1',
    connection: 'orders',
    environment: 'test',
    protocol: 'postgres',
    principal: 'https://idp.test#bot',
    principalKind: 'agent',
    name: 'bot',
    startedAt,
    endedAt: startedAt + 1_000,
    reason: '',
    operations: 1,
    held: 0,
    denied: 0,
    failed: 0,
    verdicts: ['allow'],
    relations: ['public.orders'],
    file,
    ...contentOf(bytes),
    ...more,
  };
};

/** As the recorder leaves it. */
export async function place(dir: string, { file }: Pick<SessionSummary, 'file'>, bytes: Buffer): Promise<string> {
  const path = join(dir, file);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, bytes, { mode: 0o600 });
  return path;
}

/** Asserts again until it holds; what it says after 20 s is thrown. */
export async function becomes(assertion: () => void | Promise<void>): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
