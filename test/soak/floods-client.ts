/** The flood, in a process of its own so that its sockets are not the gateway's: `floods-client.ts PORT KIND COUNT`. */
import { connect, type Socket } from 'node:net';
import { setInterval as every } from 'node:timers';
import { password } from '../../gateway/listeners/postgres/builders.ts';
import { startupOf } from '../support/door.ts';

const [port = '', kind = '', count = ''] = process.argv.slice(2);
const AGAIN_MS = 250; // before a socket that was closed is opened again
const OPENED_AT_ONCE = 200;
const BYTE_EVERY_MS = 60_000;
const ADDRESSES = 8;

let opened = 0;
let refused = 0;
const open = new Set<Socket>();
const hello = startupOf({ user: 'flood', database: 'orders' });

function visit(n: number): void {
  // A byte of a start-up packet, and no more for a minute; or a whole log-in with a token nobody gave out.
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: `127.0.0.${2 + (n % ADDRESSES)}` });
  socket.on('connect', () => {
    opened++;
    open.add(socket);
    socket.write(kind === 'log-ins' ? Buffer.concat([hello, password('guess')]) : hello.subarray(0, 1));
  });
  let sent = 1;
  const drip =
    kind === 'log-ins'
      ? undefined
      : every(() => {
          if (sent < hello.length - 1 && socket.writable) socket.write(hello.subarray(sent, ++sent));
        }, BYTE_EVERY_MS);
  socket.on('error', () => {});
  socket.on('data', () => {
    if (kind === 'log-ins') socket.end();
  });
  socket.on('close', () => {
    clearInterval(drip);
    if (open.delete(socket)) refused++;
    setTimeout(() => visit(n), AGAIN_MS);
  });
}

let started = 0;
const starting = every(() => {
  for (let i = 0; i < OPENED_AT_ONCE && started < Number(count); i++) visit(started++);
  if (started >= Number(count)) clearInterval(starting);
}, 20);
every(() => process.connected && process.send?.({ open: open.size, opened, refused }), 200);
process.on('error', () => process.exit(0)); // the parent left while it was being told
process.on('disconnect', () => process.exit(0));
