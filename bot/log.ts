/** Logs as JSON by pino. No statements, reasons, tokens: what libraries say passes through here and is scrubbed. */
import { type Logger as BoltLogger, LogLevel } from '@slack/bolt';
import { type Logger, pino } from 'pino';
import { loggingTo, stdout } from '../queue/stdout.ts';

export const newLog = (level: string): Logger =>
  loggingTo(stdout, (out) => pino({ level, base: { part: 'bot' } }, out));

const MAX_MESSAGE = 500;
const scrub = (text: string): string =>
  text
    .slice(0, 10 * MAX_MESSAGE)
    .replace(/\b(?:xox[a-z]|xapp)-[\w-]+/g, '[token]')
    .replace(/\bwss?:\/\/\S+/g, '[socket]')
    .slice(0, MAX_MESSAGE);

/** Bolt's logger on top of ours. Debug lines, which carry whole payloads, are dropped. */
export function boltLogger(log: Logger): BoltLogger {
  const say = (parts: unknown[]) =>
    scrub(parts.map((part) => (part instanceof Error ? part.message : String(part))).join(' '));
  return {
    debug: () => {},
    info: (...parts) => log.info({ from: 'slack' }, say(parts)),
    warn: (...parts) => log.warn({ from: 'slack' }, say(parts)),
    error: (...parts) => log.error({ from: 'slack' }, say(parts)),
    setLevel: () => {},
    getLevel: () => LogLevel.INFO,
    setName: () => {},
  };
}
