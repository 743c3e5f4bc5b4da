/** The ways out of this process' trail, as configured; and what of it must stay on disk until they have it. */
import type { Logger } from 'pino';
import type { Link } from '../audit/chain.ts';
import type { AuditEntry } from '../audit/entry.ts';
import type { SegmentName } from '../audit/files.ts';
import { has, loadProgress } from '../audit/out/cursor.ts';
import type { Receiver } from '../audit/out/receiver.ts';
import { kindsOf } from '../audit/out/select.ts';
import { Sink, type SinkState } from '../audit/out/sink.ts';
import { SyslogReceiver } from '../audit/out/syslog.ts';
import { WebhookReceiver } from '../audit/out/webhook.ts';
import type { Config } from '../config.ts';

type SinkConfig = Config['audit']['sinks'][number];

const LAST_WORDS_MS = 2_000; // for the end of the trail, where the receiver takes it; the rest waits for the next process

export type Sinks = {
  /** Of those that this process sends to. */
  readonly states: () => Iterable<readonly [sink: string, state: SinkState]>;
  stop(): Promise<void>;
};

/** `note` never throws. */
export function startSinks(
  { dir, sinks: configured }: Config['audit'],
  { note, log }: { readonly note: (entry: AuditEntry) => void; readonly log: Logger },
): Sinks {
  const sinks = configured.map((one) => {
    const kinds = one.kinds && kindsOf(one.kinds);
    return new Sink({ name: one.name, dir, receiver: receiverOf(one), kinds, note, log });
  });
  for (const sink of sinks) sink.start();
  return {
    states: function* () {
      for (const sink of sinks) {
        const state = sink.state();
        if (state) yield [sink.name, state];
      }
    },
    stop: async () => {
      await Promise.all(sinks.map((sink) => sink.stop(LAST_WORDS_MS)));
    },
  };
}

function receiverOf({ syslog, webhook }: SinkConfig): Receiver {
  if (syslog) {
    const { address, facility, tls } = syslog;
    return new SyslogReceiver({ ...address, facility, tls: { ...tls, key: tls.key?.reveal() } });
  }
  if (!webhook) throw new Error('a sink without a receiver'); // its schema has asked for one
  const { url, secret, timeoutMs, tls, batch } = webhook;
  return new WebhookReceiver({ url: url.reveal(), secret, timeoutMs, ca: tls?.ca, ...batch });
}

/**
 * Asked before an old file is removed: which sinks have not had all of it and keep it there, and which are so far behind
 * that it goes all the same (`max_behind`).
 */
export function waitingFor({ dir, sinks }: Pick<Config['audit'], 'dir' | 'sinks'>) {
  return async (name: SegmentName, end: Link | undefined, ageMs: number) => {
    const keep: string[] = [];
    const missed: string[] = [];
    for (const sink of sinks) {
      if (has(await loadProgress(dir, sink.name), name, end)) continue;
      const givenUp = sink.maxBehindMs !== undefined && ageMs >= sink.maxBehindMs;
      (givenUp ? missed : keep).push(sink.name);
    }
    return { keep, missed };
  };
}
