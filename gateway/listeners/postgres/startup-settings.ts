/** Which settings a client may bring along in its start-up packet; everything else is refused by name. Pure. */
import { GatewayError } from '../../errors.ts';

/** Harmless: how values look, how long to wait, what the session is called. None changes what a statement means. */
const ALLOWED = [
  'application_name',
  'DateStyle',
  'IntervalStyle',
  'TimeZone',
  'bytea_output',
  'client_min_messages',
  'default_transaction_deferrable',
  'default_transaction_isolation',
  'default_transaction_read_only',
  'extra_float_digits',
  'geqo',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'jit',
  'lock_timeout',
  'statement_timeout',
  'transaction_timeout',
] as const;
const CANONICAL = new Map<string, string>(ALLOWED.map((name) => [name.toLowerCase(), name]));
/** Keys of the packet that are no settings. */
const NOT_SETTINGS: ReadonlySet<string> = new Set(['user', 'database', 'options', 'replication']);

/**
 * The allow-listed settings, by canonical name; those given directly win over those in `options`, as on the server.
 * @param given the packet's keys in lower case
 * @param skip prefixes of keys that are answered elsewhere
 * @throws GatewayError SESSION_FRAME | UNSUPPORTED naming the setting
 */
export function readSettings(
  given: ReadonlyMap<string, string>,
  skip: readonly string[] = [],
): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  for (const [name, value] of readOptions(given.get('options') ?? '')) admit(name, value, settings);
  for (const [name, value] of given) {
    if (NOT_SETTINGS.has(name) || skip.some((prefix) => name.startsWith(prefix))) continue;
    admit(name, value, settings);
  }
  return settings;
}

function admit(name: string, value: string, settings: Map<string, string>): void {
  const key = name.toLowerCase();
  if (key === 'client_encoding') {
    if (isUtf8Name(value)) return; // it is what the gateway asks for anyway
    throw new GatewayError('SESSION_FRAME', `client_encoding must be UTF8 here, not "${short(value)}"`, {
      hint: 'Set client_encoding=UTF8 (PGCLIENTENCODING=UTF8), or leave it out.',
    });
  }
  const canonical = CANONICAL.get(key);
  if (canonical === undefined) {
    throw new GatewayError('SESSION_FRAME', `the start-up setting "${short(name)}" is not let through this gateway`, {
      hint: `Leave it out of the connection string or PGOPTIONS. Let through: ${ALLOWED.join(', ')}.`,
    });
  }
  settings.set(canonical, value);
}

/** Any spelling the server takes: it drops all but letters and digits, and knows `unicode` as another name. */
function isUtf8Name(value: string): boolean {
  const name = value.replace(/[^0-9A-Za-z]/g, '').toLowerCase();
  return name === 'utf8' || name === 'unicode';
}

/** `-c name=value`, `-cname=value` and `--name=value`; anything else is refused. */
function* readOptions(options: string): Generator<[name: string, value: string]> {
  const words = splitWords(options);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    let assignment: string;
    if (word === '-c') {
      assignment = words[++i] ?? '';
    } else if (word.startsWith('-c') || word.startsWith('--')) {
      assignment = word.slice(2);
    } else {
      throw new GatewayError('SESSION_FRAME', `the start-up option "${short(word)}" is not let through this gateway`, {
        hint: 'In `options`, only -c name=value and --name=value are read.',
      });
    }
    const equals = assignment.indexOf('=');
    if (equals < 1) {
      throw new GatewayError('SESSION_FRAME', `the start-up option "${short(word)}" lacks a name=value`, {
        hint: 'In `options`, write -c name=value.',
      });
    }
    yield [assignment.slice(0, equals).replaceAll('-', '_'), assignment.slice(equals + 1)];
  }
}

const WHITE_SPACE = ' \t\n\v\f\r';

/** As the server splits them (pg_split_opts): at white space, a backslash takes the next character as it is. */
function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (WHITE_SPACE.includes(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === '\\') {
      word = (word ?? '') + (text[++i] ?? '');
    } else {
      word = (word ?? '') + char;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** Names are 63 bytes on the server; more is noise in a message. */
const short = (text: string): string => (text.length > 63 ? `${text.slice(0, 63)}…` : text);
