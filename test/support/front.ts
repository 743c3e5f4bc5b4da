/** What operators put before the pages: TLS, and a proxy that passes everything on as it comes. */
import { request } from 'node:http';
import { createServer } from 'node:https';
import { selfSigned } from './door.ts';

export type Front = { readonly url: string; stop(): Promise<void> };

/** On loopback, with a certificate that nobody signed. `to`: asked for each request, `http://host:port`. */
export async function startFront(port: number, to: () => string): Promise<Front> {
  const server = createServer(await selfSigned('IP:127.0.0.1'), (asked, answer) => {
    const { hostname, port: at } = new URL(to());
    const { method, url: path, headers } = asked;
    const passed = request({ hostname, port: at, method, path, headers }, (came) => {
      answer.writeHead(came.statusCode ?? 502, came.headers);
      came.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    answer.on('close', () => passed.destroy());
    asked.pipe(passed);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
