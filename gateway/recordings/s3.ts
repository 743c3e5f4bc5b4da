/**
 * Recordings in S3-compatible storage. Every body is sent with its SHA-256, in the signature and as the store's own
 * checksum, and nothing counts as stored before the store has said back what it holds.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { GatewayError } from '../errors.ts';
import type { Secret } from '../secrets.ts';
import { saidBy } from './s3-trouble.ts';
import { type Content, checkedKey, HOLD, recordingOf, type Store, type Stored } from './store.ts';

const PART_BYTES = 8 << 20; // what a broken connection costs, and what is in memory at once
const MOST_PARTS = 10_000; // S3's own limit
const TEXT_BYTES = 1 << 20;
const CONNECT_MS = 5_000;
const ANSWER_MS = 60_000; // one request, with a part of 8 MB in it
const ATTEMPTS = 3;

export type S3Options = {
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly bucket: string;
  /** Ends with `/`, or is empty. */
  readonly prefix: string;
  readonly accessKey: Secret;
  readonly secretKey: Secret;
  readonly pathStyle: boolean;
  /** What is put there cannot be removed or replaced by anybody for so long. */
  readonly objectLockMs?: number | undefined;
  readonly partBytes?: number;
  readonly answerMs?: number;
};

/** What the store says that it holds. `plain`: its SHA-256 (hex); `composite`: that of its parts' checksums. */
type Head = {
  readonly bytes: number;
  readonly plain: string | undefined;
  readonly composite: string | undefined;
};

export class S3Store implements Store {
  readonly #options: S3Options;
  readonly #client: S3Client;
  readonly #closed = new AbortController();

  constructor(options: S3Options) {
    this.#options = options;
    const { endpoint, region, accessKey, secretKey, pathStyle } = options;
    this.#client = new S3Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      region,
      forcePathStyle: pathStyle,
      credentials: { accessKeyId: accessKey.reveal(), secretAccessKey: secretKey.reveal() },
      maxAttempts: ATTEMPTS,
      requestHandler: { connectionTimeout: CONNECT_MS },
      requestChecksumCalculation: 'WHEN_REQUIRED', // ours are given with each body
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
  }

