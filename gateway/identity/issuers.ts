/** Which issuers are trusted, and what a configured one must say before it is. Pure. */
import { GatewayError } from '../errors.ts';

export type IssuerConfig = {
  readonly issuer: string;
  readonly audience: string;
  /** Name of the claim that lists groups; absent: principals of this issuer have none. */
  readonly groups?: string | undefined;
  /** Claims that must have this value, or one of these. */
  readonly require?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** Oldest `iat` accepted, ms; absent: any that has not expired. */
  readonly maxAgeMs?: number | undefined;
};

/** Anyone can get a token of these: without a required claim the whole world would be let in. */
const PUBLIC_HOSTS = new Set([
  'token.actions.githubusercontent.com',
  'gitlab.com',
  'accounts.google.com',
  'login.microsoftonline.com',
  'login.live.com',
  'sts.windows.net',
  'appleid.apple.com',
  'oidc.circleci.com',
  'agent.buildkite.com',
  'app.terraform.io',
  'api.bitbucket.org',
  'oidc.vercel.com',
  'oidc.fly.io',
  'www.facebook.com',
  'slack.com',
  'id.twitch.tv',
  'api.login.yahoo.com',
  'token.dev.pulumi.com',
  'api.pulumi.com',
]);
/** Claims that tell nothing about who a public issuer's token belongs to. */
const TELLS_NOTHING = new Set(['iss', 'aud', 'exp', 'iat', 'nbf', 'jti', 'typ', 'ver', 'alg', 'email_verified']);

/** @throws GatewayError CONFIG naming the first issuer that cannot be trusted as it is written, and why. */
export function validateIssuers(issuers: readonly IssuerConfig[]): void {
  for (const [at, config] of issuers.entries()) {
    const problem = problemOf(config);
    if (problem) throw new GatewayError('CONFIG', `identity.issuers[${at}] (${config.issuer}): ${problem}`);
  }
}

function problemOf({ issuer, audience, require = {} }: IssuerConfig): string | undefined {
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
  if (!url) return 'expected a URL';
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    return 'expected https (http only on loopback)';
  }
  if (url.search || url.hash || url.username || url.password) return 'expected a URL without query, fragment or user';
  if (audience === '') return 'audience: expected the audience that tokens for this gateway carry';
  const empty = Object.entries(require).find(([, value]) => value === '' || value.length === 0);
  if (empty) return `require.${empty[0]}: expected a value`;
  if (PUBLIC_HOSTS.has(url.hostname) && !Object.keys(require).some((claim) => !TELLS_NOTHING.has(claim))) {
    return 'require: anyone can get a token of this issuer; name the claims (such as repository, hd or tid) that yours carry';
  }
  return undefined;
}

export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
