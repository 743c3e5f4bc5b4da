/** Hearing a socket out: what it brings, when it takes more, and every way it can say that it brings nothing more. */
import type { Duplex } from 'node:stream';

export type Heard = {
  readonly data: (chunk: Buffer) => void;
  readonly drain: () => void;
  readonly end: () => void;
  readonly gone: () => void;
};

/** What happened to it before is said at once. */
export function listen(socket: Duplex, { data, drain, end, gone }: Heard): void {
  socket.on('data', data);
  socket.on('drain', drain);
  socket.on('end', end);
  socket.on('error', gone);
  socket.on('close', gone);
  if (socket.readableEnded) end();
  if (socket.destroyed) gone();
}
