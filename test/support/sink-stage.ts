/** Sinks, and what they send to, for tests: all of it ends when the test file is through. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import type { AuditEntry } from '../../gateway/audit/entry.ts';
import { Sink, type SinkOptions } from '../../gateway/audit/out/sink.ts';
import { type SyslogOptions, SyslogReceiver } from '../../gateway/audit/out/syslog.ts';
import { type WebhookOptions, WebhookReceiver } from '../../gateway/audit/out/webhook.ts';
import type { AuditTrail } from '../../gateway/audit/writer.ts';
import { Secret } from '../../gateway/secrets.ts';
import { type Certificate, selfSigned } from './door.ts';
import { neverSkips, type Received, SyslogServer, storedLines, WebhookServer, whatIsMissing } from './receivers.ts';
import { operation } from './trail.ts';
import { eventually } from './workspace.ts';

/** For megabytes on a machine that does much else. */
export const PATIENCE_MS = 90_000;
export const SECRET = 'a-secret-that-no-log-says';
export const timing = { pollMs: 10, listMs: 20, backoffMs: [5, 40] as [number, number], stuckMs: 100 };
/** Of every receiver that is not given another. */
export const certificate: Certificate = await selfSigned('IP:127.0.0.1');

const stops: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const stop of stops.splice(0)) await stop();
});
export const endsWith = (stop: () => Promise<unknown>): void => void stops.push(stop);

export async function syslogServer(port = 0, tls: Certificate = certificate) {
  const server = new SyslogServer(tls);
  stops.push(() => server.close());
  return { server, port: await server.listen(port) };
}

export const syslog = (port: number, more: Partial<SyslogOptions> = {}) =>
  new SyslogReceiver({
    host: '127.0.0.1',
    port,
    facility: 'audit',
    tls: { ca: certificate.cert },
    confirmMs: 40,
    timeoutMs: 5_000,
    ...more,
  });

export async function webhookServer() {
  const server = new WebhookServer(SECRET);
  stops.push(() => server.close());
  return { server, url: await server.listen() };
}

export const webhook = (url: string, more: Partial<WebhookOptions> = {}) =>
  new WebhookReceiver({ url, secret: new Secret(SECRET), entries: 7, bytes: 1 << 20, timeoutMs: 5_000, ...more });

/** A sink that runs, and what it said. */
export function running(dir: string, receiver: SinkOptions['receiver'], more: Partial<SinkOptions> = {}) {
  const said: string[] = [];
  const noted: AuditEntry[] = [];
  const say = (details: object, message: string) => void said.push(`${message} ${JSON.stringify(details)}`);
  const sink = new Sink({
    name: 'siem',
    dir,
    receiver,
    note: (entry) => void noted.push(entry),
    log: { info: say, warn: say, error: say },
    timing,
    ...more,
  });
  sink.start();
  stops.push(() => sink.stop(0));
  return { sink, said, noted, stop: (ms = 0) => sink.stop(ms) };
}

export async function all(dir: string, { received }: { readonly received: readonly Received[] }): Promise<void> {
  let missing: string | undefined = 'too few came to look for any';
  // Comparing is work that the sink, which lives here too, would have to wait for.
  const least = [...(await storedLines(dir)).values()].reduce((sum, lines) => sum + lines.length, 0);
  await eventually(async () => {
    if (received.length < least) return false;
    missing = await whatIsMissing(dir, received);
    return missing === undefined;
  }, PATIENCE_MS);
  assert.equal(missing, undefined);
  neverSkips(received);
}

/** A trail that grows by itself until it is told to end; `n` counts what was written. */
export function growing(trail: AuditTrail) {
  let n = 0;
  const timer = setInterval(() => {
    for (let i = 0; i < 5; i++) trail.append(operation(n++));
  }, 5);
  stops.push(async () => clearInterval(timer));
  return {
    n: () => n,
    end: async () => {
      clearInterval(timer);
      await trail.close();
    },
  };
}

export async function twentyMore(trail: AuditTrail, from: number, long: string): Promise<void> {
  for (let n = from; n < from + 20; n++) trail.append(operation(n, { statement: `${n} ${long}` }));
  await trail.flush();
}
