/** A gateway's audit entries on their way to a syslog receiver and a webhook, whoever is away or killed meanwhile. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { verifyDir } from '../gateway/audit/verify.ts';
import { newKeyPair, verifyingKey } from '../queue/sign.ts';
import { cliArgs } from './support/cli.ts';
import { type Certificate, selfSigned } from './support/door.ts';
import { answers, launch, type Process } from './support/launch.ts';
import { freePort } from './support/ports.ts';
import { neverSkips, SyslogServer, storedLines, WebhookServer, whatIsMissing } from './support/receivers.ts';
import { startRedis, type TestRedis } from './support/redis.ts';
import { eventually } from './support/workspace.ts';

const SECRET = 'signs-what-is-posted';
const [own, sealing] = [newKeyPair(), newKeyPair()];

describe('a gateway with sinks', { timeout: 200_000 }, () => {
  let dir: string;
  let redis: TestRedis;
  let certificate: Certificate;
  let gateway: Process;
  let webhook: WebhookServer;
  let hook: string;
  let syslog: SyslogServer | undefined;
  let syslogPort: number;
  let web: string;
  const trail = () => join(dir, 'audit');

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-sinks-'));
    await mkdir(trail());
    [redis, certificate, syslogPort] = await Promise.all([startRedis(), selfSigned('IP:127.0.0.1'), freePort()]);
    await writeFile(join(dir, 'siem.crt'), certificate.cert);
    webhook = new WebhookServer(SECRET);
    hook = await webhook.listen();
    await start(1);
  });
  after(async () => {
    await gateway?.end();
    await Promise.all([redis?.stop(), webhook?.close(), syslog?.close()]);
    await rm(dir, { recursive: true, force: true });
  });

  async function start(workers: number): Promise<void> {
    const port = await freePort();
    web = `http://127.0.0.1:${port}`;
    const path = join(dir, 'countersign.yaml');
    await writeFile(
      path,
      stringify({
        listen: { web: `127.0.0.1:${port}` },
        workers,
        state: { redis: `\${env:REDIS}` },
        keys: { own: `\${env:KEY}` },
        audit: {
          dir: trail(),
          key: `\${env:AUDIT}`,
          sinks: [
            { name: 'siem', syslog: { address: `127.0.0.1:${syslogPort}`, tls: { ca: join(dir, 'siem.crt') } } },
            { name: 'hook', webhook: { url: hook, secret: `\${env:HOOK}` } },
          ],
        },
        identity: { issuers: [{ issuer: 'http://127.0.0.1:9/idp', audience: 'countersign' }] },
        approvals: { channel: 'C0SINKS', approvers: ['@dba'] },
        connections: [
          {
            name: 'orders',
            protocol: 'postgres',
            environment: 'test',
            upstream: {
              host: '127.0.0.1',
              port: 9,
              database: 'x',
              user: 'x',
              password: `\${env:HOOK}`,
              tls: 'disable',
            },
          },
        ],
      }),
    );
    const secrets = { KEY: own.secret, AUDIT: sealing.secret, HOOK: SECRET, REDIS: redis.url };
    gateway = launch(`gateway-${workers}`, cliArgs('gateway', '--config', path), secrets, { dir });
    await answers(`${web}/healthz`, gateway);
  }

  /** Something to write down. */
  const refused = async (n: number) => {
    for (let i = 0; i < n; i++) await (await fetch(`${web}/v1/token`, { method: 'POST' })).text();
  };
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${web}/metrics`)).text();
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1] ?? Number.NaN,
    );
  };
  const everything = async (of: () => { readonly received: WebhookServer['received'] }) => {
    let missing: string | undefined;
    await eventually(async () => {
      missing = await whatIsMissing(trail(), of().received);
      return missing === undefined;
    }, 60_000);
    assert.equal(missing, undefined, await readFile(gateway.log, 'utf8'));
  };
  const seen = (text: string) => webhook.received.some(({ line }) => line.includes(text));

  it('posts entries while it serves, and says how far the receiver that is away is behind', async () => {
    await refused(10);
    assert.ok(await eventually(() => seen('auth.refused')));
    assert.ok(await eventually(async () => (await metric('countersign_sink_behind_entries{sink="siem"}')) > 10));
    assert.ok((await metric('countersign_sink_behind_seconds{sink="siem"}')) > 0);
    assert.ok((await metric('countersign_sink_delivered_total{sink="hook"}')) > 10);
    assert.match(await readFile(gateway.log, 'utf8'), /"sink":"siem".*audit entries wait for a receiver/);
  });

  it('loses nothing that was written before it was killed: the next process sends it', async () => {
    await refused(5);
    await gateway.end('SIGKILL');
    const before = [...(await storedLines(trail())).keys()];
    syslog = new SyslogServer(certificate);
    await syslog.listen(syslogPort);
    await start(2);
    await everything(() => syslog ?? assert.fail());
    await everything(() => webhook);
    assert.equal(before.length, 1);
    assert.ok(new Set(syslog.received.map(({ chain }) => chain)).size >= 3, 'that of the killed one, and two new ones');
  });

  it('goes on through the other worker when the one that sends is killed', async () => {
    const sender = JSON.parse(await readFile(join(trail(), 'sinks', 'siem.lease'), 'utf8')) as { pid: number };
    process.kill(sender.pid, 'SIGKILL');
    const next = async () => {
      const now = await readFile(join(trail(), 'sinks', 'siem.lease'), 'utf8').catch(() => '{}');
      const { pid } = JSON.parse(now) as { pid?: number };
      return pid !== undefined && pid !== sender.pid;
    };
    assert.ok(await eventually(next));
    await refused(5);
    await everything(() => syslog ?? assert.fail());
    await everything(() => webhook);
  });

  it('has sent the end of its trail, too, when it has ended', async () => {
    assert.equal(await gateway.end(), 0);
    for (const { received } of [webhook, syslog ?? assert.fail()]) {
      // Each worker's last words: the last to end has nobody behind it, the others do.
      const kinds = received.map(({ line }) => (JSON.parse(line) as { kind: string }).kind);
      assert.ok(kinds.includes('stop') && kinds.includes('audit.closed'));
      neverSkips(received);
    }
    assert.deepEqual([...webhook.problems, ...(syslog?.problems ?? [])], []);
    const report = await verifyDir(trail(), { keys: [verifyingKey(sealing.public)] });
    assert.equal(report.misfit, undefined);
    assert.doesNotMatch(await readFile(gateway.log, 'utf8'), new RegExp(SECRET));
  });
});
