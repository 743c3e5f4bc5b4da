/** What one process of a gateway shares with the others behind the same address; alone, everything is its own. */
import type { Listen, Places } from '../listeners/listener.ts';
import { AddressLimiter, type Limiter, type Rate } from '../web/limiter.ts';
import type { MetricsAsJson } from '../web/metrics.ts';

/** What the others may ask of this one. */
export type Answers = {
  /** What keeps it from being ready, by part. */
  readonly troubles: () => Promise<Record<string, string>>;
  readonly metrics: () => Promise<MetricsAsJson>;
  /** Is this the key of a session here? */
  readonly ownsCancelKey: (pid: number) => boolean;
  readonly cancel: (pid: number, secret: Buffer) => Promise<unknown>;
  /** That process has ended, for certain: whatever it held in Redis is nobody's. */
  readonly bury: (gateway: string) => Promise<unknown>;
};

export type Crew = {
  /** How many processes there are, and which of them this is, from 1. */
  readonly size: number;
  readonly number: number;
  /** Takes the connections of one address that another process listens at; undefined where this one does itself. */
  readonly listen: (door: string) => Listen | undefined;
  /** Counts that hold for all of them together; undefined where this process' own are all. */
  readonly places: Places | undefined;
  /** A pace that holds for all of them together. */
  readonly limiter: (name: string, rate: Rate) => Limiter;
  /** Withdraws what a session of another process waits for; false when none of them has that key. */
  readonly cancel: (pid: number, secret: Buffer) => Promise<boolean>;
  readonly troubles: () => Promise<Record<string, string>>;
  /** Of all the others, who in turn see what this one counts. */
  readonly metrics: (mine: MetricsAsJson) => Promise<readonly MetricsAsJson[]>;
  /** From now on this process answers the others. */
  readonly serve: (answers: Answers) => void;
};

export const alone: Crew = {
  size: 1,
  number: 1,
  listen: () => undefined,
  places: undefined,
  limiter: (_name, rate) => new AddressLimiter(rate),
  cancel: async () => false,
  troubles: async () => ({}),
  metrics: async () => [],
  serve: () => {},
};

/** This process' part of a limit that only protects its memory: split, so that together they are what they were. */
export const shareOf = (limit: number, { size }: Pick<Crew, 'size'>): number => Math.max(1, Math.floor(limit / size));
