/** Waiting with an end: timers that are cleared when nobody needs them any more. */

/** Resolves after `ms` or when `signal` aborts, whichever is first. */
export function paused(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** What `work` resolves to if it does so within `ms`, else undefined; `work` goes on. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  const enough = new AbortController();
  try {
    return await Promise.race([work, paused(ms, enough.signal).then(() => undefined)]);
  } finally {
    enough.abort();
  }
}
