/** A do-nothing TCP proxy in a process of its own: what Node itself costs on the way. `pipe.ts PORT TARGET_PORT` */
import { connect, createServer } from 'node:net';

const [port, target] = process.argv.slice(2).map(Number);

const server = createServer({ noDelay: true }, (downstream) => {
  const upstream = connect({ host: '127.0.0.1', port: target ?? 0, noDelay: true });
  downstream.pipe(upstream);
  upstream.pipe(downstream);
  downstream.on('error', () => upstream.destroy());
  upstream.on('error', () => downstream.destroy());
});
server.listen(port, '127.0.0.1', () => process.stdout.write('listening\n'));
