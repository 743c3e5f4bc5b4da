/** An issuer as a client of it sees it: discovered, its endpoints believed only where they are served as they must be. */
import {
  allowInsecureRequests,
  ClientError,
  ClientSecretBasic,
  ClientSecretPost,
  type Configuration,
  customFetch,
  discovery,
  None,
} from 'openid-client';
import { boundedFetch } from './bounded.ts';
import { isLoopbackHost } from './issuers.ts';

const TIMEOUT_MS = 10_000; // a person waits for it

export type ClientOf = {
  readonly issuer: string;
  readonly clientId: string;
  /** Absent: a public client. */
  readonly secret?: string | undefined;
  readonly timeoutMs?: number | undefined;
};

/** @throws Error where it cannot be reached, or says it is another */
export async function discovered({
  issuer,
  clientId,
  secret,
  timeoutMs = TIMEOUT_MS,
}: ClientOf): Promise<Configuration> {
  let methods: readonly string[] | undefined;
  const auth: ReturnType<typeof None> = (server, client, body, headers) => {
    methods ??= server.token_endpoint_auth_methods_supported;
    // The standard's own default, where the issuer does not say that it takes something else.
    const basic = methods === undefined || methods.includes('client_secret_basic');
    const how = secret === undefined ? None() : basic ? ClientSecretBasic(secret) : ClientSecretPost(secret);
    return how(server, client, body, headers);
  };
  const config = await discovery(new URL(issuer), clientId, undefined, auth, {
    timeout: timeoutMs / 1_000,
    [customFetch]: (at, { method, headers, body, signal }) =>
      boundedFetch(at, { method, headers, body: body as RequestInit['body'], signal }, timeoutMs),
    execute: issuer.startsWith('http:') ? [allowInsecureRequests] : [], // loopback: see validateIssuers
  });
  // The library forgives some providers another name, and every one a slash; a token's `iss` is compared exactly.
  if (config.serverMetadata().issuer !== issuer) throw new Error('the discovery document names another issuer');
  return config;
}

/** An endpoint that browsers are sent to; undefined where the issuer has none. @throws Error where it is not served safely */
export function endpoint(
  config: Configuration,
  name: 'authorization_endpoint' | 'end_session_endpoint',
): URL | undefined {
  const { [name]: text, issuer } = config.serverMetadata();
  if (text === undefined) return undefined;
  const url = new URL(text);
  const plain = url.protocol === 'http:' && isLoopbackHost(url.hostname) && issuer.startsWith('http:');
  if (url.protocol !== 'https:' && !plain) throw new Error(`the issuer’s ${name} is not served over https`);
  return url;
}

const UNREACHED = ['OAUTH_TIMEOUT', 'OAUTH_ABORT', 'OAUTH_RESPONSE_IS_NOT_CONFORM', 'OAUTH_RESPONSE_IS_NOT_JSON'];

/** Is it the way to the issuer that failed, or the issuer itself, rather than what was asked of it? */
export function unreached(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof TypeError || error.name === 'TimeoutError' || error.name === 'AbortError') return true;
  // The library wraps what it does not know, such as an answer that breaks off.
  return error instanceof ClientError && (error.code === undefined || UNREACHED.includes(error.code));
}
