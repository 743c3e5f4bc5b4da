/** Who may ask the web listener for anything: a token over TLS or from this machine, at a bearable pace; all refusals recorded. */
import type { TLSSocket } from 'node:tls';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.ts';
import { isLoopback } from '../loopback.ts';
import { AddressLimiter, type Limiter, type Rate } from './limiter.ts';
import type { WebOptions } from './server.ts';

/** A refused token costs as much as this many accepted ones: guessing is slower than using. */
const REFUSAL_COST = 4;

export type Door = {
  /** The token of a request. @throws GatewayError LIMIT | AUTH_NEEDS_TLS | AUTH */
  bearer(request: FastifyRequest): Promise<string>;
  /** Answer with the error, once it is on record. */
  refuse(request: FastifyRequest, reply: FastifyReply, error: GatewayError): Promise<FastifyReply>;
};

type DoorOptions = Pick<WebOptions, 'audit' | 'metrics' | 'isLocal' | 'limiter' | 'rate' | 'log'>;

const STATUS: Readonly<Partial<Record<GatewayError['code'], number>>> = {
  AUTH: 401,
  LIMIT: 429,
  AUTH_NEEDS_TLS: 403,
  ACCESS: 403,
  DENIED: 403,
  TOO_LONG: 413,
  CONFIG: 400,
  UNPARSEABLE: 400,
  UNSUPPORTED: 400,
  FROZEN: 403,
  NO_APPROVER: 403,
};

export function createDoor(options: DoorOptions): Door {
  const { audit, metrics, isLocal = isLoopback, log } = options;
  const { limiter: limiterOf = (_name: string, rate: Rate): Limiter => new AddressLimiter(rate) } = options;
  // A fleet behind one address renews now and then; a guesser does not stop.
  const limiter = limiterOf('tokens', options.rate ?? { burst: 300, perSecond: 5 });
  // That an address floods is recorded, once a minute: a stranger must not be able to fill the disk of the evidence.
  const floods = limiterOf('floods', { burst: 1, perSecond: 1 / 60 });
  return {
    bearer: async (request) => {
      if (!(await limiter.allow(request.ip)))
        throw new GatewayError('LIMIT', 'too many requests from this address; wait a little');
      if (!isEncrypted(request) && !isLocal(request.raw.socket.remoteAddress ?? '')) {
        throw new GatewayError('AUTH_NEEDS_TLS', 'tokens are given and taken over TLS, or from loopback', {
          hint: 'this token has crossed a network in the clear: have its issuer revoke it',
        });
      }
      return tokenIn(request.headers.authorization);
    },
    refuse: async (request, reply, error) => {
      const { code, message, hint } = error;
      const status = STATUS[code] ?? 503;
      if (code === 'AUTH') await limiter.allow(request.ip, REFUSAL_COST);
      metrics.signIn(false);
      try {
        if (code !== 'LIMIT' || (await floods.allow(request.ip))) {
          audit.append({ kind: 'auth.refused', door: 'web', address: request.ip, code, reason: message });
        }
      } catch (cause) {
        log?.warn({ reason: String(cause) }, 'a refusal could not be recorded'); // nothing passes: the answer stays no
      }
      if (status === 401) reply.header('www-authenticate', 'Bearer');
      return reply.code(status).send({ error: code, message, ...(hint ? { hint } : {}) });
    },
  };
}

function tokenIn(header: string | undefined): string {
  const match = /^Bearer ([A-Za-z0-9._~+/=-]{1,20000})$/i.exec(header ?? '');
  if (match?.[1]) return match[1];
  throw new GatewayError('AUTH', 'no token was presented', {
    hint: 'send the header Authorization: Bearer <JWT of your issuer>',
  });
}

const isEncrypted = (request: FastifyRequest): boolean => (request.raw.socket as Partial<TLSSocket>).encrypted === true;
