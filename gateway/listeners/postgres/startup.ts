/** The start-up conversation with a client: TLS, GSS, cancel requests, StartupMessage. Ends before any password. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type SecureContext, TLSSocket } from 'node:tls';
import { GatewayError } from '../../errors.ts';
import { parseFirstPacket, type Startup, startupBodyBytes } from './startup-packet.ts';
import { take, unlessAborted } from './take.ts';

const TLS_HANDSHAKE = 0x16; // first byte of a ClientHello; a start-up packet this long (369 MB) is refused anyway
const ALPN = 'postgresql';
const CANCEL_DEADLINE_MS = 5_000;

type StartupDeps = {
  readonly tls: () => SecureContext | undefined;
  readonly cancel: (pid: number, secret: Buffer) => Promise<void>;
  /** The deadline of the whole log-in. */
  readonly signal: AbortSignal;
  /** Told of the socket above the first one, so that errors and refusals go there. */
  readonly onSecure: (socket: TLSSocket) => void;
};

type Started = { readonly stream: Duplex; readonly encrypted: boolean; readonly startup: Startup };

/**
 * Resolves with the StartupMessage, or undefined when the visit was a CancelRequest, now done.
 * @throws GatewayError PROTOCOL | UNSUPPORTED | SESSION_FRAME | WITHDRAWN
 */
export async function startUp(socket: Socket, deps: StartupDeps): Promise<Started | undefined> {
  const { signal } = deps;
  let stream: Duplex = socket;
  let encrypted = false;
  let asked = { tls: false, gss: false };
  for (;;) {
    const lengthField = await take(stream, 4, signal);
    if (lengthField[0] === TLS_HANDSHAKE && !asked.tls && !asked.gss) {
      socket.unshift(lengthField);
      stream = await secure(socket, deps, { alpnRequired: true });
      encrypted = true;
      asked = { tls: true, gss: true };
      continue;
    }
    const packet = parseFirstPacket(await take(stream, startupBodyBytes(lengthField), signal));
    switch (packet.kind) {
      case 'tls':
        if (asked.tls) throw new GatewayError('PROTOCOL', 'a second SSLRequest on one connection');
        asked.tls = true;
        if (deps.tls()) {
          socket.write('S');
          stream = await secure(socket, deps, { alpnRequired: false });
          encrypted = true;
          asked.gss = true; // nothing is negotiated inside TLS
        } else {
          refuseEncryption(socket, 'SSLRequest');
        }
        break;
      case 'gss':
        if (asked.gss) throw new GatewayError('PROTOCOL', 'a GSSENCRequest out of place');
        asked.gss = true;
        refuseEncryption(socket, 'GSSENCRequest');
        break;
      case 'cancel':
        await cancel(packet.pid, packet.secret, deps);
        return undefined;
      case 'startup':
        return { stream, encrypted, startup: packet.startup };
    }
  }
}

/** Nothing may have come behind the request: what the client would send depends on this answer. */
function refuseEncryption(socket: Socket, request: string): void {
  if (socket.readableLength > 0) throw new GatewayError('PROTOCOL', `unencrypted data came behind the ${request}`);
  socket.write('N');
}

async function cancel(pid: number, secret: Buffer, { cancel: handle, signal }: StartupDeps): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CANCEL_DEADLINE_MS);
  });
  try {
    await unlessAborted(Promise.race([handle(pid, secret), late]), signal);
  } catch {
    // Whoever asks for a cancel is told nothing, as on the server: the connection is closed.
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Put TLS above the socket. What was read but not taken from it goes into the TLS engine, never to our parser: a
 * ClientHello that came along works, plain messages stuffed there break the handshake.
 */
async function secure(
  socket: Socket,
  { tls, signal, onSecure }: StartupDeps,
  { alpnRequired }: { alpnRequired: boolean },
): Promise<TLSSocket> {
  const secureContext = tls();
  if (!secureContext) {
    throw new GatewayError('UNSUPPORTED', 'this gateway has no TLS certificate', {
      hint: 'An operator can set `tls:` in the configuration.',
    });
  }
  const above = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: [ALPN] });
  above.on('_tlsError', (error: Error) => above.destroy(error)); // without a tls.Server nobody else ends it
  onSecure(above);
  await unlessAborted(
    new Promise<void>((resolve, reject) => {
      above.once('secure', () => resolve());
      above.once('error', () => reject(new GatewayError('PROTOCOL', 'the TLS handshake failed')));
      above.once('close', () => reject(new GatewayError('WITHDRAWN', 'the client left during the TLS handshake')));
    }),
    signal,
  );
  if (alpnRequired && above.alpnProtocol !== ALPN) {
    throw new GatewayError('PROTOCOL', `direct TLS without the ALPN protocol "${ALPN}"`);
  }
  return above;
}
