/** Logs as JSON by pino. No statements, parameters or tokens: what libraries say passes the detectors. */
import { type Logger, pino } from 'pino';
import { loggingTo, stdout } from '../../queue/stdout.ts';
import { maskText } from '../masking/detectors.ts';

const MAX_TEXT = 2_000; // characters: a library's message, not a payload

/** How rooms that know no logger say something. */
export type Say = (message: string, details?: Record<string, unknown>) => void;

/** `worker`: which of the gateway's processes speaks, where there are several. */
export const newLog = (gateway: string, worker?: number): Logger =>
  loggingTo(stdout, (out) =>
    pino(
      {
        level: process.env.LOG_LEVEL ?? 'info',
        base: { part: 'gateway', gateway, ...(worker === undefined ? {} : { worker }) },
      },
      out,
    ),
  );

/** Lines of this process's log that nobody could read. */
export const logLost = (): number => stdout.lost;

/** Tokens and secrets, and what looks like a person's data, taken out of a text. */
export const redact = (text: string): string => maskText(text).text;

export const sayTo =
  (log: Logger): Say =>
  (message, details = {}) =>
    log.warn(
      Object.fromEntries(
        Object.entries(details).map(([key, value]) => [key, typeof value === 'string' ? brief(value) : value]),
      ),
      brief(message),
    );

/** An error as it may stand in a log: its kind, its own words without what is sensitive, and where it came from. */
export function described(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { error: brief(String(error)) };
  const code = 'code' in error ? { code: String(error.code) } : {};
  const cause = error.cause === undefined ? {} : { cause: described(error.cause) };
  return { error: brief(error.message), name: error.name, ...code, ...cause };
}

const brief = (text: string): string => redact(text.slice(0, MAX_TEXT));
