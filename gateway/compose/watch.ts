/** Tells when a file's content has changed, however it was replaced: in place, by rename, through a symbolic link. */
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const SETTLE_MS = 200; // editors write in several steps
const MOST_LOOKS = 25; // at a file that changes all the time
const LOOK_MS = 5_000; // network file systems and mounted volumes tell nothing: look now and then

export type FileWatch = { close(): void };

/** Calls `onChange` once for each new content, from the one at the time of the call on. A missing file is no change. */
export function watchContent(path: string, first: string, onChange: () => void): FileWatch {
  let seen = digest(first);
  let settling: NodeJS.Timeout | undefined;
  let closed = false;

  const content = () => readFile(path, 'utf8').then(digest, () => seen);
  const changed = async () => {
    let now = await content();
    // Half of a file that is being written is no content; what is the same a moment later is.
    for (let before: string | undefined, looks = 0; now !== seen && now !== before && looks < MOST_LOOKS; looks++) {
      before = now;
      await delay(SETTLE_MS);
      now = await content();
    }
    if (closed || now === seen) return;
    seen = now;
    onChange();
  };
  /** One after the other: two that read at the same time would tell of one change twice. */
  let turn = Promise.resolve();
  const look = () => {
    turn = turn.then(changed);
  };
  /** Events that come meanwhile are part of the same change: other files of the directory must not put it off. */
  const soon = () => {
    settling ??= setTimeout(() => {
      settling = undefined;
      look();
    }, SETTLE_MS);
  };
  const looking = setInterval(look, LOOK_MS);
  looking.unref();
  const watcher = watchDirectory(dirname(path), soon);
  return {
    close: () => {
      closed = true;
      clearTimeout(settling);
      clearInterval(looking);
      watcher?.close();
    },
  };
}

/** The directory, since a file that is replaced takes its own watch with it. Undefined where the system has none left. */
function watchDirectory(directory: string, onEvent: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(directory, { persistent: false }, onEvent);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
