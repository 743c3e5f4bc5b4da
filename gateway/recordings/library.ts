/** All recordings as pages, exports and commands read them: those that go on here, and those on the shelf. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { GatewayError } from '../errors.ts';
import { principalKey } from '../operation.ts';
import type { WrappingKey } from './keys.ts';
import { readRecording } from './read.ts';
import type { Recorder } from './recorder.ts';
import type { Reel } from './reel.ts';
import {
  type Found,
  goesOn,
  type RecordedEvent,
  type RecordedHead,
  type Recordings,
  type Search,
  type SessionSummary,
} from './shape.ts';

const MOST_BEHIND = 8 << 20; // characters that whoever follows may be behind

/** Where finished recordings are, and what is known of all. */
export type Shelf = Pick<Recordings, 'search' | 'find' | 'onChange'> & {
  /** The bytes of its file. @throws GatewayError RECORDING | UNAVAILABLE */
  open(summary: SessionSummary): AsyncIterable<Buffer>;
  /** Is its file where this process reads files? */
  has(summary: SessionSummary): Promise<boolean>;
  /** Those bytes as another process writes them, until its session ends or `signal` is aborted. @throws as `open` */
  growing(summary: SessionSummary, signal: AbortSignal): AsyncIterable<Buffer>;
};

export type LibraryDeps = {
  readonly recorder: Pick<Recorder, 'live' | 'written' | 'listen'>;
  readonly shelf: Shelf;
  readonly keys: readonly WrappingKey[];
};

type Line = RecordedHead | RecordedEvent;

export class Library implements Recordings {
  readonly #deps: LibraryDeps;

  constructor(deps: LibraryDeps) {
    this.#deps = deps;
  }

  search(query: Search, visible: (summary: SessionSummary) => boolean): Found {
    const { sessions, more } = this.#deps.shelf.search(query, visible);
    return { sessions: sessions.map((summary) => this.#deps.recorder.live(summary.session)?.summary ?? summary), more };
  }

  find(session: string): SessionSummary | undefined {
    return this.#deps.recorder.live(session)?.summary ?? this.#deps.shelf.find(session);
  }

  onChange(listener: () => void): () => void {
    return this.#deps.shelf.onChange(listener);
  }

  async *read(session: string): AsyncGenerator<Line> {
    const reel = this.#deps.recorder.live(session);
    if (reel) await this.#deps.recorder.written();
    yield* this.#lines(session, reel);
  }

  async canFollow(session: string): Promise<boolean> {
    const { recorder, shelf } = this.#deps;
    const reel = recorder.live(session);
    if (reel) return !reel.ended;
    const summary = shelf.find(session);
    return summary !== undefined && goesOn(summary) && (await shelf.has(summary));
  }

  async *follow(session: string, signal: AbortSignal): AsyncGenerator<Line> {
    const { recorder, shelf, keys } = this.#deps;
    const reel = recorder.live(session);
    if (!reel && (await this.canFollow(session))) {
      const summary = shelf.find(session)!;
      yield* ofOwner(readRecording(shelf.growing(summary, signal), { keys }), summary);
      return;
    }
    if (!reel || reel.ended) {
      yield* this.read(session);
      return;
    }
    const news = new News();
    const stop = () => news.hear('');
    signal.addEventListener('abort', stop, { once: true });
    try {
      let before = await recorder.listen(reel, news.hear);
      for await (const line of this.#lines(session, reel)) {
        if (signal.aborted) return;
        yield line;
        if (line.kind !== 'session' && --before === 0) break;
        if (before === 0) break;
      }
      for (let text = await news.next(); text !== '' && !signal.aborted; text = await news.next()) {
        for (const line of text.split('\n')) if (line !== '') yield JSON.parse(line) as Line;
      }
    } finally {
      signal.removeEventListener('abort', stop);
      reel.listeners.delete(news.hear);
    }
  }

  #lines(session: string, reel: Reel | undefined): AsyncGenerator<Line> {
    const { shelf, keys } = this.#deps;
    if (reel) return readRecording(createReadStream(reel.place.path), { keys });
    const summary = shelf.find(session);
    if (!summary) throw new GatewayError('RECORDING', 'nothing is known of a session of that id');
    const { sha256 } = summary;
    const bytes = sha256 === undefined ? shelf.open(summary) : asSealed(shelf.open(summary), sha256);
    return ofOwner(readRecording(bytes, { keys }), summary);
  }
}

/**
 * Whoever reads to the end knows that these are the bytes that were sealed. What no tag authenticates, because a crash or
 * somebody took it away, is only believed at the end, and so not before this. @throws GatewayError RECORDING at the end
 */
async function* asSealed(bytes: AsyncIterable<Buffer>, sha256: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const chunk of bytes) {
    hash.update(chunk);
    yield chunk;
  }
  if (hash.digest('hex') !== sha256) throw new GatewayError('RECORDING', 'the recording is not as it was sealed');
}

/** Who may see it was judged by its summary: that has to say whose it is. @throws GatewayError RECORDING where it does not */
async function* ofOwner(lines: AsyncGenerator<Line>, summary: SessionSummary): AsyncGenerator<Line> {
  for await (const line of lines) {
    if (line.kind === 'session') {
      const { session, principal } = line as RecordedHead;
      const same =
        session === summary.session &&
        principalKey(principal) === summary.principal &&
        principal.sponsor === summary.sponsor;
      if (!same) throw new GatewayError('RECORDING', 'the recording is of another session than its summary says');
    }
    yield line;
  }
}

/** What comes while nobody takes it, up to a bound. */
class News {
  #texts: string[] = [];
  #size = 0;
  #wake: (() => void) | undefined;

  readonly hear = (text: string): void => {
    this.#size += text.length;
    if (this.#size > MOST_BEHIND) this.#texts = [];
    else this.#texts.push(text);
    this.#wake?.();
  };

  /** Empty: that was all. @throws GatewayError LIMIT for whoever reads too slowly */
  async next(): Promise<string> {
    while (this.#texts.length === 0 && this.#size <= MOST_BEHIND) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#size > MOST_BEHIND) throw new GatewayError('LIMIT', 'too much happened in the meantime; open it again');
    const text = this.#texts.shift() ?? '';
    this.#size -= text.length;
    return text;
  }
}
