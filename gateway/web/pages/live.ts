/** A live session as a stream of events: what changed, drawn as its page draws it, until it ends or the viewer may not see it. */
import { setTimeout as after } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { maySee, type Recordings, type SessionSummary, type Viewer } from '../../recordings/shape.ts';
import { operation } from './operation.ts';
import { Timeline } from './timeline.ts';

const MOST_KEPT = 300; // operations whose later lines still find them
const TOGETHER_MS = 200; // what comes within is sent at once
const HEARTBEAT_MS = 15_000;
const LOOK_MS = 4_000; // whether the viewer may still see it: told within 10 s, slow answers included
const KNOWN_MS = 9_000;

export type Following = {
  readonly recordings: Pick<Recordings, 'follow'>;
  readonly summary: SessionSummary;
  /** Who they are now; undefined once they are nobody. */
  readonly again: () => Promise<{ readonly viewer: Viewer } | undefined>;
  readonly names: ReadonlyMap<string, string>;
  /** Lines that the viewer has already. */
  readonly seen: number;
  /** The gateway stops. */
  readonly signal: AbortSignal;
  readonly log: { warn(details: object, message: string): void };
  readonly lookMs?: number;
};

/** Takes over the answer; resolves when it is over. */
export async function follow(reply: FastifyReply, of: Following): Promise<void> {
  const { recordings, summary, names, seen, log } = of;
  const { session, startedAt } = summary;
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, of.signal]);
  const { raw } = reply.hijack();
  const headers = {
    ...reply.getHeaders(),
    'content-type': 'text/event-stream; charset=utf-8',
    'x-accel-buffering': 'no',
  };
  raw.writeHead(200, headers as Record<string, string>);
  raw.on('close', () => ending.abort());
  raw.on('error', () => ending.abort());
  raw.flushHeaders();

  /** Waits for a slow reader: meanwhile what changes is kept as what changed, once for each operation. */
  const send = async (text: string): Promise<void> => {
    if (signal.aborted || raw.destroyed || raw.write(text)) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        raw.off('drain', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      raw.once('drain', done);
      signal.addEventListener('abort', done, { once: true });
    });
  };
  const event = (name: string, data: unknown, line?: number) =>
    send(`${line === undefined ? '' : `id: ${line}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);

  const timeline = new Timeline();
  const changed = new Set<string>();
  const tell = async (): Promise<void> => {
    while (changed.size > 0 && !signal.aborted) {
      const upTo = timeline.lines;
      const ids = new Set(changed);
      changed.clear();
      for (const item of timeline.items) {
        if (!ids.delete(item.id)) continue;
        const drawn = operation(item, { session, startedAt, names, live: timeline.ended === undefined });
        await event('operation', { id: item.id, html: drawn.toString() });
      }
      if (ids.size > 0) await event('skipped', {}); // more came than is kept: they are in the recording
      await event('upto', {}, upTo);
      timeline.keep(MOST_KEPT);
    }
  };

  const guarding = guarded(of, () => {
    void event('gone', {}).finally(() => ending.abort());
  });
  const beating = setInterval(() => void send(': still here\n\n'), HEARTBEAT_MS);
  let telling: Promise<void> | undefined;
  try {
    for await (const line of recordings.follow(session, signal)) {
      if (signal.aborted) break;
      const item = timeline.take(line);
      if (timeline.size > MOST_KEPT * 2) timeline.keep(MOST_KEPT);
      if (!item || timeline.lines <= seen) continue;
      changed.add(item.id);
      telling ??= after(TOGETHER_MS, undefined, { signal })
        .then(tell, () => {})
        .finally(() => {
          telling = undefined;
        });
    }
    await telling;
    await tell();
    if (!signal.aborted) await event('ended', { reason: timeline.ended?.reason ?? '' });
  } catch (error) {
    if (!signal.aborted) log.warn({ reason: String(error) }, 'following a session ended'); // the browser asks again
  } finally {
    clearInterval(beating);
    guarding.stop();
    ending.abort();
    raw.end();
  }
}

/** Looks again and again whether the viewer may see it; where nobody can say so in time, they may not. */
function guarded({ again, summary, lookMs = LOOK_MS }: Following, lost: () => void): { stop(): void } {
  let known = performance.now();
  let asking = false;
  const timer = setInterval(() => {
    if (performance.now() - known > KNOWN_MS) {
      stop();
      lost();
    }
    if (asking) return;
    asking = true;
    again()
      .then((who) => who !== undefined && maySee(who.viewer, summary))
      .catch(() => false)
      .then((may) => {
        asking = false;
        if (may) known = performance.now();
        else {
          stop();
          lost();
        }
      });
  }, lookMs);
  const stop = () => clearInterval(timer);
  return { stop };
}
