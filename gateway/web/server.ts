/** The web listener: tokens for JWTs, health, metrics. Knows no protocol of a target. */
import type { Server as HttpsServer } from 'node:https';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Audit } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { Exchange } from '../identity/authenticator.ts';
import type { Listen } from '../listeners/listener.ts';
import { principalKey } from '../operation.ts';
import { createDoor, type Door } from './door.ts';
import { AddressLimiter, type Limiter, type Rate } from './limiter.ts';
import type { Metrics } from './metrics.ts';
import { type PlanDoor, plans } from './plans.ts';
import { type SignInOptions, signIn } from './sign-in.ts';
import { type TerminalDoor, type Voter, votes } from './votes.ts';

export type WebOptions = {
  readonly host: string;
  readonly port: number;
  /** PEM. Absent: plain HTTP, where tokens are given to loopback only. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly exchange: (jwt: string) => Promise<Exchange>;
  /** Who shows this token, for those who decide at a terminal; and what they can decide. Absent: nobody does. */
  readonly whoIs?: (token: string) => Promise<Voter>;
  readonly terminal?: TerminalDoor;
  /** Where statements are listed before they run. Absent: nowhere. */
  readonly plans?: PlanDoor;
  /** How people sign in, and the pages behind that. Absent: there are none. */
  readonly signIn?: Omit<SignInOptions, 'audit' | 'metrics' | 'limiter' | 'isLocal' | 'log' | 'pages'> | undefined;
  /** What those who signed in can see. */
  readonly pages?: SignInOptions['pages'];
  readonly audit: Pick<Audit, 'append' | 'commit'>;
  readonly metrics: Metrics;
  /** What keeps the gateway from being ready, by part. */
  readonly troubles: () => Promise<Readonly<Record<string, string>>>;
  /** Requests for tokens by one address. */
  readonly rate?: Rate;
  /** Keeps such a pace; by default for what comes in here. */
  readonly limiter?: (name: string, rate: Rate) => Limiter;
  /** Where its connections come from: its own address by default. */
  readonly listen?: Listen | undefined;
  readonly maxConnections?: number;
  /** How long a request may take to arrive, ms. */
  readonly requestMs?: number;
  /** Is a peer of this address on this machine? Loopback only by default. */
  readonly isLocal?: (address: string) => boolean;
  readonly log?: { warn(details: object, message: string): void };
};

export type Web = {
  /** @throws GatewayError CONFIG when the address cannot be had. */
  start(): Promise<{ readonly host: string; readonly port: number }>;
  /** New connections get this certificate. Does nothing on plain HTTP. @throws where the two do not fit. */
  renewCertificate(tls: { readonly cert: string; readonly key: string }): void;
  stop(): Promise<void>;
};

const MAX_HEADER_BYTES = 32 * 1024; // a JWT of 16 KB and room
const MAX_BODY_BYTES = 4 * 1024; // nothing reads it
const REQUEST_MS = 10_000;
const PLANS: Rate = { burst: 20, perSecond: 0.2 }; // by one address: each rings people
export const MAX_CONNECTIONS = 2_000;

export function createWeb(options: WebOptions): Web {
  const { requestMs = REQUEST_MS } = options;
  const limits = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: requestMs,
    connectionsCheckingInterval: 1_000, // the default looks every 30 s, and slow senders would hold on for so long
  };
  const shared = {
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: requestMs,
    keepAliveTimeout: 5_000,
    forceCloseConnections: true,
    trustProxy: false, // who asks is who connects: a header cannot make an address loopback
    routerOptions: { maxParamLength: 100 },
  } as const;
  const app: FastifyInstance = options.tls
    ? (Fastify({
        ...shared,
        https: { ...limits, ...options.tls, minVersion: 'TLSv1.2', handshakeTimeout: requestMs },
      }) as unknown as FastifyInstance)
    : Fastify({ ...shared, http: limits });
  app.server.maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, undefined));
  app.addHook('onSend', async (_request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    });
  });
  app.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
    const status = error.statusCode && error.statusCode < 500 ? error.statusCode : 500;
    if (status === 500) options.log?.warn({ reason: String(error) }, 'a web request failed');
    return reply.code(status).send({ error: status === 500 ? 'INTERNAL' : 'REQUEST', message: 'the request failed' });
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ error: 'NOT_FOUND', message: 'there is nothing here' }),
  );

  const door = createDoor(options);
  tokens(app, options, door);
  const { terminal, whoIs } = options;
  if (terminal && whoIs) app.register(async (scope) => votes(scope, { whoIs, terminal, door }));
  if (options.plans) {
    const pace = (options.limiter ?? ((_name: string, rate: Rate) => new AddressLimiter(rate)))('plans', PLANS);
    const listed = options.plans;
    app.register(async (scope) => plans(scope, { plans: listed, door, pace }));
  }

  if (options.signIn) {
    const { audit, metrics, limiter, isLocal, log } = options;
    const signed = { ...options.signIn, pages: options.pages, audit, metrics, limiter, isLocal, log };
    app.register(async (scope) => signIn(scope, signed));
  }

  app.get('/healthz', async () => ({ ok: true }));
  app.get('/readyz', async (_request, reply) => {
    const notReady = await options.troubles();
    const ready = Object.keys(notReady).length === 0;
    return reply.code(ready ? 200 : 503).send({ ready, ...(ready ? {} : { notReady }) });
  });
  app.get('/metrics', async (_request, reply) => {
    const { type, text } = await options.metrics.read();
    return reply.type(type).send(text);
  });

  return {
    start: async () => {
      const { host, port, listen } = options;
      try {
        if (listen) {
          await app.ready();
          return { host, port: await listen(app.server, { host, port }) };
        }
        await app.listen({ host, port });
      } catch (cause) {
        const { code, message } = cause as NodeJS.ErrnoException;
        throw new GatewayError('CONFIG', `listen.web: ${host}:${port} cannot be had (${code ?? message})`, { cause });
      }
      const address = app.server.address();
      return { host, port: typeof address === 'object' && address ? address.port : port };
    },
    renewCertificate: (tls) => {
      if (options.tls) (app.server as HttpsServer).setSecureContext({ ...tls, minVersion: 'TLSv1.2' });
    },
    stop: async () => {
      if (options.listen) app.server.closeAllConnections(); // Fastify does it for those that it listened for itself
      await app.close();
    },
  };
}

function tokens(app: FastifyInstance, { exchange, audit, metrics, log }: WebOptions, door: Door): void {
  app.post('/v1/token', async (request, reply) => {
    try {
      const jwt = await door.bearer(request);
      const { token, hash, expiresAt, principal, confirm } = await exchange(jwt);
      await audit.commit({
        kind: 'token.issued',
        principal: principalKey(principal),
        principalKind: principal.kind,
        address: request.ip,
        digest: hash,
        expiresAt: new Date(expiresAt).toISOString(),
      });
      await confirm();
      metrics.signIn(true);
      const { issuer, subject, kind, name, groups } = principal;
      return reply.send({
        token,
        expires_at: new Date(expiresAt).toISOString(),
        principal: { issuer, subject, kind, name, groups },
      });
    } catch (thrown) {
      const error =
        thrown instanceof GatewayError
          ? thrown
          : new GatewayError('UNAVAILABLE', 'no token can be given now; try again');
      if (error !== thrown) log?.warn({ reason: String(thrown) }, 'a token could not be given');
      return door.refuse(request, reply, error);
    }
  });
}
