/** Reads an exact number of bytes from a socket that is not flowing yet; what lies behind them stays in the socket. */
import type { Duplex } from 'node:stream';
import { GatewayError } from '../../errors.ts';

/**
 * Resolves with exactly `count` bytes. The rest stays in the stream's own bounded buffer, so that a TLS engine put
 * above the socket gets it.
 * @throws GatewayError WITHDRAWN when the peer left first; `signal.reason` when aborted.
 */
export function take(stream: Duplex, count: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      stream.off('readable', attempt);
      stream.off('end', left);
      stream.off('close', left);
      signal.removeEventListener('abort', aborted);
      act();
    };
    const left = () => settle(() => reject(new GatewayError('WITHDRAWN', 'the peer closed the connection')));
    const aborted = () => settle(() => reject(signal.reason));
    const attempt = () => {
      const bytes: Buffer | null = stream.read(count);
      if (bytes === null) return;
      if (bytes.length === count) settle(() => resolve(bytes));
      else left(); // at the end of the stream, read() gives what there is
    };
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    if (stream.destroyed || stream.readableEnded) {
      left();
      return;
    }
    stream.on('readable', attempt);
    stream.once('end', left);
    stream.once('close', left);
    signal.addEventListener('abort', aborted, { once: true });
    attempt();
  });
}

/** Settles as `work` does, or rejects with the signal's reason as soon as that is aborted. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason);
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
