/** TLS on every leg: psql to the gateway, the gateway to its target, the web listener; and a certificate renewed alive. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { newKeyPair } from '../queue/sign.ts';
import { cliArgs } from './support/cli.ts';
import { CERTIFICATE_REQUEST } from './support/door.ts';
import { launch, type Process } from './support/launch.ts';
import { type Oidc, startOidc } from './support/oidc.ts';
import { freePort } from './support/ports.ts';
import { startPostgres, type TestPostgres } from './support/postgres.ts';
import { Psql } from './support/psql.ts';
import { startRedis, type TestRedis } from './support/redis.ts';
import { eventually } from './support/workspace.ts';

const run = promisify(execFile);
const NOBODY = 65_534; // who PostgreSQL runs as where the tests are root

describe('TLS', { timeout: 90_000 }, () => {
  let dir: string;
  let redis: TestRedis;
  let target: TestPostgres;
  let oidc: Oidc;
  let gateway: Process;
  let web: number;
  let postgres: number;
  const file = (name: string) => join(dir, name);

  /** A key and a certificate for one address or name, signed by the test's authority. */
  const leaf = async (name: string, san: string): Promise<void> => {
    const whose = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${san}`];
    const signed = ['-addext', 'basicConstraints=critical,CA:FALSE', '-CA', file('ca.crt'), '-CAkey', file('ca.key')];
    const to = ['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)];
    await run('openssl', [...CERTIFICATE_REQUEST, ...whose, ...signed, ...to]);
  };

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-tls-'));
    await chmod(dir, 0o755);
    const authority = ['-subj', '/CN=test authority', '-keyout', file('ca.key'), '-out', file('ca.crt')];
    await run('openssl', [...CERTIFICATE_REQUEST, ...authority]);
    await leaf('first', 'IP:127.0.0.1');
    await leaf('second', 'IP:127.0.0.1');
    await leaf('target', 'IP:127.0.0.1');
    await chmod(file('target.key'), 0o600);
    if (process.getuid?.() === 0) await chown(file('target.key'), NOBODY, NOBODY);
    await Promise.all(['crt', 'key'].map((kind) => cp(file(`first.${kind}`), file(`own.${kind}`))));
    [redis, target, oidc] = await Promise.all([
      startRedis(),
      startPostgres({
        settings: { ssl: 'on', ssl_cert_file: file('target.crt'), ssl_key_file: file('target.key') },
      }),
      startOidc({ port: await freePort(), clients: [{ id: 'report-bot', secret: 'x' }], tokenSeconds: 3_600 }),
    ]);
    [web, postgres] = [await freePort(), await freePort()];
    await mkdir(file('audit'));
    await writeFile(file('countersign.yaml'), configuration());
    const secrets = { KEY: newKeyPair().secret, AUDIT: newKeyPair().secret, PW: target.password, REDIS: redis.url };
    gateway = launch('gateway', cliArgs('gateway', '--config', file('countersign.yaml')), secrets, { dir });
    const ready = await eventually(() =>
      get('/readyz').then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    assert.ok(ready, await readFile(gateway.log, 'utf8'));
  });
  after(async () => {
    await Psql.endAll();
    await gateway?.end();
    await Promise.all([redis?.stop(), target?.stop(), oidc?.stop()]);
    await rm(dir, { recursive: true, force: true });
  });

  const configuration = () => {
    const upstream = { port: target.port, database: 'postgres', user: 'postgres', password: `\${env:PW}` };
    const connection = (name: string, host: string) => ({
      name,
      protocol: 'postgres',
      environment: 'test',
      upstream: { ...upstream, host, tls: 'verify-full', ca: file('ca.crt') },
      default: { read: 'allow', write: 'allow', unknown: 'deny' },
    });
    return stringify({
      listen: { postgres: `127.0.0.1:${postgres}`, web: `127.0.0.1:${web}` },
      tls: { cert: file('own.crt'), key: file('own.key') },
      state: { redis: `\${env:REDIS}` },
      keys: { own: `\${env:KEY}` },
      audit: { dir: file('audit'), key: `\${env:AUDIT}` },
      identity: { issuers: [{ issuer: oidc.issuer, audience: 'countersign' }] },
      approvals: { channel: 'C0TLS', approvers: ['@dba'] },
      connections: [connection('right-name', '127.0.0.1'), connection('wrong-name', 'localhost')],
    });
  };

  /** Over TLS, believing only the test's authority. */
  const get = async (path: string, options: { method?: string; headers?: Record<string, string> } = {}) => {
    const ca = await readFile(file('ca.crt'));
    return new Promise<{ status: number; body: string }>((resolve, reject) => {
      request({ host: '127.0.0.1', port: web, path, ca, ...options }, async (response) => {
        let body = '';
        for await (const chunk of response) body += chunk;
        resolve({ status: response.statusCode ?? 0, body });
      })
        .once('error', reject)
        .end();
    });
  };

  const url = (token: string, { connection = 'right-name', ca = 'ca.crt' } = {}) =>
    `postgres://agent:${token}@127.0.0.1:${postgres}/${connection}?sslmode=verify-full&sslrootcert=${file(ca)}`;

  const ask = async (address: string): Promise<string> => {
    const psql = new Psql(address, { args: ['-c', 'SELECT 40 + 2 AS answer', '-c', '\\conninfo'] });
    await psql.exited;
    return psql.output;
  };

  it('gives a token over TLS, and psql signs in with verify-full and no client setup beyond the authority', async () => {
    const jwt = await oidc.token('report-bot');
    const { status, body } = await get('/v1/token', { method: 'POST', headers: { authorization: `Bearer ${jwt}` } });
    assert.equal(status, 200, body);
    const said = await ask(url((JSON.parse(body) as { token: string }).token));
    assert.match(said, /\b42\b/);
    assert.match(said, /TLSv1\.[23]/);
  });

  it('is refused by a client that trusts another authority', async () => {
    await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=another',
      '-keyout',
      file('other.key'),
      '-out',
      file('other.crt'),
    ]);
    assert.match(await ask(url('cst_unused', { ca: 'other.crt' })), /certificate verify failed/);
  });

  it('refuses a target whose certificate is of another name, before anything is sent to it', async () => {
    const said = await ask(url(await oidc.token('report-bot'), { connection: 'wrong-name' }));
    assert.match(said, /FATAL/);
    assert.doesNotMatch(said, /\b42\b/);
    const trail = await eventually(async () => {
      const { stdout } = await run(process.execPath, cliArgs('audit', 'show', file('audit')));
      return stdout.includes('UPSTREAM_TLS') ? stdout : undefined;
    });
    assert.ok(trail, 'the trail says UPSTREAM_TLS');
  });

  it('takes up a renewed certificate on SIGHUP: new connections get it, sessions go on', async () => {
    const subject = async (port: number, ...how: string[]): Promise<string> => {
      const shown = run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...how]);
      shown.child.stdin?.end();
      return new X509Certificate((await shown).stdout.replace(/^[\s\S]*?(?=-----BEGIN)/, '')).subject;
    };
    const starttls = ['-starttls', 'postgres'];
    const psql = new Psql(url(await oidc.token('report-bot')));
    psql.send('SELECT 40 + 2;');
    await psql.until('42');
    assert.match(await subject(postgres, ...starttls), /first/);
    await Promise.all(['crt', 'key'].map((kind) => cp(file(`second.${kind}`), file(`own.${kind}`))));
    gateway.signal('SIGHUP');
    assert.ok(await eventually(async () => /second/.test(await subject(postgres, ...starttls))), 'the listener');
    assert.match(await subject(web), /second/);
    psql.send('SELECT 50 + 3;');
    await psql.until('53');
    assert.equal(await psql.close(), 0);
  });

  it('keeps the certificate it has when the new one does not fit its key', async () => {
    await cp(file('first.key'), file('own.key'));
    gateway.signal('SIGHUP');
    const told = await eventually(async () =>
      (await readFile(gateway.log, 'utf8')).includes('cannot be used together'),
    );
    assert.ok(told, 'the log says why');
    assert.match(await ask(url(await oidc.token('report-bot'))), /\b42\b/);
  });
});
