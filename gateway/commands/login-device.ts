/** Signing in at a terminal: the device flow (RFC 8628), and renewal with what it gave. */
import { decodeJwt } from 'jose';
import {
  type Configuration,
  initiateDeviceAuthorization,
  pollDeviceAuthorizationGrant,
  ResponseBodyError,
  refreshTokenGrant,
} from 'openid-client';
import { visible } from '../../queue/review.ts';
import { GatewayError } from '../errors.ts';
import { discovered, unreached } from '../identity/provider.ts';

const STILL_MS = 30_000;
const EXPIRED = 'nobody signed in before the code ended';

export type Provider = {
  readonly issuer: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  /** What a token must be for, to be good at the gateway: one of these. */
  readonly audiences: readonly string[];
};

export type Given = { readonly jwt: string; readonly refreshToken: string | undefined };

type Tokens = { readonly access_token: string; readonly id_token?: string; readonly refresh_token?: string };

/**
 * Says where to go and which code to type, and waits until that is done.
 * @throws GatewayError DENIED (they said no) | EXPIRED (nobody came) | UNAVAILABLE | AUTH (no token for this gateway)
 */
export async function byDevice(provider: Provider, tell: (text: string) => void): Promise<Given> {
  const config = await reached(provider);
  const begun = await initiateDeviceAuthorization(config, { scope: scopesOf(provider, config) }).catch((cause) => {
    throw explained(cause, provider);
  });
  const { user_code: code, verification_uri: uri, verification_uri_complete: complete, expires_in: seconds } = begun;
  for (const address of [uri, complete ?? uri]) {
    if (!/^https?:\/\//.test(address)) throw new GatewayError('AUTH', 'the issuer gave no address of a page to open');
  }
  tell(
    `Open this page in a browser and sign in there:\n\n  ${plain(complete ?? uri)}\n\nIt must show this code: ${plain(code)}\n`,
  );
  const end = Date.now() + seconds * 1_000;
  const still = setInterval(() => {
    const minutes = Math.max(0, Math.ceil((end - Date.now()) / 60_000));
    tell(`Still waiting. The code is good for another ${minutes} min; Ctrl-C gives up.`);
  }, STILL_MS);
  try {
    return await answered(config, begun, provider, tell);
  } finally {
    clearInterval(still);
  }
}

/** A network that was away for a moment is no answer: asked again, until the code ends (RFC 8628, 3.5). */
async function answered(
  config: Configuration,
  begun: Awaited<ReturnType<typeof initiateDeviceAuthorization>>,
  provider: Provider,
  tell: (text: string) => void,
): Promise<Given> {
  const signal = AbortSignal.timeout(begun.expires_in * 1_000);
  let told = false;
  for (;;) {
    try {
      return given(await pollDeviceAuthorizationGrant(config, begun, undefined, { signal }), provider);
    } catch (cause) {
      if (signal.aborted) throw new GatewayError('EXPIRED', EXPIRED, { cause });
      if (!unreached(cause)) throw explained(cause, provider);
      if (!told) tell('The issuer does not answer now; asking on.');
      told = true;
    }
  }
}

/** Without anybody's doing. @throws GatewayError DENIED where that is over and somebody must sign in; UNAVAILABLE */
export async function byRenewal(provider: Provider, refreshToken: string): Promise<Given> {
  const config = await reached(provider);
  try {
    const renewed = given(await refreshTokenGrant(config, refreshToken), provider);
    return { ...renewed, refreshToken: renewed.refreshToken ?? refreshToken };
  } catch (cause) {
    throw explained(cause, provider);
  }
}

const reached = (provider: Provider): Promise<Configuration> =>
  discovered(provider).catch((cause: unknown) => {
    throw new GatewayError('UNAVAILABLE', `the issuer ${provider.issuer} cannot be asked now`, { cause });
  });

/** With what lets a sign-in be renewed, where the issuer has it. */
function scopesOf({ scopes }: Provider, config: Configuration): string {
  const offline = config.serverMetadata().scopes_supported?.includes('offline_access') === true;
  return [...new Set([...scopes, ...(offline ? ['offline_access'] : [])])].join(' ');
}

/** The one of the issuer's tokens that is meant for this gateway, which judges it. */
function given(tokens: Tokens, { issuer, audiences }: Provider): Given {
  const jwt = [tokens.access_token, tokens.id_token].find((token) => token !== undefined && isFor(token, audiences));
  if (jwt !== undefined) return { jwt, refreshToken: tokens.refresh_token };
  throw new GatewayError('AUTH', `${issuer} gave no token for ${audiences.join(' or ')}`, {
    hint: 'The operator: let web.sign_in.scopes ask for it, or trust the client’s own id as an audience in identity.issuers.',
  });
}

function isFor(token: string, audiences: readonly string[]): boolean {
  try {
    const { aud } = decodeJwt(token);
    return [aud ?? []].flat().some((one) => audiences.includes(one));
  } catch {
    return false; // opaque: nothing that a gateway could read
  }
}

const plain = (text: string): string => visible(text).text;

function explained(cause: unknown, { issuer }: Provider): GatewayError {
  if (cause instanceof GatewayError) return cause;
  if (cause instanceof ResponseBodyError) {
    const { error } = cause;
    if (error === 'access_denied')
      return new GatewayError('DENIED', 'the sign-in was refused at the issuer', { cause });
    if (error === 'expired_token') return new GatewayError('EXPIRED', EXPIRED, { cause });
    return new GatewayError('DENIED', `the issuer ${issuer} said ${plain(error)}`, { cause });
  }
  return new GatewayError('UNAVAILABLE', `the issuer ${issuer} cannot be asked now`, { cause });
}
