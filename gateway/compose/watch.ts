/** Tells when a file's content has changed, however it was replaced: in place, by rename, through a symbolic link. */
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

const SETTLE_MS = 200; // editors write in several steps
const LOOK_MS = 5_000; // network file systems and mounted volumes tell nothing: look now and then

export type FileWatch = { close(): void };

/** Calls `onChange` once for each new content, from the one at the time of the call on. A missing file is no change. */
export function watchContent(path: string, first: string, onChange: () => void): FileWatch {
  let seen = digest(first);
  let settling: NodeJS.Timeout | undefined;
  let closed = false;

  const look = async () => {
    const now = await readFile(path, 'utf8').then(digest, () => seen);
    if (closed || now === seen) return;
    seen = now;
    onChange();
  };
  /** Events that come meanwhile are part of the same change: other files of the directory must not put it off. */
  const soon = () => {
    settling ??= setTimeout(() => {
      settling = undefined;
      void look();
    }, SETTLE_MS);
  };
  const looking = setInterval(() => void look(), LOOK_MS);
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
