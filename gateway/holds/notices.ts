/** What is said beside cards, kept while Redis does not answer and sent in its order when it does. */
import { ZodError } from 'zod';
import type { CardJob } from '../../queue/cards.ts';
import type { CardPublisher } from '../../queue/carry.ts';
import type { Clock } from './clock.ts';

const RETRY_MS = 1_000;
const MOST_KEPT = 1_000; // a few hours of a busy gateway; the cards themselves are kept elsewhere
/** Out of touch for longer, a gateway has lost its lease and withdrawn its holds: nobody is rung for them any more. */
const RINGS_MS = 20_000;

export type KeepingDeps = {
  readonly clock: Clock;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
  /** No more are kept; beyond it the oldest is given up, and that is logged. */
  readonly mostKept?: number;
};

type Kept = { readonly job: CardJob; readonly id: string; readonly since: number };

/**
 * `publish` whose notices, replies and ends are not lost with Redis: for them `send` resolves also when they only wait here.
 * Cards and questions fail as before; whoever sends them tries again by themselves.
 */
export function keepingNotices(
  publish: CardPublisher,
  { clock, log, mostKept = MOST_KEPT }: KeepingDeps,
): CardPublisher {
  const kept: Kept[] = [];
  let givenUp = 0;
  let cancel: (() => void) | undefined;
  let sending: Promise<void> | undefined;

  const keep = (one: Kept) => {
    kept.push(one);
    if (kept.length > mostKept) {
      kept.shift();
      givenUp++;
    }
    if (!sending) cancel ??= clock.after(RETRY_MS, () => void flush());
  };
  const drain = async () => {
    for (let first = kept[0]; first; first = kept[0]) {
      try {
        await publish.send(asOf(first, clock.monotonic()), first.id);
      } catch (error) {
        if (!(error instanceof ZodError)) return; // still gone
      }
      if (kept[0] === first) kept.shift();
    }
    if (givenUp > 0) log('what follows cards was given up: Redis was away for too long', { notices: givenUp });
    givenUp = 0;
  };
  const flush = async () => {
    cancel?.();
    cancel = undefined;
    sending ??= drain();
    await sending;
    sending = undefined;
    if (kept.length > 0) cancel ??= clock.after(RETRY_MS, () => void flush());
  };

  return {
    send: async (job, id) => {
      if (job.kind !== 'notice' && job.kind !== 'reply' && job.kind !== 'over') return publish.send(job, id);
      const one = { job, id, since: clock.monotonic() };
      if (kept.length > 0) return keep(one); // behind those before it
      try {
        await publish.send(job, id);
      } catch (error) {
        if (error instanceof ZodError) throw error; // it never will be
        keep(one);
      }
    },
    close: async () => {
      if (kept.length > 0) await flush();
      cancel?.();
      cancel = undefined;
      const lost = kept.splice(0).length + givenUp;
      if (lost > 0) log('what follows cards was given up: Redis did not come back', { notices: lost });
      await publish.close();
    },
  };
}

/** As it is said that late. */
function asOf({ job, since }: Kept, now: number): CardJob {
  if (job.kind !== 'notice' || job.ring === undefined || now - since < RINGS_MS) return job;
  const { ring: _, ...quietly } = job;
  return quietly;
}
