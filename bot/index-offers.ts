/** Where each `/gate` line is offered, and what gateways said of its end. In Redis; trusts only what gateways sealed. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { CARDS_QUEUE, type CardJob, cardJobSchema, type Offer } from '../queue/cards.ts';
import { type Envelope, unseal, type VerifyingKey } from '../queue/sign.ts';

const KEEP_S = 7 * 86_400; // as long as cards are remembered
const ENDING = 'countersign:bot:offers:ending';
const hashed = (line: string): string => createHash('sha256').update(line).digest('hex');
const endKey = (line: string): string => `countersign:bot:offers:end:${hashed(line)}`;
const placesKey = (line: string): string => `countersign:bot:offers:at:${hashed(line)}`;

type Notice = Extract<CardJob, { kind: 'notice' }>;
/** A message with a button of that line: a card, or a notice that a gateway sealed. */
export type OfferPlace =
  | { readonly kind: 'card'; readonly hold: string }
  | { readonly kind: 'notice'; readonly channel: string; readonly ts: string; readonly job: Notice };

const placeSchema = z.union([
  z.strictObject({ hold: z.uuid() }),
  z.strictObject({
    channel: z.string().max(64),
    ts: z.string().regex(/^\d{1,16}\.\d{1,10}$/),
    envelope: z.unknown(),
  }),
]);

export class OfferIndex {
  readonly #redis: Redis;
  readonly #keys: readonly VerifyingKey[];
  readonly #now: () => number;

  constructor(redis: Redis, keys: readonly VerifyingKey[], now: () => number) {
    this.#redis = redis;
    this.#keys = keys;
    this.#now = now;
  }

  /** What a line was offered for is over, as this job says; what was said first stays. */
  async end(line: string, envelope: Envelope): Promise<void> {
    await this.#redis.set(endKey(line), sealed(envelope), 'EX', KEEP_S, 'NX');
  }

  /** Of these the ones that are over, each with what is to be said of it. */
  async ended(offers: readonly Offer[] | undefined): Promise<ReadonlyMap<string, string>> {
    const over = new Map<string, string>();
    if (!offers || offers.length === 0) return over;
    const said = await this.#redis.mget(offers.map(({ line }) => endKey(line)));
    for (const [at, { line, ends }] of offers.entries()) {
      const job = this.#opened(said[at]);
      if (job?.kind === 'over' && job.line === line) over.set(line, job.text);
      else if (ends && ends.at <= this.#now()) over.set(line, ends.text);
    }
    return over;
  }

  /** It is offered on that card. */
  async onCard(offer: Offer, hold: string): Promise<void> {
    await this.#hangs(offer, `card-${hold}`, { hold });
  }

  /** It is offered by that notice. */
  async onNotice(offer: Offer, at: { channel: string; ts: string }, envelope: Envelope): Promise<void> {
    await this.#hangs(offer, `${at.channel}-${at.ts}`, { ...at, envelope: JSON.parse(sealed(envelope)) });
  }

  /** Every message that offers it, by name. */
  async places(line: string): Promise<ReadonlyMap<string, OfferPlace>> {
    const all = Object.entries(await this.#redis.hgetall(placesKey(line)));
    return new Map(all.flatMap(([name, raw]) => this.#place(raw).map((place) => [name, place] as const)));
  }

  /** It is not offered there any more. */
  async leave(line: string, name: string): Promise<void> {
    await this.#redis.hdel(placesKey(line), name);
  }

  /** Lines that have ended by themselves and are not dealt with. */
  async due(max: number): Promise<string[]> {
    return this.#redis.zrangebyscore(ENDING, '-inf', this.#now(), 'LIMIT', 0, max);
  }

  async done(line: string): Promise<void> {
    await this.#redis.zrem(ENDING, line);
  }

  async #hangs({ line, ends }: Offer, name: string, place: z.infer<typeof placeSchema>): Promise<void> {
    await this.#redis.hset(placesKey(line), name, JSON.stringify(place));
    await this.#redis.expire(placesKey(line), KEEP_S);
    if (ends) await this.#redis.zadd(ENDING, ends.at, line);
  }

  #place(raw: string): OfferPlace[] {
    const parsed = placeSchema.safeParse(parse(raw));
    if (!parsed.success) return [];
    if ('hold' in parsed.data) return [{ kind: 'card', hold: parsed.data.hold }];
    const { channel, ts, envelope } = parsed.data;
    const job = this.#opened(JSON.stringify(envelope));
    return job?.kind === 'notice' ? [{ kind: 'notice', channel, ts, job }] : [];
  }

  #opened(raw: string | null | undefined): CardJob | undefined {
    const opened = raw == null ? undefined : unseal(parse(raw), CARDS_QUEUE, this.#keys);
    const job = cardJobSchema.safeParse(opened?.payload);
    return job.success ? job.data : undefined;
  }
}

const sealed = ({ by, body, sig }: Envelope): string => JSON.stringify({ by, body, sig });

function parse(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}
