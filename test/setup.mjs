/**
 * Brings in what `npm test` and `npm run demo` need and is not there yet: npm packages, and programs through apt.
 * Plain JavaScript without dependencies, because it runs before there are any.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const purpose = process.argv[2] ?? 'test';

/** Program on the PATH → Debian package that brings it. */
const PROGRAMS = {
  demo: { 'redis-server': 'redis-server', psql: 'postgresql-client' },
  test: { 'redis-server': 'redis-server', psql: 'postgresql-client', openssl: 'openssl', chromium: 'chromium' },
  bench: { 'redis-server': 'redis-server', psql: 'postgresql-client', pgbench: 'postgresql', pgbouncer: 'pgbouncer' },
};

const fail = (message) => {
  console.error(`\ncountersign: ${message}\n`);
  process.exit(1);
};

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) fail(`needs Node 20.19 or newer; this is ${process.version}.`);

installPackages();
installPrograms(PROGRAMS[purpose] ?? fail(`unknown purpose "${purpose}": expected demo or test.`));

/** `npm ci`, unless what is installed came from this very lock file. */
function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules', '.countersign-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error('countersign: installing npm packages (npm ci) …');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const done = spawnSync(npm, ['ci', '--include=dev', '--no-fund', '--no-audit', '--loglevel=error'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (done.status !== 0) fail('npm ci failed; its message is above. Is the npm registry reachable?');
  writeFileSync(stamp, lock);
}

/** apt, where it is there and allowed; else one line that says what to install and how. */
function installPrograms(programs) {
  const missing = Object.entries(programs).filter(([program]) => !onPath(program));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))];
  const names = missing.map(([program]) => program).join(', ');
  const manual = onPath('apt-get')
    ? `sudo apt-get install -y ${packages.join(' ')}`
    : process.platform === 'darwin'
      ? `brew install ${packages.map((name) => ({ 'redis-server': 'redis', 'postgresql-client': 'libpq' })[name] ?? name).join(' ')}`
      : `your system's package manager (Debian's names: ${packages.join(', ')})`;
  const asRoot =
    process.getuid?.() === 0 ? [] : spawnSync('sudo', ['-n', 'true']).status === 0 ? ['sudo', '-n'] : undefined;
  if (!onPath('apt-get') || !asRoot) fail(`${names} not found. Install with: ${manual}`);
  console.error(`countersign: installing ${packages.join(', ')} (apt-get) …`);
  const apt = (...words) => {
    const [command, ...args] = [...asRoot, 'apt-get', '-qq', ...words];
    return (
      spawnSync(command, args, {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      }).status === 0
    );
  };
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  if (!apt(...install) && !(apt('update') && apt(...install)))
    fail(`apt-get could not install ${packages.join(' ')}. Install with: ${manual}`);
  const still = missing.filter(([program]) => !onPath(program)).map(([program]) => program);
  if (still.length > 0) fail(`${still.join(', ')} still not found after installing ${packages.join(' ')}.`);
}

function onPath(program) {
  return `${process.env.PATH ?? ''}${delimiter}/usr/sbin`
    .split(delimiter)
    .some((dir) => dir !== '' && existsSync(join(dir, program)));
}
