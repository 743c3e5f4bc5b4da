/** Plans: a script's statements listed before they run, approved together; asked about by whoever listed them. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { asGatewayError, GatewayError } from '../errors.ts';
import { bodyIn } from './body.ts';
import type { Door } from './door.ts';
import type { Limiter } from './limiter.ts';

const MAX_BODY_BYTES = 64 * 1024;
const MOST_STATEMENTS = 50;

const bodySchema = z.strictObject({
  connection: z.string().min(1).max(64),
  statements: z.array(z.string().min(1)).min(1).max(MOST_STATEMENTS),
  reason: z.string().max(300),
});
export type PlanBody = z.infer<typeof bodySchema>;

export type PlanAnswer = { readonly id?: string; readonly status: string };

/** Both take the token as it was shown. @throws GatewayError AUTH | ACCESS | DENIED | … */
export type PlanDoor = {
  propose(token: string, body: PlanBody): Promise<PlanAnswer>;
  /** Undefined where this principal has no such plan. */
  status(token: string, id: string): Promise<PlanAnswer | undefined>;
};

/** `app` is a scope of its own: here a body is read. `pace` is kept for each address. */
export function plans(app: FastifyInstance, options: { plans: PlanDoor; door: Door; pace: Limiter }): void {
  const { door, pace } = options;
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: MAX_BODY_BYTES },
    (_request, body, done) => done(null, body),
  );
  const answering =
    (answer: (token: string, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>) =>
    async (request: FastifyRequest, reply: FastifyReply) => {
      try {
        return reply.send(await answer(await door.bearer(request), request, reply));
      } catch (thrown) {
        return door.refuse(request, reply, asGatewayError(thrown));
      }
    };
  app.post(
    '/v1/plans',
    { bodyLimit: MAX_BODY_BYTES },
    answering(async (token, request, reply) => {
      if (!(await pace.allow(request.ip)))
        throw new GatewayError('LIMIT', 'too many plans from this address; wait a little');
      const answer = await options.plans.propose(token, bodyIn(request.body, bodySchema, 'the plan'));
      if (answer.id === undefined) return answer;
      reply.code(202).header('location', `/v1/plans/${answer.id}`);
      return { ...answer, url: `/v1/plans/${answer.id}` };
    }),
  );
  app.get<{ Params: { id: string } }>(
    '/v1/plans/:id',
    answering(async (token, request, reply) => {
      const answer = await options.plans.status(token, (request.params as { id: string }).id);
      if (answer) return answer;
      reply.code(404);
      return { error: 'NOT_FOUND', message: 'you have no such plan, or it is over' };
    }),
  );
}
