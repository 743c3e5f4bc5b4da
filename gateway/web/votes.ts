/** Deciding without Slack: what waits for whoever shows a token, whole, and their vote on exactly that. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Card } from '../../queue/cards.ts';
import { asGatewayError } from '../errors.ts';
import { bodyIn } from './body.ts';
import type { Door } from './door.ts';

export type Voter = {
  readonly issuer: string;
  readonly subject: string;
  readonly name: string;
  readonly email?: string;
  /** When the token ends, epoch ms, and by what it can be revoked. */
  readonly endsAt: number;
  readonly jti?: string | undefined;
  readonly hash?: string | undefined;
};

const decisionSchema = z.strictObject({
  hold: z.uuid(),
  /** What was on the screen: a vote counts for nothing else. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  revision: z.number().int().min(1),
  decision: z.enum(['approve', 'deny']),
  reason: z.string().max(1_000).optional(),
});
export type Decision = z.infer<typeof decisionSchema>;
export type Decided = { readonly counted: boolean; readonly text: string };

export type Waiting = {
  readonly holds: readonly Card[];
  /** Names of those whom the cards call by their Slack ids, as far as they are known here. */
  readonly people: Readonly<Record<string, string>>;
};

export type TerminalDoor = {
  /** What waits and this person may see, oldest first. @throws GatewayError UNAVAILABLE */
  list(voter: Voter): Promise<Waiting>;
  /** @throws GatewayError UNAVAILABLE */
  decide(voter: Voter, decision: Decision): Promise<Decided>;
};

export type VotesOptions = {
  /** Who shows this JWT or gateway token. @throws GatewayError AUTH | UNAVAILABLE */
  readonly whoIs: (token: string) => Promise<Voter>;
  readonly terminal: TerminalDoor;
  readonly door: Door;
};

const MAX_BODY_BYTES = 8 * 1024;

/** `app` is a scope of its own: here a body is read. */
export function votes(app: FastifyInstance, { whoIs, terminal, door }: VotesOptions): void {
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: MAX_BODY_BYTES },
    (_request, body, done) => done(null, body),
  );
  const answering =
    (answer: (voter: Voter, request: FastifyRequest) => Promise<unknown>) =>
    async (request: FastifyRequest, reply: FastifyReply) => {
      try {
        return reply.send(await answer(await whoIs(await door.bearer(request)), request));
      } catch (thrown) {
        return door.refuse(request, reply, asGatewayError(thrown));
      }
    };
  const list = answering((voter) => terminal.list(voter));
  const decide = answering((voter, { body }) => terminal.decide(voter, bodyIn(body, decisionSchema, 'the vote')));
  app.get('/v1/holds', list);
  app.post('/v1/votes', decide);
}
