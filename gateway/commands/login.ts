/** `countersign login`: a person signs in at a terminal, and psql goes through the gateway as them. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { issuerUrl } from '../config/units.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import { type Command, Misuse, type Output, parse } from './command.ts';
import { byDevice, byRenewal, type Given, type Provider } from './login-device.ts';
import { openPrivateDir, privateDir, readPrivate, writePrivate } from './login-files.ts';
import { childEnv, passLine, runProgram, serviceName, writeService } from './login-psql.ts';
import { webUrl } from './web-url.ts';

const TIMEOUT_MS = 20_000;
const SOON_MS = 10 * 60_000; // a token that ends sooner is renewed first
const LATER_MS = 60_000; // after a renewal that failed
const MAX_TIMER_MS = 2 ** 31 - 1;

const toldSchema = z.object({
  issuer: issuerUrl,
  client_id: z.string().min(1),
  scopes: z.array(z.string()).default(['openid']),
  audiences: z.array(z.string()).default([]),
  postgres: z
    .object({ host: z.string().min(1), port: z.number().int().min(1).max(65_535), tls: z.boolean() })
    .optional(),
});
type Told = z.infer<typeof toldSchema>;

const exchangedSchema = z.object({
  token: z.string().regex(/^cst_[\w-]+$/),
  expires_at: z.iso.datetime(),
  principal: z.object({ name: z.string().min(1) }),
});
const errorSchema = z.object({ message: z.string(), hint: z.string().optional() });

const loginSchema = z.strictObject({
  v: z.literal(1),
  url: z.string(),
  issuer: z.string(),
  clientId: z.string(),
  name: z.string(),
  token: z.string(),
  /** Epoch ms. */
  issuedAt: z.number(),
  expiresAt: z.number(),
  refreshToken: z.string().optional(),
});
type Login = z.infer<typeof loginSchema>;

export const login: Command = {
  summary: 'sign in at a terminal, and go through the gateway with psql',
  help: `Usage: countersign login [CONNECTION] [--url URL] [--again | --forget] [-- PROGRAM [ARGS]]

Signs you in with your company's identity provider: open the page it names in any browser, compare the code, done. What
you get is a token of the gateway, in a file that only you can read, below $XDG_CONFIG_HOME/countersign (else
~/.config/countersign). Until it ends, and where your provider lets it be renewed, nothing is asked again.

  countersign login                     only signs in
  countersign login orders              and sets up the connection orders for psql, and every other client that uses
                                        libpq: a section in ~/.pg_service.conf ($PGSERVICEFILE) and a password file.
                                        Prints: psql service=countersign-orders
  countersign login orders -- psql -c 'select 1'
                                        runs that with PGHOST, PGPASSWORD and so on set, for it alone; its exit status
                                        is this command's. While it runs, the token is renewed before it ends.

  --url URL   the gateway's web address   (default: COUNTERSIGN_URL, else http://127.0.0.1:18081)
  --again     sign in anew, as somebody else perhaps
  --forget    remove what was kept for this gateway here; it is good until it ends, or is revoked

The token is never printed. A private certificate authority: NODE_EXTRA_CA_CERTS names its file, for psql too.
Exit status: 0 fine, 1 failed, 2 misused; of the program, where one is run.`,

  run: async (args, output) => {
    const cut = args.includes('--') ? args.indexOf('--') : args.length;
    const program = args.slice(cut + 1);
    const own = args.slice(0, cut);
    const named = own.filter((one, at) => !one.startsWith('-') && own[at - 1] !== '--url').length > 0;
    const { values, positionals } = parse(
      own,
      {
        url: { type: 'string' },
        again: { type: 'boolean', default: false },
        forget: { type: 'boolean', default: false },
      },
      named ? ['CONNECTION'] : [],
    );
    const [connection] = positionals;
    if (connection !== undefined && !/^[a-z][a-z0-9-]{0,62}$/.test(connection))
      throw new Misuse(`${connection} cannot be the name of a connection`);
    if (cut < args.length && (program.length === 0 || connection === undefined))
      throw new Misuse('before -- comes a connection, and after it the program to run');
    if (values.forget && (values.again || connection !== undefined)) throw new Misuse('--forget stands alone');
    const url = webUrl(values.url);
    const files = await filesFor(url);
    if (values.forget) {
      await Promise.all([rm(files.login, { force: true }), rm(files.passwords, { force: true })]);
      output.err(`Nothing is kept here for ${url.origin} any more.`);
      return 0;
    }
    const told = await ask(url);
    const kept = values.again ? undefined : await keptLogin(files.login, url, told);
    const now = await current(url, told, kept, files, output);
    output.err(`Signed in as ${now.name} until ${new Date(now.expiresAt).toISOString()}.`);
    if (connection === undefined) return 0;
    const { postgres } = told;
    if (!postgres) throw new GatewayError('UNSUPPORTED', `the gateway at ${url.origin} serves no PostgreSQL`);
    if (cut < args.length) {
      const renewing = renew(url, told, now, files, output);
      try {
        return await runProgram(program, childEnv(connection, { postgres, user: now.name, token: now.token }));
      } finally {
        renewing.stop();
      }
    }
    await writePrivate(files.passwords, passLine(postgres, now.name, now.token));
    await writeService(connection, { postgres, user: now.name, passfile: files.passwords });
    output.out(`psql service=${serviceName(connection)}`);
    return 0;
  },
};

type Files = { readonly login: string; readonly passwords: string };

