/** `countersign check`: is everything the configuration names really there? Changes nothing anywhere. */
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { type Config, type ConnectionConfig, configPath, loadConfig } from '../config.ts';
import { type Command, parse } from './command.ts';

const PATIENCE_MS = 5_000; // per part; all parts are tried at once

type Finding = { readonly part: string; readonly ok: boolean; readonly text: string };

export const check: Command = {
  summary: 'try everything the configuration names, change nothing',
  help: `Usage: countersign check [--config FILE]

Reads the configuration, then tries Redis (reachable, durable), every issuer's discovery document, every
connection's target with the gateway's own credentials, and the audit directory. One line each; exit 1 when
something failed.

  --config FILE   default: COUNTERSIGN_CONFIG, else countersign.yaml`,

  run: async (args, { out, err }) => {
    const { values } = parse(args, { config: { type: 'string' } });
    const path = configPath(values.config);
    const config = loadConfig(path);
    out(`ok     ${path}: ${config.connections.length} connections, ${config.rules.length} rules`);
    const findings = (await Promise.all(trials(config))).flat();
    for (const { ok, part, text } of findings) (ok ? out : err)(`${ok ? 'ok    ' : 'FAILED'} ${part}: ${text}`);
    return findings.every(({ ok }) => ok) ? 0 : 1;
  },
};

function trials(config: Config): Promise<Finding[]>[] {
  return [
    redisTrial(config),
    trial(`audit ${config.audit.dir}`, () => auditDir(config)),
    ...config.identity.issuers.map(({ issuer }) => trial(`issuer ${issuer}`, () => discovery(issuer))),
    ...config.connections.map((connection) => trial(`connection ${connection.name}`, () => upstream(connection))),
  ];
}

async function trial(part: string, attempt: () => Promise<string>): Promise<Finding[]> {
  try {
    return [{ part, ok: true, text: await attempt() }];
  } catch (error) {
    return [{ part, ok: false, text: reason(error) }];
  }
}

/** Holds, rules and grants live here: what a restart would lose is said plainly. */
async function redisTrial(config: Config): Promise<Finding[]> {
  const redis = new Redis(config.state.redis.reveal(), {
    lazyConnect: true,
    connectTimeout: PATIENCE_MS,
    commandTimeout: PATIENCE_MS,
    retryStrategy: () => null,
  });
  let lost: Error | undefined;
  redis.on('error', (error) => {
    lost = error;
  });
  try {
    await redis.connect();
    await redis.ping();
    const found: Finding[] = [{ part: 'redis', ok: true, text: 'reachable' }];
    for (const [setting, wanted, why] of [
      ['appendonly', 'yes', 'a restart would lose rules and open holds'],
      ['maxmemory-policy', 'noeviction', 'Redis would throw away rules and cards when its memory is full'],
    ] as const) {
      const [, value] = (await redis.config('GET', setting).catch(() => [])) as string[];
      const text =
        value === undefined
          ? `${setting} cannot be read here; make sure it is ${wanted}`
          : `${setting} is ${value}${value === wanted ? '' : `, should be ${wanted}: ${why}`}`;
      found.push({ part: 'redis', ok: value === undefined || value === wanted, text });
    }
    return found;
  } catch (error) {
    return [{ part: 'redis', ok: false, text: reason(lost ?? error) }];
  } finally {
    redis.disconnect();
  }
}

async function auditDir({ audit }: Config): Promise<string> {
  await access(audit.dir, constants.R_OK | constants.W_OK | constants.X_OK);
  const { bavail, bsize } = await statfs(audit.dir);
  const free = bavail * bsize;
  const shown = `${Math.floor(free / (1 << 20)).toLocaleString('en-US')} MB free`;
  if (audit.minFreeBytes !== undefined && free < audit.minFreeBytes)
    throw new Error(`${shown}, less than audit.min_free`);
  return `writable, ${shown}`;
}

async function discovery(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), redirect: 'error' });
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  const document: unknown = await response.json();
  const said = typeof document === 'object' && document !== null && 'issuer' in document ? document.issuer : undefined;
  if (said !== issuer) throw new Error(`${url} says its issuer is ${JSON.stringify(said)}`);
  return 'discovery answers';
}

async function upstream({ upstream: target, searchPath }: ConnectionConfig): Promise<string> {
  const { host, port, database, user, tls, ca } = target;
  const client = new Client({
    host,
    port,
    database,
    user,
    password: target.password.reveal(),
    connectionTimeoutMillis: PATIENCE_MS,
    query_timeout: PATIENCE_MS,
    ssl: tlsOptions(tls, ca),
    application_name: 'countersign check',
  });
  client.on('error', () => {}); // what fails is reported by the call that failed
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string; super: boolean; path: string }>(
      `SELECT current_setting('server_version') AS version, rolsuper AS super, set_config('search_path', $1, false) AS path
         FROM pg_catalog.pg_roles WHERE rolname = current_user`,
      [searchPath],
    );
    const warning = rows[0]?.super ? '; its role is a superuser, which no approval should be able to use' : '';
    return `PostgreSQL ${rows[0]?.version} as ${user}${warning}`;
  } finally {
    await client.end().catch(() => {});
  }
}

function tlsOptions(tls: ConnectionConfig['upstream']['tls'], ca: string | undefined) {
  if (tls === 'disable') return false;
  const roots = ca === undefined ? {} : { ca };
  if (tls === 'require') return { ...roots, rejectUnauthorized: false };
  return tls === 'verify-ca' ? { ...roots, checkServerIdentity: () => undefined } : roots;
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  const inner = error instanceof AggregateError ? error.errors.map(reason).join('; ') : error.message;
  return `${inner || error.name}${cause}`;
}
