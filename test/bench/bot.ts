/** A bot without a Slack: answers what a gateway asks about people, sees the cards, and clicks when told. */
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { Redis } from 'ioredis';
import type { Card, CardJob } from '../../queue/cards.ts';
import { consumeCards, votePublisher } from '../../queue/carry.ts';
import { connectCommands, connected, openQueue, VOTE_JOB_MS } from '../../queue/connection.ts';
import { signingKey, verifyingKey } from '../../queue/sign.ts';
import { type Attestation, votesQueue } from '../../queue/votes.ts';
import type { Ground } from './gateway.ts';

const TEAM = 'T0BENCH';
const GROUP = { id: 'S0DBA', members: ['U0ALICE', 'U0CAROL'] };
const WAIT_MS = 20_000;

export type BenchBot = {
  readonly redis: Redis;
  /** The next card in this state that was not asked for before; once the gateway knows who may not vote on it. */
  card(state: 'open' | 'done'): Promise<Card>;
  /** Alice approves. Resolves with the time (`performance.now()`) just before the vote was enqueued. */
  approve(card: Card): Promise<number>;
  stop(): Promise<void>;
};

export async function startBot({ world, keys }: Ground): Promise<BenchBot> {
  const redis = connectCommands(world.redis.url, () => {});
  await connected(redis, WAIT_MS);
  const trusted = () => [verifyingKey(keys.public)];
  const key = signingKey(world.botKey.secret);
  const votes = votePublisher({ redis, url: world.redis.url, key, gatewayKeys: trusted, onTrouble: () => {} });
  const news = new EventEmitter();
  const attested = new Set<string>();
  const cards = new Map<string, Card>();

  /** The gateway has worked off this message: what follows finds it taken in. */
  const taken = async (gateway: string, jobId: string) => {
    const queue = openQueue(votesQueue(gateway), redis, { jobMs: VOTE_JOB_MS });
    try {
      while (!(await queue.use((opened) => opened.getJob(jobId)))?.finishedOn) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      await queue.close();
    }
  };
  const handle = async (job: CardJob): Promise<void> => {
    switch (job.kind) {
      case 'card':
        cards.set(`${job.card.state} ${job.card.hold}`, job.card);
        break;
      case 'directory':
        await votes.send(job.gateway, directory(job), `directory-${job.id}`);
        break;
      case 'attest': {
        const people = job.users.map(attestation);
        const id = `attested-${job.id}`;
        await votes.send(job.gateway, { kind: 'attestation', v: 1, id: job.id, hold: job.hold, people }, id);
        await taken(job.gateway, id);
        attested.add(job.hold);
        break;
      }
      case 'reply':
      case 'notice':
      case 'forget':
        break;
    }
    news.emit('job');
  };
  const consumer = consumeCards({
    url: world.redis.url,
    keys: trusted,
    concurrency: 20,
    handle,
    onForged: (why) => console.error(`the bot of the benchmark got a forged card: ${why}`),
    onTrouble: () => {},
  });
  return {
    redis,
    card: async (state) => {
      const signal = AbortSignal.timeout(WAIT_MS);
      for (;;) {
        for (const [name, card] of cards) {
          if (card.state !== state || (state === 'open' && !attested.has(card.hold))) continue;
          cards.delete(name);
          return card;
        }
        await once(news, 'job', { signal });
      }
    },
    approve: async (card) => {
      const { hold, digest, revision, channel } = card;
      const id = `click-${randomUUID()}`;
      const voter = attestation('U0ALICE');
      const at = performance.now();
      const clickedAt = Date.now();
      const vote = {
        kind: 'vote',
        v: 1,
        id,
        hold,
        digest,
        revision,
        decision: 'approve',
        voter,
        clickedAt,
        channel,
      } as const;
      await votes.send(card.gateway, vote, id);
      return at;
    },
    stop: async () => {
      await consumer.close();
      await votes.close();
      redis.disconnect();
    },
  };
}

const attestation = (user: string): Attestation => ({
  team: TEAM,
  user,
  name: user,
  email: `${user.toLowerCase()}@example.com`,
  emailConfirmed: true,
  deleted: false,
  bot: false,
  guest: false,
  stranger: false,
  invited: false,
  groups: GROUP.members.includes(user) ? [{ id: GROUP.id, handle: 'dba-oncall', readAt: Date.now() }] : [],
  readAt: Date.now(),
  unknown: [],
});

const directory = ({ id, names }: Extract<CardJob, { kind: 'directory' }>) => ({
  kind: 'directory' as const,
  v: 1 as const,
  id,
  team: TEAM,
  groups: names.map((name) => ({ name, ...GROUP, handle: name.slice(1), readAt: Date.now() })),
  missing: [],
  unreadable: [],
  at: Date.now(),
});
