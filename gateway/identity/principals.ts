/** From verified claims to a principal: who, of which kind, and who answers for it. Pure. */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../operation.ts';

/** What is kept of a token's claims: enough to make the principal anew when the configuration changes. */
export const identitySchema = z.strictObject({
  issuer: z.string().min(1).max(2_000),
  subject: z.string().min(1).max(255),
  /** The claims alone say that no human is behind it. */
  machine: z.boolean(),
  email: z.string().max(320).optional(),
  groups: z.array(z.string().max(256)).max(1_000),
  /** What was asked of the token when it was verified; when the configuration asks something else, it must be again. */
  terms: z.string().max(64),
});
export type Identity = z.infer<typeof identitySchema>;
/** What the claims alone say. */
type Claimed = Omit<Identity, 'terms'>;

/** The configuration's word on principals; it outranks the claims. */
export type Directory = {
  readonly agents: readonly {
    readonly issuer: string;
    readonly subject: string;
    readonly sponsor?: string | undefined;
    readonly purpose?: string | undefined;
  }[];
  readonly people: readonly { readonly slack: string; readonly issuer: string; readonly subject: string }[];
};

/** Issuers of workloads, not of people. */
const WORKLOAD_ISSUER =
  /^https:\/\/(?:token\.actions\.githubusercontent\.com|oidc\.circleci\.com|agent\.buildkite\.com)(?:\/|$)/;
const MAX_GROUPS = 1_000;
const MAX_GROUP_LENGTH = 256;

/** @throws GatewayError AUTH where the claims leave the identity or the groups in doubt. */
export function identityFrom(issuer: string, claims: Readonly<Record<string, unknown>>, groupsClaim?: string): Claimed {
  const subject = claims.sub;
  if (typeof subject !== 'string' || subject === '' || subject.length > 255 || !isPlain(subject)) {
    throw new GatewayError('AUTH', 'the token has no usable subject');
  }
  const email = verifiedEmail(claims);
  return {
    issuer,
    subject,
    machine: isMachine(issuer, subject, claims),
    ...(email === undefined ? {} : { email }),
    groups: groupsClaim === undefined ? [] : groupsFrom(claims, groupsClaim),
  };
}

/**
 * `name` is what the issuer vouches for (a verified e-mail address or the subject), never a display name that its
 * bearer may choose: rules match on it.
 */
export function principalOf(identity: Claimed, directory: Directory): Principal {
  const same = (entry: { issuer: string; subject: string }) =>
    entry.issuer === identity.issuer && entry.subject === identity.subject;
  const agent = directory.agents.find(same);
  const person = agent ? undefined : directory.people.find(same);
  const kind = agent ? 'agent' : person ? 'human' : identity.machine ? 'agent' : 'human';
  return Object.freeze({
    issuer: identity.issuer,
    subject: identity.subject,
    kind,
    name: kind === 'human' ? (identity.email ?? identity.subject) : identity.subject,
    ...(identity.email === undefined ? {} : { email: identity.email, emailVerified: true }),
    groups: Object.freeze([...identity.groups]),
    ...(agent?.sponsor === undefined ? {} : { sponsor: agent.sponsor }),
    ...(agent?.purpose === undefined ? {} : { purpose: agent.purpose }),
    ...(person === undefined ? {} : { slack: person.slack }),
  });
}

/** Client credentials (the subject is the client itself), Entra's app-only tokens, service accounts, CI jobs. */
function isMachine(issuer: string, subject: string, claims: Readonly<Record<string, unknown>>): boolean {
  if (subject === claims.client_id || subject === claims.azp || subject === claims.cid) return true;
  if (claims.idtyp === 'app' || claims.gty === 'client-credentials') return true;
  return subject.startsWith('system:serviceaccount:') || WORKLOAD_ISSUER.test(issuer);
}

/** Only an address that the issuer says it has verified says anything (CVE-2026-47164). */
function verifiedEmail(claims: Readonly<Record<string, unknown>>): string | undefined {
  const { email, email_verified: verified } = claims;
  if (typeof email !== 'string' || verified !== true) return undefined;
  return email.length <= 320 && /^[^\s@]+@[^\s@]+$/.test(email) && isPlain(email) ? email.toLowerCase() : undefined;
}

/** A list, one name, or nothing. Anything else, or a list the issuer left out for its length, is doubt. */
function groupsFrom(claims: Readonly<Record<string, unknown>>, claim: string): string[] {
  const elsewhere = claims._claim_names;
  if (claims.hasgroups === true || (typeof elsewhere === 'object' && elsewhere !== null && claim in elsewhere)) {
    throw new GatewayError('AUTH', `the issuer left the claim ${claim} out of the token, because it is too long`, {
      hint: 'have the issuer put only the groups assigned to this application into its tokens',
    });
  }
  const value = claims[claim];
  if (value === undefined || value === null) return [];
  const groups: unknown[] = Array.isArray(value) ? value : [value];
  const usable = (group: unknown): group is string =>
    typeof group === 'string' && group !== '' && group.length <= MAX_GROUP_LENGTH && isPlain(group);
  if (groups.length > MAX_GROUPS || !groups.every(usable)) {
    throw new GatewayError('AUTH', `the claim ${claim} is not a list of at most ${MAX_GROUPS} group names`);
  }
  return [...new Set(groups.filter(usable))];
}

/** No controls, no invisible or direction-changing characters: names end up on cards. */
const isPlain = (text: string): boolean => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(text);
