/**
 * A target that costs next to nothing, in a process of its own: it greets, and answers each query. What the gateway asks
 * beside the sessions, for its catalogue, goes through to a real server. `stub.ts PORT REAL_PORT`
 */
import { connect, createServer, type Socket } from 'node:net';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import { greeting } from '../support/door.ts';

const [port, real] = process.argv.slice(2).map(Number);
const QUERY = 'Q'.charCodeAt(0);
const TERMINATE = 'X'.charCodeAt(0);
const GREETING = greeting({ server_version: '18.0' });
const ANSWER = Buffer.concat([build.commandComplete('DELETE 0'), build.readyForQuery('I')]);

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('data', (packet) => {
    if (packet.includes('countersign catalogue')) return passOn(socket, packet);
    socket.write(GREETING);
    socket.on('data', answer);
  });
});
server.listen(port, '127.0.0.1', () => process.stdout.write('listening\n'));

function passOn(socket: Socket, packet: Buffer): void {
  const target = connect(real ?? 0, '127.0.0.1');
  target.on('error', () => socket.destroy());
  target.write(packet);
  socket.pipe(target).pipe(socket);
}

/** Each chunk is one message: nobody pipelines here. */
function answer(this: Socket, chunk: Buffer): void {
  if (chunk[0] === QUERY) this.write(ANSWER);
  if (chunk[0] === TERMINATE) this.end();
}
