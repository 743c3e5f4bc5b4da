/** An admin on a page of one gateway ends a session of another: asked for in passing, and answered by its owner. */
import { setTimeout as after } from 'node:timers/promises';
import { z } from 'zod';
import { type ChannelDeps, openChannel } from './heard.ts';

const ANSWER_MS = 5_000;
const LOOK_MS = 50;
const KEPT_MS = 30_000;

const schema = z.strictObject({
  v: z.literal(1),
  id: z.string().max(64),
  at: z.number(),
  gateway: z.string().max(64),
  session: z.string().max(64),
  by: z.string().max(2_000),
  name: z.string().max(400),
  reason: z.string().max(400),
});
const answerSchema = z.strictObject({ v: z.literal(1), how: z.enum(['ended', 'gone', 'unrecorded']) });
const answerKey = (id: string) => `countersign:ended:${id}`;

/** `by`: `issuer#subject` of whoever wants it; `reason` is told to its client. */
export type EndWish = {
  readonly session: string;
  readonly by: string;
  readonly name: string;
  readonly reason: string;
};
/** `gone`: it is not there, or no longer. `unrecorded`: the trail could not be written, so it goes on. */
export type Ended = z.infer<typeof answerSchema>['how'];

export type EndRelay = {
  /** Undefined where that gateway does not answer: nobody knows whether it ended. Never rejects. */
  end(gateway: string, wish: EndWish): Promise<Ended | undefined>;
  stop(): void;
};

export function createEndRelay(
  deps: ChannelDeps & {
    readonly gateway: string;
    /** Of a session of this gateway. */
    readonly endOwn: (wish: EndWish) => Promise<Ended>;
    readonly answerMs?: number;
  },
): EndRelay {
  const { store, gateway: own, endOwn, log, answerMs = ANSWER_MS } = deps;
  const channel = openChannel(deps, {
    name: 'countersign:end-session',
    noun: 'request to end a session',
    schema,
    heard: ({ id, gateway, session, by, name, reason }) => {
      if (gateway !== own) return;
      endOwn({ session, by, name, reason })
        .then((how) => store.write(answerKey(id), { v: 1, how }, { ttlMs: KEPT_MS }))
        .catch((error) => log('how a session ended could not be told', { error: String(error) }));
    },
  });
  return {
    end: async (gateway, wish) => {
      if (gateway === own) return endOwn(wish);
      const until = performance.now() + answerMs;
      try {
        const id = await channel.say({ gateway, ...wish });
        while (performance.now() < until) {
          const answer = await store.read(answerKey(id), answerSchema);
          if (answer) return answer.how;
          await after(LOOK_MS, undefined, { ref: false });
        }
      } catch (error) {
        log('another gateway could not be asked to end a session', { error: String(error) });
      }
      return undefined;
    },
    stop: channel.stop,
  };
}
