/** The web listener: tokens for JWTs, health, metrics. Knows no protocol of a target. */
import type { Server as HttpsServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Audit } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { Exchange } from '../identity/authenticator.ts';
import type { Listen } from '../listeners/listener.ts';
import { isLoopback } from '../loopback.ts';
import { principalKey } from '../operation.ts';
import { AddressLimiter, type Limiter, type Rate } from './limiter.ts';
import type { Metrics } from './metrics.ts';

export type WebOptions = {
  readonly host: string;
  readonly port: number;
  /** PEM. Absent: plain HTTP, where tokens are given to loopback only. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly exchange: (jwt: string) => Promise<Exchange>;
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
export const MAX_CONNECTIONS = 2_000;
/** A refused token costs as much as this many accepted ones: guessing is slower than using. */
const REFUSAL_COST = 4;

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

  tokens(app, options);
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

function tokens(app: FastifyInstance, options: WebOptions): void {
  const { exchange, audit, metrics, isLocal = isLoopback, log } = options;
  const { limiter: limiterOf = (_name: string, rate: Rate): Limiter => new AddressLimiter(rate) } = options;
  // A fleet behind one address renews now and then; a guesser does not stop.
  const limiter = limiterOf('tokens', options.rate ?? { burst: 300, perSecond: 5 });
  // That an address floods is recorded, once a minute: a stranger must not be able to fill the disk of the evidence.
  const floods = limiterOf('floods', { burst: 1, perSecond: 1 / 60 });

  const refuse = async (request: FastifyRequest, reply: FastifyReply, error: GatewayError) => {
    metrics.signIn(false);
    try {
      if (error.code !== 'LIMIT' || (await floods.allow(request.ip))) {
        const { code, message: reason } = error;
        audit.append({ kind: 'auth.refused', door: 'web', address: request.ip, code, reason });
      }
    } catch (cause) {
      log?.warn({ reason: String(cause) }, 'a refusal could not be recorded'); // nothing passes: the answer stays no
    }
    const status =
      error.code === 'AUTH' ? 401 : error.code === 'LIMIT' ? 429 : error.code === 'AUTH_NEEDS_TLS' ? 403 : 503;
    if (status === 401) reply.header('www-authenticate', 'Bearer');
    return reply
      .code(status)
      .send({ error: error.code, message: error.message, ...(error.hint ? { hint: error.hint } : {}) });
  };

  app.post('/v1/token', async (request, reply) => {
    try {
      if (!(await limiter.allow(request.ip)))
        throw new GatewayError('LIMIT', 'too many requests from this address; wait a little');
      if (!isEncrypted(request) && !isLocal(request.raw.socket.remoteAddress ?? '')) {
        throw new GatewayError('AUTH_NEEDS_TLS', 'tokens are given over TLS, or to loopback', {
          hint: 'this token has crossed a network in the clear: have its issuer revoke it',
        });
      }
      const jwt = bearer(request.headers.authorization);
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
      if (error.code === 'AUTH') await limiter.allow(request.ip, REFUSAL_COST);
      return refuse(request, reply, error);
    }
  });
}

function bearer(header: string | undefined): string {
  const match = /^Bearer ([A-Za-z0-9._~+/=-]{1,20000})$/i.exec(header ?? '');
  if (match?.[1]) return match[1];
  throw new GatewayError('AUTH', 'no token was presented', {
    hint: 'send the header Authorization: Bearer <JWT of your issuer>',
  });
}

const isEncrypted = (request: FastifyRequest): boolean => (request.raw.socket as Partial<TLSSocket>).encrypted === true;
