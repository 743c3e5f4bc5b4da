/** Who is at the door of the PostgreSQL listener: the password is the token. */
import type { Duplex } from 'node:stream';
import { GatewayError } from '../../errors.ts';
import type { Authenticator, Credential } from '../../identity/identity.ts';
import { authenticationCleartext } from './builders.ts';
import { parsePassword } from './messages.ts';
import { take } from './take.ts';

const PASSWORD = 'p'.charCodeAt(0);
const MAX_PASSWORD_BYTES = 64 * 1024; // a JWT with many groups is some 16 KB

type AuthenticateDeps = {
  readonly authenticator: Authenticator;
  readonly peer: string;
  readonly encrypted: boolean;
  readonly isLocal: (address: string) => boolean;
  readonly signal: AbortSignal;
};

/**
 * Ask for the token and verify it.
 * @throws GatewayError AUTH_NEEDS_TLS before anything is asked; AUTH | PROTOCOL | WITHDRAWN; the signal's reason
 */
export async function authenticateDownstream(stream: Duplex, deps: AuthenticateDeps): Promise<Credential> {
  const { authenticator, peer, encrypted, isLocal, signal } = deps;
  if (!encrypted && !isLocal(peer)) {
    throw new GatewayError('AUTH_NEEDS_TLS', 'a password would cross the network in the clear: TLS is required', {
      hint: 'Connect with sslmode=require or stricter; the gateway needs `tls:` in its configuration for that.',
    });
  }
  stream.write(authenticationCleartext());
  const header = await take(stream, 5, signal);
  const length = header.readUInt32BE(1);
  if (header[0] !== PASSWORD) throw new GatewayError('PROTOCOL', 'expected a password message and nothing else');
  if (length < 5 || length > MAX_PASSWORD_BYTES) {
    throw new GatewayError('PROTOCOL', `a password message cannot have the length ${length | 0}`);
  }
  const body = await take(stream, length - 4, signal);
  const secret = parsePassword({ type: PASSWORD, bytes: Buffer.concat([header, body]), first: true, last: true });
  return await verify(authenticator, secret, signal);
}

/** A credential that comes after the client has gone is released at once. */
function verify(authenticator: Authenticator, secret: string, signal: AbortSignal): Promise<Credential> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
    authenticator
      .authenticate(secret)
      .then(
        (credential) => {
          if (signal.aborted) credential.release();
          else resolve(credential);
        },
        (error: unknown) =>
          reject(
            error instanceof GatewayError
              ? error
              : new GatewayError('AUTH', 'the token cannot be verified now', { cause: error }),
          ),
      )
      .finally(() => signal.removeEventListener('abort', aborted));
  });
}
