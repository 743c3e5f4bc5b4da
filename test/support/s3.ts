/**
 * An S3-compatible server for tests, stricter than those that can be installed with npm alone: it verifies signatures
 * (SigV4), the hash of each body and its checksum, keeps parts, and lets nobody remove what is locked. In memory.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Kept = {
  readonly body: Buffer;
  readonly checksum: string | undefined;
  readonly meta: string | undefined;
  readonly lockedUntil: string | undefined;
  readonly at: Date;
};
type Begun = Pick<Kept, 'meta' | 'lockedUntil'> & {
  readonly key: string;
  readonly parts: Map<number, [Buffer, string]>;
};

/** `cut`: the connection ends after so many bytes of the body; a number: that status; `hang`: no answer. */
type Fault = { readonly cut: number } | number | 'hang' | undefined;

export type TestS3 = {
  readonly endpoint: string;
  readonly port: number;
  readonly objects: Map<string, Kept>;
  readonly uploads: Map<string, Begun>;
  /** Method, path and query of each request, as it came. */
  readonly requests: string[];
  fault: (request: string) => Fault;
  /** False: a store of the kind that knows no checksums. */
  checksums: boolean;
  stop(): Promise<void>;
};

export const S3_KEYS = { access: 'AKIATEST', secret: 'test-secret-key' };
export const BUCKET = 'evidence';

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message = code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest();
const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest();
const xml = (text: string) => `<?xml version="1.0" encoding="UTF-8"?>\n${text}`;

