/** How a socket is let go: told why, flushed, ended, and destroyed where its peer does not hang up. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { GatewayError } from '../../errors.ts';
import { errorResponse } from './builders.ts';

const LINGER_MS = 1_000; // for the client to read why it was refused

/** For errors that a 'close' follows. Not made anew for each socket: it would keep all that its maker sees as long. */
export const ignore = (): void => {};

/** A FATAL in the client's own protocol, then the end, whether the client reads it or not. */
export function refuse(stream: Duplex, socket: Socket, error: GatewayError): void {
  if (socket.destroyed) return;
  if (error.code === 'WITHDRAWN' || !stream.writable) {
    socket.destroy();
    return;
  }
  const { sqlstate, message, hint } = error;
  stream.write(errorResponse({ severity: 'FATAL', sqlstate, message, hint }));
  endSoon(stream, socket);
}

/** Flush, half-close, discard what still comes (else the kernel resets and the client loses the error), then close. */
export function endSoon(stream: Duplex, socket: Duplex = stream): void {
  if (stream.destroyed) {
    socket.destroy();
    return;
  }
  const timer = setTimeout(() => {
    stream.destroy();
    socket.destroy();
  }, LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  stream.end();
  stream.resume();
}
