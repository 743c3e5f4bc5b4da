/**
 * One way out: every entry of the directory's chains to one receiver, in order within each chain, at least once. The trail
 * itself is the spool. Runs beside the data path and never holds it up: what the receiver does not take waits on the disk.
 */
import { setTimeout as after } from 'node:timers/promises';
import type { AuditEntry } from '../entry.ts';
import { listSegments, type SegmentName } from '../files.ts';
import { Behind, type BehindState } from './behind.ts';
import { Claim, type ClaimTiming } from './claim.ts';
import { Cursor, leasePath, loadProgress, type Position } from './cursor.ts';
import { type Batch, Later, type Leaving, type Receiver, Refused } from './receiver.ts';
import { fits, type Stretch, Tail } from './tail.ts';

type Log = Record<'info' | 'warn' | 'error', (details: object, message: string) => void>;

export type SinkTiming = {
  /** How often somebody looks for new entries, and for new files. */
  readonly pollMs: number;
  readonly listMs: number;
  /** Between attempts: from the first to the second, doubling, give or take a quarter. */
  readonly backoffMs: readonly [least: number, most: number];
  /** While the receiver refuses, it is asked again so seldom. */
  readonly stuckMs: number;
  readonly claim?: ClaimTiming;
};

const TIMING: SinkTiming = {
  pollMs: 250,
  listMs: 2_000,
  backoffMs: [500, 60_000],
  stuckMs: 300_000, // somebody has to mend it; nobody wants to restart a gateway for it
};
const PAUSE_MS = 4; // between chunks of a backlog: half of the time at most is spent on it
const MOST_CHUNKS = 256; // then it is the next chain's turn, though nothing of this one was wanted
const SAID_AGAIN_MS = 300_000; // the same trouble, in the log

export type SinkOptions = {
  readonly name: string;
  /** Where the trail is. */
  readonly dir: string;
  readonly receiver: Receiver;
  /** Left out: all. */
  readonly kinds?: ReadonlySet<string> | undefined;
  /** Into this process' trail; never throws. */
  readonly note: (entry: AuditEntry) => void;
  readonly log: Log;
  readonly timing?: Partial<SinkTiming>;
};

export type SinkState = BehindState & { readonly delivered: number; readonly stuck: boolean };

/** A chain on its way. */
type Going = { readonly tail: Tail; position: Position | undefined; files: readonly SegmentName[] };

export class Sink {
  readonly name: string;
  readonly #options: SinkOptions;
  readonly #timing: SinkTiming;
  readonly #claim: Claim;
  readonly #stop = new AbortController();
  readonly #behind: Behind;
  #cursor: Cursor | undefined;
  #chains = new Map<string, Going>();
  #listedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #ending = false;
  #delivered = 0;
  #stuck: string | undefined;
  #forgetful = false;
  /** What is wrong now, and when the log heard of it last. */
  #trouble: { readonly reason: string; readonly saidAt: number } | undefined;

  constructor(options: SinkOptions) {
    this.name = options.name;
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    const { claim } = this.#timing;
    this.#claim = new Claim(leasePath(options.dir, options.name), claim ? { timing: claim } : {});
    this.#behind = new Behind(options);
  }

