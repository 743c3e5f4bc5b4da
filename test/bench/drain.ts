/** A client that reads a result as fast as it comes and keeps nothing: psql itself would be what is measured. */
import type { Socket } from 'node:net';
import pg from 'pg';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import type { Route } from './routes.ts';

const READY = 0x5a;
/** Unnamed portal of the unnamed statement, no parameters, every column binary. */
const BIND_BINARY = Buffer.from([0x42, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]);

/** Seconds until the last byte of `sql`'s result came, logging in not counted. @throws Error for an error of the server */
export async function drain(
  route: Route,
  sql: string,
  format: 'text' | 'binary',
): Promise<{ seconds: number; bytes: number }> {
  const { port, user, password } = route;
  const client = new pg.Client({ host: '127.0.0.1', port, user, password, database: 'orders' });
  await client.connect();
  const { stream: socket } = (client as unknown as { connection: { stream: Socket } }).connection; // as its types hide it
  client.on('error', () => {});
  socket.removeAllListeners('data');
  try {
    const from = performance.now();
    const ask = [build.parse('', sql), BIND_BINARY, build.describe('P', ''), build.execute(''), build.sync()];
    socket.write(format === 'text' ? build.query(sql) : Buffer.concat(ask));
    const bytes = await answered(socket, (type) => type === READY);
    return { seconds: (performance.now() - from) / 1_000, bytes };
  } finally {
    socket.destroy();
  }
}

/** Resolves with how many bytes came up to the message that is waited for. Frames are walked, not kept. */
function answered(socket: Socket, last: (type: number) => boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    let held: Buffer = Buffer.alloc(0);
    let skip = 0;
    let bytes = 0;
    const read = (chunk: Buffer) => {
      bytes += chunk.length;
      let at = Math.min(skip, chunk.length);
      skip -= at;
      if (at === chunk.length) return;
      let data = chunk.subarray(at);
      if (held.length > 0) data = Buffer.concat([held, data]);
      for (at = 0; data.length - at >= 5; ) {
        const type = data[at]!;
        const end = at + 1 + data.readUInt32BE(at + 1);
        if (type === 0x45)
          return done(() => reject(new Error(data.toString('utf8', at + 5, Math.min(end, data.length)))));
        if (last(type) && end <= data.length) return done(() => resolve(bytes));
        if (end > data.length) {
          skip = end - data.length;
          at = data.length;
        } else at = end;
      }
      held = data.subarray(at);
    };
    const lost = () => done(() => reject(new Error('the connection ended')));
    const done = (end: () => void) => {
      socket.off('data', read);
      socket.off('close', lost);
      end();
    };
    socket.on('data', read);
    socket.once('close', lost);
    socket.on('error', () => {});
  });
}
