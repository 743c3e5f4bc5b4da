/** Where a command finds the gateway's web listener. */
import { isLoopback } from '../loopback.ts';
import { Misuse } from './command.ts';

/** What was given, else $COUNTERSIGN_URL, else this machine. @throws Misuse where a token could not be sent there safely */
export function webUrl(given: string | undefined): URL {
  const text = given ?? process.env.COUNTERSIGN_URL ?? 'http://127.0.0.1:18081';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw new Misuse(`--url: ${text} is no http or https address`);
  if (url.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
    throw new Misuse('--url: a token is sent over https, or to this machine');
  return url;
}
