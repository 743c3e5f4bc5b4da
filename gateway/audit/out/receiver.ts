/** What a sink sends entries to: the contract that syslog and webhook both keep. */
import type { Line } from '../chain.ts';

/** An entry on its way out: its line as it stands in the trail, without the line feed. */
export type Leaving = { readonly line: Line; readonly text: string };

/** At least one entry, all of one chain, in its order. */
export type Batch = { readonly chain: string; readonly entries: readonly Leaving[] };

export type Receiver = {
  /** The most it takes at once. */
  readonly most: { readonly entries: number; readonly bytes: number };
  /**
   * Resolves once it has all of them, as far as its protocol can tell.
   * @throws Refused where sending them again changes nothing; Later where it names a time; any Error: try again
   */
  deliver(batch: Batch, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

/** It will not take this, however often it is sent: somebody has to mend something first. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** It asks to be left alone for a while. */
export class Later extends Error {
  override readonly name = 'Later';
  readonly afterMs: number;

  constructor(message: string, afterMs: number) {
    super(message);
    this.afterMs = afterMs;
  }
}

export const keyOf = ({ chain, entries }: Batch): string =>
  `${chain}:${entries[0]?.line.link.seq}-${entries.at(-1)?.line.link.seq}`;
