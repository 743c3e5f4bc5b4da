/** Which version of the product this is. */
import { readFileSync } from 'node:fs';

/** package.json is one directory up from the source and two from what is compiled. */
export function version(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {}
  }
  return 'unknown';
}