  /** Of the process that sends; undefined in the others. */
  state(): SinkState | undefined {
    if (!this.#claim.held) return undefined;
    return { ...this.#behind.state(), delivered: this.#delivered, stuck: this.#stuck !== undefined };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** What is there already is sent if the receiver takes it at once, for at most `ms`; the rest waits for the next process. */
  async stop(ms: number): Promise<void> {
    this.#ending = true;
    if (this.#trouble) this.#stop.abort();
    const late = setTimeout(() => this.#stop.abort(), ms);
    await this.#running;
    clearTimeout(late);
    await this.#options.receiver.close();
    await this.#claim.release();
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    await this.#claim.prepare();
    this.#claim.start();
    let standing = false;
    while (!this.#stop.signal.aborted) {
      const last = this.#ending;
      try {
        if (!this.#claim.held) await this.#claim.tick();
        if (!this.#claim.held && this.#claim.trouble !== undefined) throw new Error(this.#claim.trouble);
        const busy = await this.#round();
        if (standing) log.info({ sink: this.name }, 'a sink goes on');
        standing = false;
        if (busy) continue;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (!standing) log.error({ sink: this.name, reason: messageOf(error) }, 'a sink stands still');
        standing = true;
        this.#chains = new Map(); // read again from what was confirmed
        this.#listedAt = Number.NEGATIVE_INFINITY;
        if (last) return;
        await this.#pause(this.#timing.backoffMs[0] * 4);
      }
      if (last) return;
      await this.#pause(this.#timing.pollMs * (this.#claim.held ? 1 : 4));
    }
  }

  /** Each chain one batch further. False: there was nothing to do. */
  async #round(): Promise<boolean> {
    if (!this.#claim.held) {
      this.#cursor = undefined; // whoever sends now writes it
      this.#trouble = undefined;
      this.#stuck = undefined;
      return false;
    }
    this.#cursor ??= await this.#load();
    await this.#list(this.#cursor);
    await this.#behind.measure(this.#chains);
    let busy = false;
    for (const [chain, going] of [...this.#chains]) {
      if (this.#stop.signal.aborted || !this.#claim.held) return false;
      if (await this.#advance(this.#cursor, chain, going)) busy = true;
    }
    if (!busy) this.#behind.caughtUp();
    return busy;
  }

  /** One batch. False: nothing new. */
  async #advance(cursor: Cursor, chain: string, going: Going): Promise<boolean> {
    const { most } = this.#options.receiver;
    const entries: Leaving[] = [];
    let bytes = 0;
    let position: Position | undefined;
    let ended = false;
    // A chunk may hold more than the receiver takes at once: then it is sent in parts, and confirmed in parts.
    const send = async (): Promise<boolean> => {
      if (entries.length > 0 && !(await this.#deliver({ chain, entries: entries.splice(0) }))) return false;
      bytes = 0;
      if (position) await this.#remember(cursor, chain, position);
      going.position = position;
      return true;
    };
    for (let chunks = 1; ; chunks++) {
      const stretch = await going.tail.next(going.files);
      this.#missed(chain, stretch);
      for (const { line, text, end } of stretch.lines) {
        if (this.#wants(line.entry.kind)) {
          if (entries.length > 0 && (entries.length >= most.entries || bytes + text.length > most.bytes)) {
            if (!(await send())) return this.#stepBack(chain, going);
          }
          entries.push({ line, text });
          bytes += text.length + 1;
        }
        position = end;
      }
      ended ||= stretch.ended;
      const enough = entries.length >= most.entries / 2 || bytes >= most.bytes / 2 || chunks === MOST_CHUNKS;
      if (stretch.lines.length === 0 || enough) break;
      await after(PAUSE_MS);
    }
    if (!position) return false;
    if (!(await send())) return this.#stepBack(chain, going);
    if (ended) {
      await cursor.finish(chain);
      this.#chains.delete(chain);
      this.#listedAt = Number.NEGATIVE_INFINITY;
    }
    return true;
  }

  /** Where that cannot be written, it goes on: the next process sends again what this one has had confirmed. */
  async #remember(cursor: Cursor, chain: string, position: Position): Promise<void> {
    try {
      await cursor.advance(chain, position);
      this.#forgetful = false;
    } catch (error) {
      if (this.#forgetful) return;
      this.#forgetful = true;
      const reason = messageOf(error);
      this.#options.log.error({ sink: this.name, reason }, 'how far a sink has come cannot be recorded');
    }
  }

  /** Not confirmed: read again from where it had come to, by whoever goes on. */
  #stepBack(chain: string, { position, files }: Going): false {
    this.#chains.set(chain, { tail: new Tail(this.#options.dir, position), position, files });
    return false;
  }

  #wants(kind: unknown): boolean {
    return this.#options.kinds?.has(String(kind)) ?? true;
  }

  #missed(chain: string, { gaps }: Stretch): void {
    for (const { seq, next } of gaps) {
      this.#options.log.error(
        { sink: this.name, chain, seq, next },
        'entries were gone or unreadable before a sink had them',
      );
      this.#options.note({ kind: 'sink.missed', sink: this.name, chain, after: seq, next });
    }
  }

  /** Until the receiver has it. False: this process stops, or another one sends now. */
  async #deliver(batch: Batch): Promise<boolean> {
    const [least, most] = this.#timing.backoffMs;
    this.#behind.waiting(Date.parse(batch.entries[0]?.line.at ?? ''));
    for (let attempt = 0; !this.#stop.signal.aborted && this.#claim.held; attempt++) {
      try {
        await this.#options.receiver.deliver(batch, this.#stop.signal);
        this.#delivered += batch.entries.length;
        this.#working();
        return true;
      } catch (error) {
        if (this.#stop.signal.aborted) return false;
        const reason = messageOf(error);
        if (error instanceof Refused) this.#refused(reason, batch);
        else this.#failing(reason);
        if (this.#ending) this.#stop.abort();
        const doubled = Math.min(most, least * 2 ** Math.min(attempt, 20)) * (0.75 + Math.random() / 2);
        const asked = error instanceof Later ? error.afterMs : 0;
        await this.#pause(error instanceof Refused ? this.#timing.stuckMs : Math.max(doubled, asked));
        await this.#behind.measure(this.#chains);
      }
    }
    return false;
  }

  #refused(reason: string, { chain, entries }: Batch): void {
    const { log, note } = this.#options;
    if (this.#stuck === reason) return;
    const first = this.#stuck === undefined;
    this.#stuck = reason;
    this.#trouble = { reason, saidAt: performance.now() };
    const seq = entries[0]?.line.link.seq;
    log.error(
      { sink: this.name, reason, chain, seq },
      'a receiver refuses audit entries: nothing leaves for it until it takes them',
    );
    if (first) note({ kind: 'sink.stuck', sink: this.name, reason, chain, after: (seq ?? 1) - 1 });
  }

  #failing(reason: string): void {
    const now = performance.now();
    const known = this.#trouble?.reason === reason && now - this.#trouble.saidAt < SAID_AGAIN_MS;
    if (known) return;
    this.#trouble = { reason, saidAt: now };
    this.#options.log.warn({ sink: this.name, reason }, 'audit entries wait for a receiver');
  }

  #working(): void {
    if (this.#trouble) this.#options.log.info({ sink: this.name }, 'the receiver takes audit entries again');
    if (this.#stuck !== undefined) this.#options.note({ kind: 'sink.resumed', sink: this.name });
    this.#trouble = undefined;
    this.#stuck = undefined;
  }

  async #load(): Promise<Cursor> {
    const { dir, log, note } = this.#options;
    const { lost, ...progress } = await loadProgress(dir, this.name);
    const cursor = new Cursor(dir, this.name, progress);
    const whys = lost === undefined ? [] : [lost];
    for (const [chain, position] of progress.chains) {
      if (await fits(dir, position)) continue;
      whys.push(`entry ${position.seq} of ${chain} is not where it was confirmed`);
      progress.chains.delete(chain);
    }
    this.#chains = new Map();
    this.#listedAt = Number.NEGATIVE_INFINITY;
    await cursor.save();
    for (const why of whys) {
      log.warn({ sink: this.name, reason: why }, 'a sink starts with the oldest audit entries that are kept');
      note({ kind: 'sink.restarted', sink: this.name, why });
    }
    return cursor;
  }

  async #list(cursor: Cursor): Promise<void> {
    if (performance.now() - this.#listedAt < this.#timing.listMs && !this.#ending) return;
    this.#listedAt = performance.now();
    const { dir } = this.#options;
    const files = new Map<string, SegmentName[]>();
    for (const name of await listSegments(dir)) files.set(name.chain, [...(files.get(name.chain) ?? []), name]);
    await cursor.keepOnly(new Set(files.keys()));
    for (const chain of [...this.#chains.keys()]) if (!files.has(chain)) this.#chains.delete(chain);
    for (const [chain, of] of files) {
      const going = this.#chains.get(chain);
      if (going) going.files = of;
      else if (!cursor.progress.done.has(chain)) {
        const position = cursor.progress.chains.get(chain);
        this.#chains.set(chain, { tail: new Tail(dir, position), position, files: of });
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    const until = performance.now() + ms;
    while (!this.#stop.signal.aborted && !(this.#ending && !this.#trouble) && performance.now() < until) {
      await after(Math.min(50, Math.max(1, until - performance.now())));
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
