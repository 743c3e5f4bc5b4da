/** How far a sink is behind, in entries and in seconds; and the line in the log when that becomes much. */
import { join } from 'node:path';
import type { SegmentName } from '../files.ts';
import type { Position } from './cursor.ts';
import { seqIn } from './tail.ts';

export type BehindState = { readonly entries: number; readonly seconds: number };

type BehindOptions = {
  readonly name: string;
  /** Where the trail is. */
  readonly dir: string;
  readonly log: Record<'info' | 'warn', (details: object, message: string) => void>;
};

const MEASURE_MS = 1_000;
/** Said once each while it lasts. */
const THRESHOLDS_S = [60, 600, 3_600, 6 * 3_600, 86_400, 7 * 86_400] as const;

export class Behind {
  readonly #options: BehindOptions;
  #entries = 0;
  /** When the oldest entry that waits was written, epoch ms. */
  #oldest: number | undefined;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #said = 0;

  constructor(options: BehindOptions) {
    this.#options = options;
  }

  state(): BehindState {
    const seconds = this.#oldest === undefined ? 0 : Math.max(0, (Date.now() - this.#oldest) / 1_000);
    return { entries: this.#entries, seconds };
  }

  /** The oldest entry that has to leave next was written then. */
  waiting(since: number): void {
    if (Number.isFinite(since)) this.#oldest = since;
  }

  caughtUp(): void {
    this.#oldest = undefined;
    this.#entries = 0;
    const { name, log } = this.#options;
    if (this.#said > 0) log.info({ sink: name }, 'a sink of the audit trail has caught up');
    this.#said = 0;
  }

  /** Looked up now and then: it reads the end of each chain's newest file. Never throws. */
  async measure(
    chains: ReadonlyMap<string, { readonly position: Position | undefined; readonly files: readonly SegmentName[] }>,
  ): Promise<void> {
    if (performance.now() - this.#measuredAt < MEASURE_MS) return;
    this.#measuredAt = performance.now();
    let entries = 0;
    for (const { position, files } of chains.values()) {
      const [first, newest] = [files[0], files.at(-1)];
      if (!first || !newest) continue;
      try {
        const last = (await seqIn(join(this.#options.dir, newest.file))) ?? 0;
        const from = position?.seq ?? ((await seqIn(join(this.#options.dir, first.file), true)) ?? 1) - 1;
        entries += Math.max(0, last - from);
      } catch {} // retention took it meanwhile
    }
    this.#entries = entries;
    const { seconds } = this.state();
    const passed = THRESHOLDS_S.filter((limit) => seconds >= limit).length;
    if (passed > this.#said) {
      this.#said = passed;
      const { name, log } = this.#options;
      log.warn({ sink: name, entries, seconds: Math.round(seconds) }, 'a sink of the audit trail is behind');
    }
  }
}
