/** A relay in front of a target, in this process: it sees when a statement's first byte arrives. */
import { connect, createServer, type Socket } from 'node:net';

export type Tap = {
  readonly port: number;
  /** Resolves with `performance.now()` when bytes that contain `text` come from the gateway. */
  next(text: string): Promise<number>;
  stop(): Promise<void>;
};

export async function startTap(port: number, target: number): Promise<Tap> {
  const sockets = new Set<Socket>();
  let waiting: { text: string; resolve: (at: number) => void } | undefined;
  const server = createServer({ noDelay: true }, (downstream) => {
    const upstream = connect({ host: '127.0.0.1', port: target, noDelay: true });
    downstream.on('data', (chunk) => {
      if (!waiting || !chunk.includes(waiting.text)) return;
      waiting.resolve(performance.now());
      waiting = undefined;
    });
    downstream.pipe(upstream).pipe(downstream);
    for (const [one, other] of [
      [downstream, upstream],
      [upstream, downstream],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => sockets.delete(one));
    }
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port,
    next: (text) =>
      new Promise((resolve) => {
        waiting = { text, resolve };
      }),
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
