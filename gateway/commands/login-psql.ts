/** What psql needs to go through the gateway: a service, a password file, or the environment of a program that is run. */
import { spawn } from 'node:child_process';
import { readFile, realpath, stat } from 'node:fs/promises';
import { homedir, constants as os } from 'node:os';
import { join } from 'node:path';
import { GatewayError } from '../errors.ts';
import { replace } from './login-files.ts';

export type Postgres = { readonly host: string; readonly port: number; readonly tls: boolean };

/** libpq's own escapes. */
const passField = (text: string): string => text.replaceAll(/[\\:]/g, '\\$&');

/** One line, good for every connection of that gateway. */
export const passLine = ({ host, port }: Postgres, user: string, token: string): string =>
  `${[host, String(port), '*', user, token].map((field, at) => (at === 2 ? field : passField(field))).join(':')}\n`;

export const serviceName = (connection: string): string => `countersign-${connection}`;
/** Where libpq looks. */
const serviceFile = (env: NodeJS.ProcessEnv): string => env.PGSERVICEFILE || join(homedir(), '.pg_service.conf');

/** How it verifies whom it talks to: as this process verified the gateway's pages. */
const tlsOf = ({ tls }: Postgres, env: NodeJS.ProcessEnv): Record<string, string> =>
  tls ? { sslmode: 'verify-full', sslrootcert: env.NODE_EXTRA_CA_CERTS || 'system' } : { sslmode: 'disable' };

/**
 * Writes the connection's section into libpq's service file and leaves everything else in it as it is; nothing secret.
 * @throws GatewayError CONFIG where the file cannot be read as one
 */
export async function writeService(
  connection: string,
  at: { readonly postgres: Postgres; readonly user: string; readonly passfile: string },
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  const { postgres, user, passfile } = at;
  const keys = {
    host: postgres.host,
    port: String(postgres.port),
    dbname: connection,
    user,
    passfile,
    ...tlsOf(postgres, env),
  };
  for (const [key, value] of Object.entries(keys)) {
    if (/[\r\n]/.test(value))
      throw new GatewayError('CONFIG', `${key} has a line break, which libpq’s files cannot hold`);
  }
  const name = serviceName(connection);
  const section = [`[${name}]`, ...Object.entries(keys).map(([key, value]) => `${key}=${value}`), ''].join('\n');
  const named = serviceFile(env);
  const path = await realpath(named).catch(() => named); // a link among somebody's dotfiles stays one
  const there = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  const next = withSection(there ?? '', name, section);
  if (next === there) return;
  await replace(path, next, there === undefined ? 0o600 : (await stat(path)).mode & 0o777);
}

/** `text` with this section in place of any of its name, at the end where there was none. */
export function withSection(text: string, name: string, section: string): string {
  const kept: string[] = [];
  let skipping = false;
  let at: number | undefined;
  for (const line of text.split('\n')) {
    const header = /^\s*\[(.*)\]\s*$/.exec(line);
    if (header) {
      skipping = header[1] === name;
      if (skipping) at ??= kept.length;
    }
    if (!skipping) kept.push(line);
  }
  if (at !== undefined) {
    kept.splice(at, 0, ...section.split('\n').slice(0, -1), ...(at === kept.length ? [''] : []));
    return kept.join('\n');
  }
  const before = kept.join('\n');
  return `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${section}`;
}

/** The child's environment: what would lead it elsewhere is taken out of ours. */
export function childEnv(
  connection: string,
  at: { readonly postgres: Postgres; readonly user: string; readonly token: string },
  env: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const { PGHOSTADDR: _address, PGSERVICE: _service, PGPASSFILE: _file, ...rest } = env;
  const { sslmode, sslrootcert } = tlsOf(at.postgres, env);
  return {
    ...rest,
    PGHOST: at.postgres.host,
    PGPORT: String(at.postgres.port),
    PGDATABASE: connection,
    PGUSER: at.user,
    PGPASSWORD: at.token,
    PGSSLMODE: sslmode,
    ...(sslrootcert === undefined ? {} : { PGSSLROOTCERT: sslrootcert }),
  };
}

const PASSED_ON = ['SIGTERM', 'SIGHUP'] as const;

/** Runs it on this terminal; answers its exit status as a shell would. @throws GatewayError CONFIG where it cannot be run */
export function runProgram([program = '', ...args]: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env });
    const pass = (signal: NodeJS.Signals) => void child.kill(signal);
    const ignore = () => {}; // Ctrl-C is the child's: the terminal sends it there as well
    process.on('SIGINT', ignore);
    for (const signal of PASSED_ON) process.on(signal, pass);
    const over = () => {
      process.off('SIGINT', ignore);
      for (const signal of PASSED_ON) process.off(signal, pass);
    };
    child.once('error', (cause: NodeJS.ErrnoException) => {
      over();
      reject(new GatewayError('CONFIG', `${program} cannot be run (${cause.code ?? cause.message})`, { cause }));
    });
    child.once('close', (code, signal) => {
      over();
      resolve(code ?? 128 + (signal === null ? 1 : os.signals[signal]));
    });
  });
}