  /**
   * The file at `path`, whole: resolves once the store says that it holds these very bytes. Was it there already,
   * nothing is sent.
   * @throws GatewayError RECORDING where file or object are others, UNAVAILABLE where the store does not take it
   */
  async put(key: string, path: string, content: Content): Promise<void> {
    checkedKey(key);
    const there = await this.#head(key);
    if (there) return this.#confirm(key, there, content, undefined);
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const composite = content.bytes > this.#partBytes ? await this.#inParts(key, file, content) : undefined;
      if (composite === undefined) {
        const body = await exactly(file, 0, content.bytes);
        if (sha256(body).toString('hex') !== content.sha256) throw changed();
        await this.#putBody(key, body);
      }
      await this.#confirm(key, await this.#head(key), content, composite);
    } finally {
      await file.close();
    }
  }

  async putText(key: string, text: string): Promise<void> {
    await this.#putBody(checkedKey(key), Buffer.from(text, 'utf8'));
  }

  async readText(key: string): Promise<string | undefined> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of this.read(key)) {
        size += chunk.length;
        if (size > TEXT_BYTES) throw new GatewayError('RECORDING', `${key} is longer than any text beside a recording`);
        chunks.push(chunk);
      }
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'RECORDING' && size === 0) return undefined;
      throw error;
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  /** @throws GatewayError RECORDING where there is none */
  async *read(key: string): AsyncGenerator<Buffer> {
    const command = new GetObjectCommand(this.#at(checkedKey(key)));
    const answer = await this.#ask((abortSignal) => this.#client.send(command, { abortSignal })).catch((error) => {
      if (isAbsent(error)) throw new GatewayError('RECORDING', 'the recording is not in the store', { cause: error });
      throw error;
    });
    const body = answer.Body as AsyncIterable<Buffer> | undefined;
    if (!body) return;
    try {
      for await (const chunk of body) yield Buffer.from(chunk);
    } catch (error) {
      throw this.#said(error);
    }
  }

  async *list(signal?: AbortSignal): AsyncGenerator<Stored> {
    const { bucket, prefix } = this.#options;
    let token: string | undefined;
    do {
      signal?.throwIfAborted();
      const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token });
      const page = await this.#ask((abortSignal) => this.#client.send(command, { abortSignal }));
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        const key = Key.slice(prefix.length);
        if (recordingOf(key) !== undefined) yield { key, bytes: Size, modifiedAt: LastModified?.getTime() ?? 0 };
      }
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async locked(key: string): Promise<boolean> {
    try {
      const command = new HeadObjectCommand(this.#at(checkedKey(key)));
      const head = await this.#ask((abortSignal) => this.#client.send(command, { abortSignal }));
      return (head.ObjectLockRetainUntilDate?.getTime() ?? 0) > Date.now() || head.ObjectLockLegalHoldStatus === 'ON';
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  async remove(key: string): Promise<void> {
    const at = this.#at(checkedKey(key));
    try {
      const head = await this.#ask((abortSignal) => this.#client.send(new HeadObjectCommand(at), { abortSignal }));
      // Without its version it would only be hidden.
      const versioned = head.VersionId !== undefined && head.VersionId !== 'null';
      const command = new DeleteObjectCommand({ ...at, ...(versioned ? { VersionId: head.VersionId } : {}) });
      await this.#ask((abortSignal) => this.#client.send(command, { abortSignal }));
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }

  /** Uploads of it that were begun and never ended: a crash, or a connection that broke. */
  async abandonParts(key: string): Promise<number> {
    const { bucket, prefix } = this.#options;
    const command = new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${prefix}${checkedKey(key)}` });
    const { Uploads = [] } = await this.#ask((abortSignal) => this.#client.send(command, { abortSignal }));
    let gone = 0;
    for (const { Key, UploadId } of Uploads) {
      if (Key !== `${prefix}${key}` || UploadId === undefined) continue;
      await this.#abort(key, UploadId);
      gone++;
    }
    return gone;
  }

  /** What is under way fails. */
  close(): void {
    this.#closed.abort();
    this.#client.destroy();
  }

  get #partBytes(): number {
    return this.#options.partBytes ?? PART_BYTES;
  }

  #at(key: string): { Bucket: string; Key: string } {
    const { bucket, prefix } = this.#options;
    return { Bucket: bucket, Key: `${prefix}${key}` };
  }

  #lock(key: string) {
    const { objectLockMs } = this.#options;
    if (objectLockMs === undefined || key.endsWith(HOLD)) return {}; // somebody may lift it any day
    return {
      ObjectLockMode: 'COMPLIANCE' as const,
      ObjectLockRetainUntilDate: new Date(Date.now() + objectLockMs),
    };
  }

  async #putBody(key: string, body: Buffer): Promise<void> {
    const hash = sha256(body);
    const command = new PutObjectCommand({
      ...this.#at(key),
      ...this.#lock(key),
      Body: body,
      ContentLength: body.length,
      ContentType: 'application/octet-stream',
      ChecksumAlgorithm: 'SHA256', // object lock asks for this one too
      ChecksumSHA256: hash.toString('base64'),
      Metadata: { sha256: hash.toString('hex') },
    });
    await this.#ask((abortSignal) => this.#client.send(command, { abortSignal }));
  }

  /** The checksum of its parts' checksums. */
  async #inParts(key: string, file: FileHandle, { bytes, sha256: whole }: Content): Promise<string> {
    await this.abandonParts(key);
    const at = this.#at(key);
    const begin = new CreateMultipartUploadCommand({
      ...at,
      ...this.#lock(key),
      ChecksumAlgorithm: 'SHA256',
      ContentType: 'application/octet-stream',
      Metadata: { sha256: whole },
    });
    const { UploadId } = await this.#ask((abortSignal) => this.#client.send(begin, { abortSignal }));
    if (UploadId === undefined) throw new GatewayError('UNAVAILABLE', 'the store began no upload');
    try {
      const size = Math.max(this.#partBytes, Math.ceil(bytes / MOST_PARTS));
      const all = createHash('sha256');
      const sums: Buffer[] = [];
      const Parts: { PartNumber: number; ETag: string | undefined; ChecksumSHA256: string }[] = [];
      for (let from = 0, PartNumber = 1; from < bytes; from += size, PartNumber++) {
        const body = await exactly(file, from, Math.min(size, bytes - from));
        all.update(body);
        const sum = sha256(body);
        sums.push(sum);
        const ChecksumSHA256 = sum.toString('base64');
        const part = { ...at, UploadId, PartNumber, Body: body, ContentLength: body.length, ChecksumSHA256 };
        const { ETag } = await this.#ask((abortSignal) =>
          this.#client.send(new UploadPartCommand(part), { abortSignal }),
        );
        Parts.push({ PartNumber, ETag, ChecksumSHA256 });
      }
      if (all.digest('hex') !== whole) throw changed();
      const end = new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } });
      await this.#ask((abortSignal) => this.#client.send(end, { abortSignal }));
      return `${sha256(Buffer.concat(sums)).toString('base64')}-${sums.length}`;
    } catch (error) {
      await this.#abort(key, UploadId).catch(() => {}); // the next attempt looks for it
      throw error;
    }
  }

  async #abort(key: string, UploadId: string): Promise<void> {
    const command = new AbortMultipartUploadCommand({ ...this.#at(key), UploadId });
    await this.#ask((abortSignal) => this.#client.send(command, { abortSignal })).catch((error) => {
      if (!isAbsent(error)) throw error;
    });
  }

  async #head(key: string): Promise<Head | undefined> {
    const command = new HeadObjectCommand({ ...this.#at(key), ChecksumMode: 'ENABLED' });
    try {
      const head = await this.#ask((abortSignal) => this.#client.send(command, { abortSignal }));
      const sum = head.ChecksumSHA256;
      return {
        bytes: head.ContentLength ?? -1,
        composite: sum?.includes('-') ? sum : undefined,
        plain: sum === undefined || sum.includes('-') ? undefined : Buffer.from(sum, 'base64').toString('hex'),
      };
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** A store that does not tell this very checksum is made to give the bytes back: nothing less lets go of the file here. */
  async #confirm(key: string, head: Head | undefined, { bytes, sha256: hash }: Content, composite?: string) {
    if (!head) throw new GatewayError('UNAVAILABLE', 'the store took a recording and does not have it');
    const told = head.plain === hash || (composite !== undefined && head.composite === composite);
    const same = head.bytes === bytes && (told || (await this.#hashed(key)) === hash);
    if (same) return;
    throw new GatewayError('RECORDING', `the store has another object at ${key}`, {
      hint: 'Nothing is overwritten: compare both, and take away the one in the store if it is not evidence.',
    });
  }

  async #hashed(key: string): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of this.read(key)) hash.update(chunk);
    return hash.digest('hex');
  }

  async #ask<T>(request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      const late = AbortSignal.timeout(this.#options.answerMs ?? ANSWER_MS);
      return await request(AbortSignal.any([late, this.#closed.signal]));
    } catch (error) {
      throw this.#said(error);
    }
  }

  #said(error: unknown): GatewayError {
    return saidBy(error, this.#options);
  }
}

const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
const changed = () => new GatewayError('RECORDING', 'the file is not as it was sealed');

const isAbsent = (error: unknown): boolean => {
  const cause = error instanceof GatewayError ? error.cause : error;
  const { name, $metadata } = (cause ?? {}) as { name?: string; $metadata?: { httpStatusCode?: number } };
  return (
    name === 'NoSuchKey' ||
    name === 'NotFound' ||
    name === 'NoSuchUpload' ||
    ($metadata?.httpStatusCode === 404 && name !== 'NoSuchBucket')
  );
};

/** @throws GatewayError RECORDING where there are fewer */
async function exactly(file: FileHandle, from: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; ) {
    const { bytesRead } = await file.read(buffer, at, bytes - at, from + at);
    if (bytesRead === 0) throw changed();
    at += bytesRead;
  }
  return buffer;
}
