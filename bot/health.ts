/** /healthz, /readyz and /metrics of one bot. Says what is wrong, never what is in a card. */
import { createServer, type Server } from 'node:http';
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import { stdout } from '../queue/stdout.ts';
import type { Address } from './config.ts';

export class BotMetrics {
  readonly registry = new Registry();
  readonly calls = new Counter({
    name: 'countersign_bot_slack_calls_total',
    help: 'Web API calls by method and result',
    labelNames: ['method', 'result'],
    registers: [this.registry],
  });
  readonly jobs = new Counter({
    name: 'countersign_bot_jobs_total',
    help: 'Jobs of the cards queue by kind; forged ones were dropped',
    labelNames: ['kind'],
    registers: [this.registry],
  });
  readonly votes = new Counter({
    name: 'countersign_bot_clicks_total',
    help: 'Clicks carried to a gateway, by what became of them',
    labelNames: ['result'],
    registers: [this.registry],
  });
  readonly logLost = new Counter({
    name: 'countersign_bot_log_lines_lost_total',
    help: 'Log lines that were dropped because nobody read stdout',
    registers: [this.registry],
    collect() {
      this.reset();
      this.inc(stdout.lost);
    },
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry, prefix: 'countersign_bot_' });
  }
}

export type Health = { stop(): Promise<void>; readonly port: number };

/** `troubles` is asked on each request: empty means ready. */
export async function serveHealth(
  at: Address,
  troubles: () => readonly string[],
  metrics: BotMetrics,
): Promise<Health> {
  const server: Server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string) =>
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
    const path = request.url?.split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'text/plain', 'GET only\n');
    if (path === '/healthz') return answer(200, 'text/plain', 'ok\n');
    if (path === '/readyz') {
      const wrong = troubles();
      return answer(
        wrong.length === 0 ? 200 : 503,
        'application/json',
        `${JSON.stringify({ ready: wrong.length === 0, wrong })}\n`,
      );
    }
    if (path === '/metrics') {
      metrics.registry.metrics().then(
        (text) => answer(200, metrics.registry.contentType, text),
        () => answer(500, 'text/plain', 'metrics failed\n'),
      );
      return;
    }
    return answer(404, 'text/plain', 'not found\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : at.port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
