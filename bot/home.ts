/** App Home: published when somebody opens it, and anew while it may be looked at and something changes. */
import { createHash, randomUUID } from 'node:crypto';
import type { App } from '@slack/bolt';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { GateCaller } from './gate-ask.ts';
import { type HomeView, homeView } from './home-view.ts';
import { refusal, type Slack, SlackError } from './slack.ts';

/** User → epoch ms at which they opened it last. */
const VIEWERS = 'countersign:bot:home:viewers';
/** User → epoch ms at which it is published anew. */
const DUE = 'countersign:bot:home:due';
/** User → hash and digest of what Slack shows. */
const SHOWN = 'countersign:bot:home:shown';
const LOOKED_AT_MS = 3_600_000;
const EACH_MS = 3_000; // at most one a person
const SETTLE_MS = 1_000; // a card that comes now has a link in a moment, and rarely comes alone
const SLOT_MS = 650; // views.publish is tier 4, some hundred a minute for all people and bots together
const MOST_VIEWERS = 5_000;

const openedSchema = z.object({ user: z.string().regex(/^[UW][A-Z0-9]{2,30}$/), tab: z.literal('home') });
const shownSchema = z.object({ hash: z.string().max(200), digest: z.string().max(64) });
const publishedSchema = z.object({ view: z.object({ hash: z.string().max(200) }) });

export type HomeOptions = {
  readonly redis: Redis;
  readonly gate: Pick<GateCaller, 'ask'>;
  readonly slack: Slack;
  readonly team: string;
  readonly log: Logger;
  readonly now?: () => number;
};

export class Home {
  readonly #it: HomeOptions;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  #working: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(options: HomeOptions) {
    this.#it = options;
    this.#now = options.now ?? Date.now;
    this.#timer = setInterval(() => this.#look(), SLOT_MS);
  }

  register(app: App): void {
    app.event('app_home_opened', async ({ event }) => this.opened(event));
  }

  /** Slack's event; that of the Messages tab is none of ours. */
  async opened(event: unknown): Promise<void> {
    const { data } = openedSchema.safeParse(event);
    if (!data) return;
    const { redis } = this.#it;
    const now = this.#now();
    await redis.zadd(VIEWERS, now, data.user);
    await redis.zremrangebyscore(VIEWERS, '-inf', now - LOOKED_AT_MS);
    await redis.zremrangebyrank(VIEWERS, 0, -MOST_VIEWERS - 1);
    await redis.zadd(DUE, 0, data.user); // before all who only might be looking
    this.#look();
  }

  /** Something that somebody's Home may show is different now. Never rejects. */
  async changed(): Promise<void> {
    try {
      const { redis } = this.#it;
      const now = this.#now();
      const viewers = await redis.zrangebyscore(VIEWERS, now - LOOKED_AT_MS, '+inf');
      if (viewers.length > 0) await redis.zadd(DUE, 'NX', ...viewers.flatMap((user) => [now + SETTLE_MS, user]));
    } catch (error) {
      this.#it.log.warn({ error: String(error) }, 'App Homes are not told of a change');
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#working;
  }

  #look(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#working = this.#next()
      .catch((error: unknown) => this.#it.log.warn({ error: String(error) }, 'an App Home was not published'))
      .finally(() => {
        this.#busy = false;
      });
  }

  /** One person's, where this bot's turn has come. */
  async #next(): Promise<void> {
    const { redis } = this.#it;
    for (const user of await redis.zrangebyscore(DUE, '-inf', this.#now(), 'LIMIT', 0, 50)) {
      if ((await redis.exists(turn(user))) === 1) continue;
      if (!(await this.#first('slot', SLOT_MS)) || !(await this.#first(user, EACH_MS))) return;
      await redis.zrem(DUE, user); // before it is read: what changes from now on makes it due again
      await this.#publish(user);
      return;
    }
  }

  async #first(name: string, ms: number): Promise<boolean> {
    return (await this.#it.redis.set(turn(name), '1', 'PX', ms, 'NX')) === 'OK';
  }

  async #publish(user: string): Promise<void> {
    const { gate, slack, team, redis, log } = this.#it;
    const by = { id: `home-${randomUUID()}`, user, team, channel: '', at: this.#now() };
    const view = homeView(await gate.ask({ do: 'home' }, by));
    const digest = digestOf(view);
    const shown = shownOf(await redis.hget(SHOWN, user));
    if (shown?.digest === digest) return;
    try {
      const published = await slack.call('views.publish', {
        user_id: user,
        view,
        ...(shown && { hash: shown.hash }),
      });
      const { data } = publishedSchema.safeParse(published);
      if (data) await redis.hset(SHOWN, user, JSON.stringify({ hash: data.view.hash, digest }));
    } catch (error) {
      const code = refusal(error);
      // Somebody else published meanwhile, or nobody knows: the next one is read and written afresh.
      await redis.hdel(SHOWN, user);
      if (code !== undefined && code !== 'hash_conflict') {
        await redis.zrem(VIEWERS, user);
        return log.warn({ user, code }, 'Slack takes no App Home of this person');
      }
      const limited = error instanceof SlackError && error.problem.kind === 'limited' ? error.problem.retryMs : EACH_MS;
      await redis.zadd(DUE, this.#now() + limited, user);
    }
  }
}

const turn = (name: string): string => `countersign:bot:home:turn:${name}`;
const digestOf = (view: HomeView): string => createHash('sha256').update(JSON.stringify(view)).digest('hex');

function shownOf(raw: string | null): z.infer<typeof shownSchema> | undefined {
  try {
    return raw === null ? undefined : shownSchema.safeParse(JSON.parse(raw)).data;
  } catch {
    return undefined;
  }
}
