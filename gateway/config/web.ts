/** The `web` section: where people open the pages, and how they sign in there and at a terminal. */
import { z } from 'zod';
import type { Secret } from '../secrets.ts';
import { type Problem, section } from './problems.ts';
import { type Address, address, duration, issuerUrl, line } from './units.ts';

const URL_EXPECTED =
  'expected the https:// address at which browsers reach listen.web, without a path (http:// only on this machine)';
const SCOPES_EXPECTED = 'expected scopes with a space between them, openid among them';

const publicUrl = issuerUrl.transform((text, context): string => {
  const url = new URL(text);
  if (url.pathname === '/') return url.origin;
  context.addIssue({ code: 'custom', message: URL_EXPECTED });
  return z.NEVER;
});

const scopes = line(SCOPES_EXPECTED, 500)
  .transform((text) => text.split(' ').filter((scope) => scope !== ''))
  .refine((list) => list.includes('openid'), SCOPES_EXPECTED);

/** `secret` reads a reference. Every default with its reason. */
export const webSection = (secret: z.ZodType<Secret, string>) =>
  section({
    url: publicUrl,
    postgres: address.optional(),
    sign_in: section({
      issuer: issuerUrl,
      client_id: line('expected the id that the issuer gave this application', 255),
      client_secret: secret.optional(),
      device_client_id: line('expected the id of a public client that may use the device flow', 255).optional(),
      scopes: scopes.prefault('openid profile email'),
      idle: duration('1m', '12h').default(30 * 60_000), // a lunch, on a desk that others pass
      ends: duration('5m', '7d').default(12 * 3_600_000), // a working day: groups are those of the sign-in
    }).transform(({ client_id, client_secret, device_client_id, idle, ends, ...rest }) => ({
      ...rest,
      clientId: client_id,
      clientSecret: client_secret,
      // A terminal keeps no secret: a client that has one is none for it.
      deviceClientId: device_client_id ?? (client_secret === undefined ? client_id : undefined),
      idleMs: idle,
      endsMs: ends,
    })),
  }).transform(({ sign_in, ...rest }) => ({ ...rest, signIn: sign_in }));

type Written = { readonly url: string; readonly signIn: { readonly issuer: string } };

/** What the section says about others of the file. */
export function webMismatches(
  web: Written | undefined,
  others: {
    readonly listen: Address | undefined;
    readonly tls: boolean;
    readonly issuers: readonly { readonly issuer: string }[];
  },
): Problem[] {
  if (!web) return [];
  const known = others.issuers.some(({ issuer }) => issuer === web.signIn.issuer);
  return [
    ...(others.listen ? [] : [{ path: 'web', message: 'there is no listen.web that it could be served on' }]),
    ...(known ? [] : [{ path: 'web.sign_in.issuer', message: 'expected one of identity.issuers, to the letter' }]),
    ...(others.tls && web.url.startsWith('http:')
      ? [{ path: 'web.url', message: 'expected https: with `tls`, listen.web speaks nothing else' }]
      : []),
  ];
}