/** Each gateway's own, so that two logins at once do not undo each other. */
async function filesFor(url: URL): Promise<Files> {
  const dir = privateDir();
  await openPrivateDir(dir);
  const name = `${url.hostname}_${url.port || (url.protocol === 'https:' ? '443' : '80')}`.replaceAll(/[^\w.-]/g, '_');
  return { login: join(dir, `${name}.json`), passwords: join(dir, `${name}.pgpass`) };
}

const providerOf = ({ issuer, client_id, scopes, audiences }: Told): Provider => ({
  issuer,
  clientId: client_id,
  scopes,
  audiences,
});

/** @throws GatewayError UNAVAILABLE | UNSUPPORTED */
async function ask(url: URL): Promise<Told> {
  const answer = await reach(url, '/v1/sign-in', {});
  const told = answer.status === 200 ? toldSchema.safeParse(answer.body) : undefined;
  if (told?.success) return told.data;
  throw new GatewayError('UNSUPPORTED', `the gateway at ${url.origin} does not offer to sign in at a terminal`, {
    hint: 'The operator: web.sign_in needs a public client, as device_client_id or as client_id without a secret.',
  });
}

async function reach(
  url: URL,
  path: string,
  init: RequestInit,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const answer = await fetch(new URL(path, url), {
    ...init,
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((cause: unknown) => {
    throw new GatewayError('UNAVAILABLE', `the gateway at ${url.origin} does not answer`, { cause });
  });
  return { status: answer.status, body: await answer.json().catch(() => undefined) };
}

/** What was kept of an earlier login, if it is this one. @throws GatewayError CONFIG where others could have read it */
async function keptLogin(path: string, url: URL, told: Told): Promise<Login | undefined> {
  const text = await readPrivate(path);
  if (text === undefined) return undefined;
  const parsed = loginSchema.safeParse(jsonIn(text));
  if (!parsed.success) return undefined; // of another version, or half of one: signing in writes it anew
  const { data } = parsed;
  const same = data.url === url.origin && data.issuer === told.issuer && data.clientId === told.client_id;
  return same ? data : undefined;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A short-lived token is not renewed all the time, a long-lived one in good time. */
const endsSoon = ({ issuedAt, expiresAt }: Login): boolean =>
  expiresAt - Date.now() < Math.min(SOON_MS, (expiresAt - issuedAt) / 4);

async function current(url: URL, told: Told, kept: Login | undefined, files: Files, output: Output): Promise<Login> {
  if (kept && !endsSoon(kept)) return kept;
  const provider = providerOf(told);
  if (kept?.refreshToken !== undefined) {
    try {
      return await exchange(url, told, await byRenewal(provider, kept.refreshToken), files);
    } catch (error) {
      if (asGatewayError(error).code !== 'DENIED') throw error;
      output.err('Your sign-in cannot be renewed any more.');
    }
  }
  return exchange(url, told, await byDevice(provider, output.err), files);
}

/** The issuer's token for one of the gateway, which is kept. @throws GatewayError as the gateway refuses */
async function exchange(url: URL, told: Told, { jwt, refreshToken }: Given, files: Files): Promise<Login> {
  const { status, body } = await reach(url, '/v1/token', {
    method: 'POST',
    headers: { authorization: `Bearer ${jwt}` },
  });
  const exchanged = exchangedSchema.safeParse(body);
  if (status !== 200 || !exchanged.success) {
    const { message, hint } = errorSchema.catch({ message: `the gateway answered ${status}` }).parse(body);
    throw new GatewayError(status === 503 ? 'UNAVAILABLE' : 'ACCESS', message, hint === undefined ? {} : { hint });
  }
  const { token, expires_at, principal } = exchanged.data;
  const now: Login = {
    v: 1,
    url: url.origin,
    issuer: told.issuer,
    clientId: told.client_id,
    name: principal.name,
    token,
    issuedAt: Date.now(),
    expiresAt: Date.parse(expires_at),
    ...(refreshToken === undefined ? {} : { refreshToken }),
  };
  await writePrivate(files.login, `${JSON.stringify(now)}\n`);
  const { postgres } = told;
  if (postgres && (await readPrivate(files.passwords)) !== undefined)
    await writePrivate(files.passwords, passLine(postgres, now.name, now.token));
  return now;
}

/** While a program runs: the gateway lets its sessions live as long as the later token. */
function renew(url: URL, told: Told, first: Login, files: Files, output: Output): { stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  const wait = (login: Login, ms: number) => {
    if (login.refreshToken === undefined) return;
    timer = setTimeout(() => void again(login, login.refreshToken ?? ''), Math.min(Math.max(ms, 1_000), MAX_TIMER_MS));
    timer.unref();
  };
  const due = ({ issuedAt, expiresAt }: Login) =>
    expiresAt - Math.min(SOON_MS, (expiresAt - issuedAt) / 4) - Date.now();
  const again = async (login: Login, refreshToken: string) => {
    try {
      const next = await exchange(url, told, await byRenewal(providerOf(told), refreshToken), files);
      wait(next, due(next));
    } catch (error) {
      const { code } = asGatewayError(error);
      if (code !== 'DENIED' && login.expiresAt - Date.now() > LATER_MS) return wait(login, LATER_MS);
      output.err(
        `Your sign-in could not be renewed, and ends ${new Date(login.expiresAt).toISOString()}: ${asGatewayError(error).message}`,
      );
    }
  };
  wait(first, due(first));
  return { stop: () => clearTimeout(timer) };
}
