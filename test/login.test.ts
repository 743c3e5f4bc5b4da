/** `countersign login`: a real device flow, a real psql through the gateway, and what is refused on the way. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { runCommand } from '../gateway/commands/commands.ts';
import { passLine, withSection } from '../gateway/commands/login-psql.ts';
import { cliArgs } from './support/cli.ts';
import { Browser } from './support/sign-in-browser.ts';
import { startWorld, type World } from './support/world.ts';

const run = promisify(execFile);

/** What whoever opened the page of a device does there. */
async function atDevice(address: string, who: { account: string } | 'not mine'): Promise<string> {
  const browser = new Browser();
  const fields = (body: string) =>
    Object.fromEntries(
      [...body.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    );
  const sent = await browser.go(address);
  const action = `${new URL(sent.url).origin}/device`;
  const asked = await browser.go(action, { form: fields(sent.body) });
  const form = { ...fields(asked.body), ...(who === 'not mine' ? { abort: 'yes' } : {}) };
  const next = await browser.go(action, { form });
  return who === 'not mine' ? next.body : (await browser.go(next.url, { form: who })).body;
}

type Started = {
  /** The page to open, once it is told. */
  address(): Promise<string>;
  says(what: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<{ readonly code: number; readonly out: string; readonly err: string }>;
};

/** Within this process, where no program is run: a process of its own takes a second to start. */
function login(...args: string[]): Started {
  let [out, err] = ['', ''];
  let over = false;
  const changed: (() => void)[] = [];
  const wake = () => {
    for (const one of changed.splice(0)) one();
  };
  const ended = runCommand(['login', ...args], {
    out: (text) => {
      out += `${text}\n`;
    },
    err: (text) => {
      err += `${text}\n`;
      wake();
    },
  }).then((code) => {
    over = true;
    wake();
    return { code, out, err };
  });
  const says = async (what: RegExp) => {
    for (;;) {
      const found = what.exec(err);
      if (found) return found;
      if (over) throw new Error(`ended: ${out}${err}`);
      await new Promise<void>((resolve) => changed.push(resolve));
    }
  };
  return {
    ended,
    says,
    address: async () => (await says(/\n\n {2}(http\S+)\n/))[1] ?? '',
  };
}

/** In a process of its own, which runs a program. */
async function program(...args: string[]): Promise<Awaited<Started['ended']>> {
  const child = spawn(process.execPath, cliArgs('login', 'orders', '--', ...args), {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const [code] = await once(child, 'close');
  running.delete(child);
  return { code, out, err };
}
const running = new Set<ChildProcess>();

describe('countersign login', { timeout: 180_000 }, () => {
  let world: World;
  let dir: string;
  let kept: string;
  const services = () => join(dir, 'services');
  const signIn = async (account: string, ...args: string[]) => {
    const started = login(...args);
    await atDevice(await started.address(), { account });
    return started.ended;
  };
  const record = async (): Promise<Record<string, unknown>> => JSON.parse(await readFile(kept, 'utf8'));
  const rewrite = async (change: Record<string, unknown>) =>
    writeFile(kept, JSON.stringify({ ...(await record()), ...change }));

  before(async () => {
    [world, dir] = await Promise.all([startWorld({ bots: 0 }), mkdtemp(join(tmpdir(), 'countersign-login-'))]);
    const web = world.gateways[0]?.web ?? '';
    // A home of its own: nothing of whoever runs this is read or written.
    const own = { HOME: dir, XDG_CONFIG_HOME: join(dir, 'config'), PGSERVICEFILE: services(), COUNTERSIGN_URL: web };
    process.env.PGSERVICE = 'of-somebody-else';
    Object.assign(process.env, own);
    kept = join(dir, 'config/countersign', `127.0.0.1_${new URL(web).port}.json`);
  });
  after(async () => {
    for (const child of running) child.kill('SIGKILL');
    await world?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  it('signs in by a code, sets psql up with files that only their owner reads, and prints no secret', async () => {
    await writeFile(services(), '[theirs]\nhost=elsewhere\n');
    const { code, out, err } = await signIn('alice', 'orders');
    assert.equal(code, 0, err);
    assert.equal(out, 'psql service=countersign-orders\n');
    assert.match(err, /It must show this code: \w{4}-\w{4}/);
    assert.match(err, /Signed in as alice@example\.com until 20/);
    assert.doesNotMatch(out + err, /cst_|eyJ/);
    const folder = join(dir, 'config/countersign');
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    const names = await readdir(folder);
    assert.equal(names.length, 2);
    for (const name of names) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
    const written = await readFile(services(), 'utf8');
    assert.match(written, /^\[theirs\]\nhost=elsewhere\n\[countersign-orders\]\nhost=127\.0\.0\.1\n/);
    assert.doesNotMatch(written, /cst_/);
    const psql = await run('psql', ['-XAtc', 'select count(*) from customers', 'service=countersign-orders']);
    assert.equal(psql.stdout.trim(), '5000');
  });

  it('asks nothing while that lasts, and runs a program with what it needs, as whose status it ends', async () => {
    const { token } = await record();
    assert.equal((await login().ended).code, 0);
    const psql = await program('psql', '-XAtc', 'select 6 * 7');
    assert.deepEqual([psql.code, psql.out], [0, '42\n'], psql.err);
    const [broken, shell, help, absent] = await Promise.all([
      program('psql', '-Xc', 'select broken'),
      program('sh', '-c', 'echo "$PGDATABASE $PGSERVICE $PGPASSWORD" | grep -q "^orders  cst_" && exit 7'),
      program('psql', '--help'),
      program('no-such-program'),
    ]);
    assert.deepEqual([broken.code, shell.code], [1, 7], shell.err);
    assert.match(help.out, /psql is the PostgreSQL interactive terminal/);
    assert.equal(absent.code, 1);
    assert.match(absent.err, /no-such-program cannot be run \(ENOENT\)/);
    assert.equal((await record()).token, token);
  });

  it('renews by itself what is about to end, and asks again only where it cannot', async () => {
    const first = await record();
    const passwords = kept.replace(/json$/, 'pgpass');
    await rewrite({ expiresAt: Date.now() + 5_000, issuedAt: Date.now() - 3_600_000 });
    const renewed = await login().ended;
    assert.equal(renewed.code, 0, renewed.err);
    assert.doesNotMatch(renewed.err, /Open this page/);
    const second = await record();
    assert.notEqual(second.token, first.token);
    assert.ok((await readFile(passwords, 'utf8')).includes(`${second.token}`), 'psql’s file has the new one, too');

    await rewrite({ expiresAt: Date.now() - 1, refreshToken: 'made-up' });
    const asked = login();
    await atDevice(await asked.address(), { account: 'bob' });
    const answered = await asked.ended;
    assert.match(answered.err, /cannot be renewed any more.*Signed in as bob@example\.com/s);
  });

  it('keeps a session alive for as long as a program runs, beyond the token that it began with', async () => {
    world.oidc.setTokenSeconds(6);
    try {
      // Somebody of whom no later token is known: that would keep the session alive by itself.
      assert.equal((await signIn('carol', '--again')).code, 0);
      const { code, out, err } = await program('psql', '-XAtc', 'select 1', '-c', '\\! sleep 7', '-c', 'select 1 + 1');
      assert.deepEqual([code, out], [0, '1\n2\n'], err);
    } finally {
      world.oidc.setTokenSeconds(12 * 3_600);
    }
  });

  it('gives up when nobody comes, and not when the issuer is away for a moment', async () => {
    world.oidc.setDeviceSeconds(2);
    const alone = await login('--again').ended;
    world.oidc.setDeviceSeconds(600);
    assert.equal(alone.code, 1);
    assert.match(alone.err, /nobody signed in before the code ended/);
    const started = login('--again');
    const address = await started.address();
    await world.oidc.stop();
    try {
      await started.says(/does not answer now; asking on/);
    } finally {
      await world.oidc.start();
    }
    await atDevice(address, { account: 'carol' });
    const { code, err } = await started.ended;
    assert.equal(code, 0, err);
  });

  it('takes no for an answer: of whoever sees the code, and of whoever should sign in', async () => {
    for (const who of ['not mine', { account: '' }] as const) {
      const started = login('--again');
      await atDevice(await started.address(), who);
      const { code, err } = await started.ended;
      assert.equal(code, 1);
      assert.match(err, /the sign-in was refused at the issuer/);
      assert.equal((await record()).name, 'carol@example.com', 'what was there stays');
    }
  });

  it('reads and writes nothing that others can read, or that is a link', async () => {
    const refused = async (why: RegExp) => {
      const { code, err } = await login('orders').ended;
      assert.equal(code, 1, err);
      assert.match(err, why);
    };
    await chmod(kept, 0o640);
    await refused(/can be read by others\nothers may have seen it: chmod 600/);
    await chmod(kept, 0o600);
    const folder = join(dir, 'config/countersign');
    await chmod(folder, 0o750);
    await refused(/chmod 700/);
    await chmod(folder, 0o700);
    await rename(kept, join(dir, 'elsewhere.json'));
    await symlink(join(dir, 'elsewhere.json'), kept);
    await refused(/is a link/);
    await rm(kept);
    await rename(join(dir, 'elsewhere.json'), kept);
    const passwords = kept.replace(/json$/, 'pgpass');
    await rm(passwords);
    await writeFile(join(dir, 'victim'), 'as it was');
    await symlink(join(dir, 'victim'), passwords);
    await refused(/pgpass is a link\n|pgpass is no file\n/);
    assert.equal(await readFile(join(dir, 'victim'), 'utf8'), 'as it was');
    await rm(passwords);
    await rename(folder, join(dir, 'moved'));
    await symlink(join(dir, 'moved'), folder);
    await refused(/is no directory/);
    await rm(folder);
    await rename(join(dir, 'moved'), folder);
    assert.equal((await login('orders').ended).code, 0);
  });

  it('says what keeps it from signing in', async () => {
    const issuer = world.oidc.issuer;
    const told = { issuer, client_id: 'countersign-cli', scopes: ['openid'], audiences: ['countersign'] };
    let answer: unknown = told;
    const server = createServer((request, response) => {
      const token = request.url === '/v1/token';
      const body = token ? { error: 'AUTH', message: 'access was revoked', hint: 'ask an admin' } : answer;
      response.writeHead(token ? 401 : answer === undefined ? 404 : 200).end(JSON.stringify(body ?? {}));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const says = async (why: RegExp, args: string[] = [], code = 1) => {
      const failed = await login('--url', url, ...args).ended;
      assert.equal(failed.code, code, failed.err);
      assert.match(failed.err, why);
      assert.doesNotMatch(failed.err, /^\s+at /m);
    };
    try {
      const revoked = login('--url', url);
      await atDevice(await revoked.address(), { account: 'bob' });
      assert.match((await revoked.ended).err, /access was revoked\nask an admin/);
      answer = { ...told, audiences: ['billing'] };
      const foreign = login('--url', url);
      await atDevice(await foreign.address(), { account: 'bob' });
      assert.match((await foreign.ended).err, /gave no token for billing\nThe operator: let web\.sign_in\.scopes/);
      answer = undefined;
      await says(/does not offer to sign in at a terminal/);
      answer = { ...told, issuer: 'http://login.example.com' };
      await says(/does not offer to sign in at a terminal/);
      answer = { ...told, issuer: 'http://127.0.0.1:9' };
      await says(/issuer http:\/\/127\.0\.0\.1:9 cannot be asked now/);
      answer = { ...told, client_id: 'nobody' };
      await says(/said invalid_client/);
    } finally {
      server.close();
      server.closeAllConnections();
    }
    await says(/the gateway at http:\/\/127\.0\.0\.1:\d+ does not answer/);
    for (const args of [
      ['--url', 'http://gate.example.com'],
      ['--url', 'x'],
      ['orders', '--'],
      ['--', 'psql'],
      ['a', 'b'],
      ['../x'],
      ['--forget', 'orders'],
      ['--token', 'x'],
    ]) {
      const misused = await login(...args).ended;
      assert.equal(misused.code, 2, `${args}: ${misused.err}`);
    }
  });

  it('forgets when told to', async () => {
    assert.equal((await login('--forget').ended).code, 0);
    assert.deepEqual(await readdir(join(dir, 'config/countersign')), []);
  });
});

describe('what login writes for psql', () => {
  it('replaces its own section of a service file, wherever that stands, and nothing else', () => {
    const section = '[mine]\nhost=new\n';
    for (const [before, expected] of [
      ['', '[mine]\nhost=new\n'],
      ['# note', '# note\n[mine]\nhost=new\n'],
      ['[a]\nx=1\n', '[a]\nx=1\n[mine]\nhost=new\n'],
      ['[mine]\nhost=old\nport=1\n[b]\ny=2\n', '[mine]\nhost=new\n[b]\ny=2\n'],
      ['[a]\nx=1\n[mine]\nhost=old\n', '[a]\nx=1\n[mine]\nhost=new\n'],
      ['[mine]\nold=1\n[b]\ny=2\n[mine]\nold=2', '[mine]\nhost=new\n[b]\ny=2'],
      ['[mine2]\nx=1\n', '[mine2]\nx=1\n[mine]\nhost=new\n'],
    ] as const) {
      const once = withSection(before, 'mine', section);
      assert.equal(once.trimEnd(), expected.trimEnd());
      assert.equal(withSection(once, 'mine', section), once, 'and stays so');
    }
  });

  it('writes passwords as libpq reads them', () => {
    assert.equal(
      passLine({ host: '::1', port: 5432, tls: true }, 'o\\b:x', 'cst_a'),
      '\\:\\:1:5432:*:o\\\\b\\:x:cst_a\n',
    );
  });
});
