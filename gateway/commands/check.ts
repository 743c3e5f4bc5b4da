/** `countersign check`: is everything the configuration names really there? Changes nothing anywhere. */
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { connectCommands, connected, redisWarnings } from '../../queue/connection.ts';
import { postgresConnection } from '../compose/connections.ts';
import { hashesDiffer } from '../compose/masking.ts';
import { configPath } from '../config/path.ts';
import { type Config, type ConnectionConfig, loadConfig } from '../config.ts';
import { connectUpstream } from '../listeners/postgres/upstream.ts';
import { receiverTrial } from './check-sinks.ts';
import { checkSlack } from './check-slack.ts';
import { type Command, parse } from './command.ts';

const PATIENCE_MS = 5_000; // per part; all parts are tried at once

type Finding = { readonly part: string; readonly result: 'ok' | 'warn' | 'FAILED'; readonly text: string };

export const check: Command = {
  summary: 'try everything the configuration names, change nothing',
  help: `Usage: countersign check [--config FILE] [--slack]

Reads the configuration, then tries Redis (reachable, durable), every issuer's discovery document, what sign-in needs
of its issuer, every connection's target with the gateway's own credentials, the audit directory, and whether the
receivers of audit.sinks answer and are who they should be. One line each; exit 1 when something failed.

  --config FILE   default: COUNTERSIGN_CONFIG, else countersign.yaml
  --slack         also, with the bot's environment: its tokens and scopes, and in Slack every channel and approver that
                  the configuration names`,

  run: async (args, { out, err }) => {
    const { values } = parse(args, { config: { type: 'string' }, slack: { type: 'boolean' } });
    const path = configPath(values.config);
    const config = loadConfig(path);
    out(`ok     ${path}: ${config.connections.length} connections, ${config.rules.length} rules`);
    const differ = hashesDiffer(config);
    if (differ) out(`warn   ${differ}`);
    const findings = (await Promise.all(trials(config))).flat();
    for (const { result, part, text } of findings) {
      (result === 'FAILED' ? err : out)(`${result.padEnd(6)} ${part}: ${text}`);
    }
    const inSlack = values.slack !== true || (await checkSlack(config, out));
    return inSlack && findings.every(({ result }) => result !== 'FAILED') ? 0 : 1;
  },
};

function trials(config: Config): Promise<Finding[]>[] {
  return [
    redisTrial(config),
    trial(`audit ${config.audit.dir}`, () => auditDir(config)),
    ...config.audit.sinks.map((sink) => trial(`sink ${sink.name}`, () => receiverTrial(sink))),
    ...config.identity.issuers.map(({ issuer }) => trial(`issuer ${issuer}`, () => discovery(issuer))),
    ...(config.web ? [trial('web.sign_in', () => signIn(config.web))] : []),
    ...config.connections.map((connection) => trial(`connection ${connection.name}`, () => upstream(connection))),
  ];
}

async function trial(part: string, attempt: () => Promise<string>): Promise<Finding[]> {
  try {
    return [{ part, result: 'ok', text: await attempt() }];
  } catch (error) {
    return [{ part, result: 'FAILED', text: reason(error) }];
  }
}

/** Holds, rules and revocations live here: what a restart would lose is said plainly. */
async function redisTrial(config: Config): Promise<Finding[]> {
  const part = 'redis';
  let trouble: Error | undefined;
  const redis = connectCommands(config.state.redis.reveal(), (error) => {
    trouble = error;
  });
  try {
    await connected(redis, PATIENCE_MS);
    await redis.ping();
    const warnings = await redisWarnings(redis);
    return [
      { part, result: 'ok', text: 'reachable' },
      ...warnings.map((text): Finding => ({ part, result: 'warn', text })),
    ];
  } catch (error) {
    return [{ part, result: 'FAILED', text: reason(trouble ?? error) }];
  } finally {
    redis.disconnect();
  }
}

async function auditDir({ audit }: Config): Promise<string> {
  const there = await access(audit.dir).then(
    () => true,
    () => false,
  );
  // A gateway makes it, but nothing above it.
  const at = there ? audit.dir : dirname(audit.dir);
  await access(at, constants.R_OK | constants.W_OK | constants.X_OK);
  const { bavail, bsize } = await statfs(at);
  const free = bavail * bsize;
  const shown = `${Math.floor(free / (1 << 20)).toLocaleString('en-US')} MB free`;
  if (audit.minFreeBytes !== undefined && free < audit.minFreeBytes)
    throw new Error(`${shown}, less than audit.min_free`);
  return `${there ? 'writable' : 'made at the start'}, ${shown}`;
}

/** Who is registered there under which id only a sign-in shows. */
async function signIn(web: Config['web']): Promise<string> {
  const { issuer = '', deviceClientId } = web?.signIn ?? {};
  const document = await discoveryOf(issuer);
  const needed = ['authorization_endpoint', ...(deviceClientId === undefined ? [] : ['device_authorization_endpoint'])];
  const missing = needed.filter((name) => typeof document[name] !== 'string');
  if (missing.length > 0) throw new Error(`${issuer} has no ${missing.join(' and no ')}`);
  return deviceClientId === undefined
    ? 'in browsers only: no device_client_id'
    : 'in browsers and at terminals, as far as discovery says';
}

async function discovery(issuer: string): Promise<string> {
  await discoveryOf(issuer);
  return 'discovery answers';
}

async function discoveryOf(issuer: string): Promise<Record<string, unknown>> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), redirect: 'error' });
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  const document: unknown = await response.json();
  const known = typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : {};
  if (known.issuer !== issuer) throw new Error(`${url} says its issuer is ${JSON.stringify(known.issuer)}`);
  return known;
}

/** The very hand-over that a session gets. */
async function upstream(connection: ConnectionConfig): Promise<string> {
  const target = await connectUpstream(postgresConnection(connection), {
    parameters: new Map([['application_name', 'countersign check']]),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  target.socket.destroy();
  const risky =
    target.parameters.get('is_superuser') === 'on' ? '; its role is a superuser: give it one of its own' : '';
  return `PostgreSQL ${target.parameters.get('server_version')} as ${connection.upstream.user}${risky}`;
}

/** Everything that is known of a failure: whoever runs `check` is the operator. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error instanceof AggregateError ? error.errors.map(reason).join('; ') : error.message;
  const cause = error.cause instanceof Error ? ` (${reason(error.cause)})` : '';
  return `${inner || error.name}${cause}`;
}
