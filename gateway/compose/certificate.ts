/** The gateway's own certificate, taken up anew with each reload. */
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Config } from '../config.ts';
import { GatewayError } from '../errors.ts';

/** @throws GatewayError CONFIG when certificate and key cannot be used together. */
export function secureContext(tls: Config['tls']): SecureContext | undefined {
  if (!tls) return undefined;
  try {
    return createSecureContext({ cert: tls.cert, key: tls.key.reveal(), minVersion: 'TLSv1.2' });
  } catch (cause) {
    // Not the library's text: nothing of a key belongs into a log.
    throw new GatewayError('CONFIG', 'tls: certificate and key cannot be used together', {
      hint: 'tls.cert holds the certificate and its chain, tls.key the matching private key, both PEM.',
      cause,
    });
  }
}
