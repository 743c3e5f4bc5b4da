/** The bot's whole configuration: environment → frozen BotConfig. Says what is wrong and what was expected; prints no secret. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type SigningKey, signingKey, type VerifyingKey, verifyingKey } from '../queue/sign.ts';

export type Address = { readonly host: string; readonly port: number };

export type BotConfig = {
  readonly redis: string;
  readonly key: SigningKey;
  readonly gateways: readonly VerifyingKey[];
  readonly mode: 'socket' | 'http';
  readonly botToken: string;
  /** Set in socket mode. */
  readonly appToken: string | undefined;
  /** Set in http mode. */
  readonly signingSecret: string | undefined;
  /** Ends in a slash. Undefined: Slack's own. */
  readonly apiUrl: string | undefined;
  /** The workspace this installation must be of, where the operator pins it. */
  readonly team: string | undefined;
  /** A channel that `--check` looks at. */
  readonly channel: string | undefined;
  /** Where Slack's requests come in, in http mode. */
  readonly http: Address | undefined;
  readonly health: Address | undefined;
  readonly logLevel: string;
};

/** Wrong or missing configuration: one sentence per problem, safe to print. */
export class BotConfigError extends Error {
  override readonly name = 'BotConfigError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`the bot cannot start:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

const address = z.string().transform((text, context) => {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    context.addIssue({ code: 'custom', message: 'expected host:port, as in 127.0.0.1:3000' });
    return z.NEVER;
  }
  return { host: (match[1] ?? match[2]) as string, port };
});

/** A key in its one-line form, or `@/path` of a file that holds it. Messages never repeat the value. */
const key = <T>(parse: (text: string) => T) =>
  z.string().transform((text, context): T => {
    try {
      return parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8').trim() : text);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      const message = code ? `cannot read the file: ${code}` : (error as Error).message;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    }
  });

const token = (prefix: string, what: string) =>
  z.string().refine((text) => text.startsWith(prefix) && /^[\x21-\x7e]+$/.test(text), `expected ${what} (${prefix}…)`);

const url = (protocols: string[], example: string) =>
  z.string().refine((text) => {
    try {
      return protocols.includes(new URL(text).protocol);
    } catch {
      return false;
    }
  }, `expected a URL, as in ${example}`);

const environment = z
  .object({
    REDIS_URL: url(['redis:', 'rediss:'], 'redis://127.0.0.1:6379'),
    COUNTERSIGN_BOT_KEY: key(signingKey),
    COUNTERSIGN_GATEWAY_KEYS: key((text) => {
      const keys = text
        .split(/[\s,]+/)
        .filter(Boolean)
        .map(verifyingKey);
      if (keys.length === 0) throw new Error('expected at least one ed25519:…, comma between them');
      return keys;
    }),
    SLACK_MODE: z.enum(['socket', 'http'], 'expected socket or http').default('socket'),
    SLACK_BOT_TOKEN: token('xoxb-', "the bot user's token"),
    SLACK_APP_TOKEN: token('xapp-', 'an app-level token with connections:write').optional(),
    SLACK_SIGNING_SECRET: z.string().min(8, "expected the app's signing secret").optional(),
    SLACK_API_URL: url(['http:', 'https:'], 'https://slack.com/api/').optional(),
    SLACK_TEAM: z
      .string()
      .regex(/^[TE][A-Z0-9]{1,30}$/, 'expected a workspace id, T…')
      .optional(),
    SLACK_CHANNEL: z
      .string()
      .regex(/^[CG][A-Z0-9]{1,30}$/, 'expected a channel id, C… or G…')
      .optional(),
    BOT_HTTP: address.optional(),
    BOT_HEALTH: address.optional(),
    LOG_LEVEL: z
      .enum(['fatal', 'error', 'warn', 'info', 'silent'], 'expected fatal, error, warn, info or silent')
      .default('info'),
  })
  .superRefine((env, context) => {
    const need = (name: 'SLACK_APP_TOKEN' | 'SLACK_SIGNING_SECRET' | 'BOT_HTTP') => {
      if (env[name] === undefined)
        context.addIssue({ code: 'custom', path: [name], message: `is needed when SLACK_MODE=${env.SLACK_MODE}` });
    };
    if (env.SLACK_MODE === 'socket') need('SLACK_APP_TOKEN');
    else for (const name of ['SLACK_SIGNING_SECRET', 'BOT_HTTP'] as const) need(name);
  });

/** @throws BotConfigError naming each variable that is missing or wrong. */
export function readBotConfig(env: Readonly<Record<string, string | undefined>>): BotConfig {
  // An empty variable is how compose files and shells say "not set".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    throw new BotConfigError(
      parsed.error.issues.map((issue) => {
        const name = String(issue.path[0] ?? '');
        return `${name}: ${name in given || issue.code === 'custom' ? issue.message : 'is missing'}`;
      }),
    );
  }
  const it = parsed.data;
  return Object.freeze({
    redis: it.REDIS_URL,
    key: it.COUNTERSIGN_BOT_KEY,
    gateways: Object.freeze(it.COUNTERSIGN_GATEWAY_KEYS),
    mode: it.SLACK_MODE,
    botToken: it.SLACK_BOT_TOKEN,
    appToken: it.SLACK_APP_TOKEN,
    signingSecret: it.SLACK_SIGNING_SECRET,
    apiUrl:
      it.SLACK_API_URL === undefined || it.SLACK_API_URL.endsWith('/') ? it.SLACK_API_URL : `${it.SLACK_API_URL}/`,
    team: it.SLACK_TEAM,
    channel: it.SLACK_CHANNEL,
    http: it.BOT_HTTP,
    health: it.BOT_HEALTH,
    logLevel: it.LOG_LEVEL,
  });
}
