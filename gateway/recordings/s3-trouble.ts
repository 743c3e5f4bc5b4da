/** What an S3-compatible store answered, in words for the operator: what is wrong, and what to do about it. Pure. */
import { GatewayError } from '../errors.ts';

type Place = { readonly endpoint?: string | undefined; readonly bucket: string; readonly region: string };

const REMEDIES: Readonly<Record<string, string>> = {
  InvalidAccessKeyId: 'the store does not know the access key: check recordings.store.s3.access_key',
  SignatureDoesNotMatch: 'the secret key does not belong to the access key: check recordings.store.s3.secret_key',
  AccessDenied:
    'these credentials may not do that: allow s3:PutObject, s3:GetObject, s3:DeleteObject, s3:ListBucket and the multipart actions on the bucket',
  Forbidden: 'the store refuses these credentials: check access_key, secret_key and what they may do in the bucket',
  NoSuchBucket: 'there is no such bucket: create it, or correct recordings.store.s3.bucket',
  PermanentRedirect: 'the bucket is in another region: correct recordings.store.s3.region or endpoint',
  AuthorizationHeaderMalformed: 'the bucket is in another region: correct recordings.store.s3.region',
  RequestTimeTooSkewed: 'the clocks of this machine and of the store differ: set this one',
  InvalidRequest: 'the store refuses the request: object_lock needs a bucket that was created with object lock',
};

/** UNAVAILABLE with cause and remedy; what is a GatewayError already stays as it is. */
export function saidBy(error: unknown, { endpoint, bucket, region }: Place): GatewayError {
  if (error instanceof GatewayError) return error;
  const {
    name = '',
    message = '',
    code,
    $metadata,
  } = (error ?? {}) as {
    name?: string;
    message?: string;
    code?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  const where = `${bucket} at ${endpoint ?? region}`;
  const known = REMEDIES[name] ?? (status === 403 ? REMEDIES.Forbidden : undefined);
  if (known) return new GatewayError('UNAVAILABLE', `the store (${where}): ${known}`, { cause: error });
  const timeout = name === 'TimeoutError' || name === 'AbortError';
  const why = timeout ? 'it did not answer in time' : [code ?? name, message || status].filter(Boolean).join(': ');
  return new GatewayError('UNAVAILABLE', `the store (${where}) cannot be used: ${why}`, {
    cause: error,
    hint: 'Recordings wait in recordings.dir until it can.',
  });
}