export async function startS3(port = 0): Promise<TestS3> {
  const objects = new Map<string, Kept>();
  const uploads = new Map<string, Begun>();
  const requests: string[] = [];
  const server: Server = createServer((request, response) => void serve(request, response));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const what = `${request.method} ${request.url}`;
    requests.push(what);
    const fault = s3.fault(what);
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('error', () => {});
    try {
      for await (const chunk of request) {
        chunks.push(chunk);
        size += chunk.length;
        if (typeof fault === 'object' && size >= fault.cut) return void request.destroy();
      }
      if (fault === 'hang') return;
      if (typeof fault === 'object') return void request.destroy();
      if (fault !== undefined) throw new Refusal(fault, 'InternalError', 'We encountered an internal error.');
      const body = Buffer.concat(chunks);
      authenticated(request, body);
      answer(request, body, response);
    } catch (error) {
      if (!(error instanceof Refusal)) return void request.destroy();
      response.writeHead(error.status, { 'content-type': 'application/xml' });
      const text = xml(`<Error><Code>${error.code}</Code><Message>${error.message}</Message></Error>`);
      response.end(request.method === 'HEAD' ? undefined : text);
    }
  }

  function answer(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://s3');
    const [, bucket, ...rest] = url.pathname.split('/');
    const key = decodeURIComponent(rest.join('/'));
    if (bucket !== BUCKET) throw new Refusal(404, 'NoSuchBucket', 'The specified bucket does not exist');
    const { searchParams: query } = url;
    const header = (name: string) => request.headers[name]?.toString();
    const say = (text: string) => response.writeHead(200, { 'content-type': 'application/xml' }).end(xml(text));
    const upload = () => uploads.get(query.get('uploadId') ?? '') ?? refuse(404, 'NoSuchUpload');
    const about = () => ({ meta: header('x-amz-meta-sha256'), lockedUntil: lock(header) });
    if (key === '') return void say(query.has('uploads') ? listUploads(query) : list(query));
    switch (`${request.method}${query.has('uploads') ? ' begin' : query.has('uploadId') ? ' upload' : ''}`) {
      case 'PUT': {
        const checksum = checked(body, header);
        objects.set(key, { body, checksum, ...about(), at: new Date() });
        return void response.writeHead(200, { etag: `"${randomBytes(8).toString('hex')}"` }).end();
      }
      case 'POST begin': {
        const id = randomBytes(12).toString('hex');
        uploads.set(id, { key, ...about(), parts: new Map() });
        return void say(
          `<InitiateMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
        );
      }
      case 'PUT upload': {
        const sum = checked(body, header) ?? refuse(400, 'InvalidRequest');
        upload().parts.set(Number(query.get('partNumber')), [body, sum]);
        return void response.writeHead(200, { etag: `"${sum}"` }).end();
      }
      case 'POST upload': {
        const { parts, meta, lockedUntil } = upload();
        const named = [...body.toString().matchAll(/<Part>.*?<\/Part>/gs)].map(([part]) => ({
          number: Number(/<PartNumber>(\d+)/.exec(part)?.[1]),
          sum: /<ChecksumSHA256>([^<]+)/.exec(part)?.[1],
        }));
        const all = named.map(({ number, sum }) => {
          const part = parts.get(number);
          return part && part[1] === sum ? part : refuse(400, 'InvalidPart');
        });
        const sums = sha256(Buffer.concat(all.map(([, sum]) => Buffer.from(sum, 'base64'))));
        const checksum = `${sums.toString('base64')}-${all.length}`;
        objects.set(key, {
          body: Buffer.concat(all.map(([bytes]) => bytes)),
          checksum,
          meta,
          lockedUntil,
          at: new Date(),
        });
        uploads.delete(query.get('uploadId') ?? '');
        return void say(`<CompleteMultipartUploadResult><Key>${key}</Key></CompleteMultipartUploadResult>`);
      }
      case 'DELETE upload':
        upload();
        uploads.delete(query.get('uploadId') ?? '');
        return void response.writeHead(204).end();
      case 'DELETE':
        if (Date.parse(objects.get(key)?.lockedUntil ?? '') > Date.now()) throw new Refusal(403, 'AccessDenied');
        objects.delete(key);
        return void response.writeHead(204).end();
      case 'HEAD':
      case 'GET': {
        const kept = objects.get(key) ?? refuse(404, 'NoSuchKey');
        response.writeHead(200, {
          'content-length': kept.body.length,
          ...(kept.meta ? { 'x-amz-meta-sha256': kept.meta } : {}),
          ...(kept.lockedUntil ? { 'x-amz-object-lock-retain-until-date': kept.lockedUntil } : {}),
          ...(kept.checksum && s3.checksums && header('x-amz-checksum-mode') === 'ENABLED'
            ? { 'x-amz-checksum-sha256': kept.checksum }
            : {}),
        });
        return void response.end(request.method === 'HEAD' ? undefined : kept.body);
      }
      default:
        throw new Refusal(501, 'NotImplemented');
    }
  }

  function list(query: URLSearchParams): string {
    const prefix = query.get('prefix') ?? '';
    const after = query.get('continuation-token') ?? '';
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, Math.min(PAGE, Number(query.get('max-keys') ?? PAGE)));
    const contents = page.map((key) => {
      const { body, at } = objects.get(key) as Kept;
      return `<Contents><Key>${key}</Key><Size>${body.length}</Size><LastModified>${at.toISOString()}</LastModified></Contents>`;
    });
    const more = page.length < keys.length;
    const next = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    return `<ListBucketResult><IsTruncated>${more}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`;
  }

  function listUploads(query: URLSearchParams): string {
    const those = [...uploads].filter(([, { key }]) => key.startsWith(query.get('prefix') ?? ''));
    const texts = those.map(([id, { key }]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`);
    return `<ListMultipartUploadsResult>${texts.join('')}</ListMultipartUploadsResult>`;
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  const s3: TestS3 = {
    endpoint: `http://127.0.0.1:${bound}`,
    port: bound,
    objects,
    uploads,
    requests,
    fault: () => undefined,
    checksums: true,
    stop: async () => {
      const gone = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await gone;
    },
  };
  return s3;
}

const PAGE = 100; // fewer than S3's thousand, so that tests come to a second page

function refuse(status: number, code: string): never {
  throw new Refusal(status, code);
}

type Header = (name: string) => string | undefined;

function checked(body: Buffer, header: Header): string | undefined {
  const checksum = header('x-amz-checksum-sha256');
  if (checksum !== undefined && checksum !== sha256(body).toString('base64')) refuse(400, 'BadDigest');
  return checksum;
}

function lock(header: Header): string | undefined {
  const until = header('x-amz-object-lock-retain-until-date');
  if (until === undefined) return undefined;
  if (header('x-amz-object-lock-mode') !== 'COMPLIANCE') refuse(400, 'InvalidRequest');
  const named = header('x-amz-sdk-checksum-algorithm') ?? header('x-amz-checksum-algorithm');
  if (named !== 'SHA256') refuse(400, 'MissingUploadObjectWithObjectLockHeaders');
  return until;
}

/** AWS Signature Version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
function authenticated({ method, url = '/', headers }: IncomingMessage, body: Buffer): void {
  const [, access, date = '', region = '', signed = '', signature] =
    /Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})/.exec(
      headers.authorization ?? '',
    ) ?? refuse(403, 'AccessDenied');
  if (access !== S3_KEYS.access) refuse(403, 'InvalidAccessKeyId');
  const hash = headers['x-amz-content-sha256']?.toString() ?? '';
  if (hash !== sha256(body).toString('hex')) refuse(400, 'XAmzContentSHA256Mismatch');
  const [path, query = ''] = url.split('?');
  const pairs = query
    .split('&')
    .filter(Boolean)
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .sort();
  const lines = signed.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const canonical = [method, path, pairs.join('&'), lines.join(''), signed, hash].join('\n');
  const scope = `${date}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical).toString('hex')].join('\n');
  const key = hmac(hmac(hmac(hmac(`AWS4${S3_KEYS.secret}`, date), region), 's3'), 'aws4_request');
  if (hmac(key, text).toString('hex') !== signature) refuse(403, 'SignatureDoesNotMatch');
}
