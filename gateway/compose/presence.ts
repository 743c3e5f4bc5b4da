/** Is Redis there? Allowed operations outlive it for the grace, and no longer. */
import type { Redis } from 'ioredis';

const LOOK_MS = 1_000;

export type Presence = {
  /** Undefined while it answers, else how long it has not, in ms. */
  missingFor(): number | undefined;
  /** True from the grace's end until Redis answers again. */
  over(): boolean;
  stop(): void;
};

export type PresenceEvents = {
  readonly onMissing: (error: unknown) => void;
  /** Called once each time the grace has run out. */
  readonly onOver: () => void;
  /** Redis answers (again). */
  readonly onBack: () => void;
};

/** `redis` must fail at once while it is gone (see `connectCommands`); the times are monotonic. */
export function watchRedis(redis: Redis, graceMs: () => number, events: PresenceEvents): Presence {
  let missingSince: number | undefined;
  let over = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  const look = async () => {
    clearTimeout(timer);
    try {
      await redis.ping();
      if (stopped) return;
      if (missingSince !== undefined) {
        missingSince = undefined;
        over = false;
        events.onBack();
      }
    } catch (error) {
      if (stopped) return;
      if (missingSince === undefined) {
        missingSince = performance.now();
        events.onMissing(error);
      }
    }
    if (missingSince !== undefined && !over && performance.now() - missingSince >= graceMs()) {
      over = true;
      events.onOver();
    }
    clearTimeout(timer);
    timer = setTimeout(() => void look(), LOOK_MS);
  };
  const connected = () => void look(); // not a second late: people wait
  redis.on('ready', connected);
  timer = setTimeout(() => void look(), LOOK_MS);
  return {
    missingFor: () => (missingSince === undefined ? undefined : performance.now() - missingSince),
    over: () => over,
    stop: () => {
      stopped = true;
      redis.off('ready', connected);
      clearTimeout(timer);
    },
  };
}
