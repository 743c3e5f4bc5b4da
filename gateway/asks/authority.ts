/** Who asks, and what that makes them here: judged by the same standing and the same groups as a vote. */
import type { Ask } from '../../queue/asks.ts';
import type { Attestation } from '../../queue/votes.ts';
import { counted } from '../amount.ts';
import { GatewayError } from '../errors.ts';
import type { LinkedPerson } from '../holds/linked.ts';
import type { People } from '../holds/people.ts';
import { isGroupName, standing } from '../holds/quorum.ts';
import { principalKey } from '../operation.ts';
import type { Asker } from './asks.ts';

/** What a bot attests of somebody says this much about now, ms. */
const FRESH_MS = 60_000;

export type AuthorityDeps = {
  readonly people: People;
  /** `identity.people` of the configuration. */
  readonly linked: () => readonly LinkedPerson[];
  readonly admins: () => readonly string[];
  /** Every approver that any rule or default names. */
  readonly approvers: () => readonly string[];
  readonly now: () => number;
};

/** `unread`: groups of which it is not known now whether they contain the asker. */
export type Judged = { readonly asker: Asker; readonly unread: readonly string[] };

type AskOf = Extract<Ask, { kind: 'ask' }>;

/**
 * `afresh`: everything is read from Slack after this call began, as for what changes something; otherwise groups as
 * read within the last minute will do. @throws GatewayError DENIED | UNAVAILABLE, with a sentence for the asker
 */
export async function judged(deps: AuthorityDeps, ask: AskOf, { afresh }: { afresh: boolean }): Promise<Judged> {
  const { people } = deps;
  const names = [...new Set([...deps.admins(), ...deps.approvers()])];
  const groups = names.filter(isGroupName);
  await people.known(groups);
  const stale = Math.abs(deps.now() - ask.asker.readAt) > FRESH_MS || Math.abs(deps.now() - ask.at) > FRESH_MS;
  const remembered = !afresh && !stale && groups.every((name) => people.members(name) !== undefined);
  const person = remembered ? ask.asker : await attested(people, ask.asker, groups);
  const objection = standing(person, { team: people.team() }, 'use /gate');
  if (objection !== undefined) throw new GatewayError('DENIED', objection);

  const { admin, approver } = await roles(deps, person, remembered);
  const linked = new Set(deps.linked().flatMap((who) => (who.slack === person.user ? principalKey(who) : [])));
  return {
    asker: {
      user: person.user,
      team: person.team,
      name: person.name,
      admin: admin.yes,
      approver: approver.yes,
      own: (principal, sponsor) => linked.has(principal) || sponsor === person.user,
      channel: ask.channel,
      ask: ask.id,
    },
    unread: admin.yes ? [] : [...new Set([...admin.unread, ...(approver.yes ? [] : approver.unread)])],
  };
}

type Among = { readonly yes: boolean; readonly unread: readonly string[] };

/** `remembered`: groups as the directory last read them; otherwise as they were attested. */
async function roles(
  { people, admins, approvers }: AuthorityDeps,
  person: Attestation,
  remembered: boolean,
): Promise<{ readonly admin: Among; readonly approver: Among }> {
  const member = async (name: string): Promise<boolean | undefined> => {
    if (name.startsWith('oidc:')) return (await people.oidcMembers(name.slice('oidc:'.length))).includes(person.user);
    if (!isGroupName(name)) return name === person.user;
    const id = people.groupId(name);
    if (remembered) return id === undefined ? undefined : people.members(name)?.includes(person.user);
    return id === undefined || person.unknown.includes(name) ? undefined : person.groups.some((of) => of.id === id);
  };
  const among = async (list: readonly string[]): Promise<Among> => {
    const found = await Promise.all(list.map(async (name) => ({ name, is: await member(name) })));
    const unread = found.flatMap(({ name, is }) => (is === undefined ? name : []));
    return { yes: found.some(({ is }) => is), unread };
  };
  const [admin, approver] = await Promise.all([among(admins()), among(approvers())]);
  return { admin, approver };
}

/** Why somebody who asked for a change is no admin any more, read from Slack now; undefined while they are. */
export async function objectionTo(deps: AuthorityDeps, { user, team }: Asker): Promise<string | undefined> {
  const person = await deps.people.attest(user, deps.admins().filter(isGroupName));
  if (person?.team !== team) return 'Slack does not say who they are now';
  const objection = standing(person, { team: deps.people.team() }, 'use /gate');
  if (objection !== undefined) return objection;
  const { admin } = await roles({ ...deps, approvers: () => [] }, person, false);
  return admin.yes ? undefined : 'they are no admin now, as far as Slack says';
}

async function attested(people: People, said: Attestation, groups: readonly string[]): Promise<Attestation> {
  const person = await people.attest(said.user, groups);
  if (person?.team === said.team) {
    // Slack Connect: of which workspace the command came is known only to whoever received it.
    return said.stranger ? { ...person, stranger: true } : person;
  }
  throw new GatewayError('UNAVAILABLE', 'it took too long to ask Slack about you; ask again');
}

/** @throws GatewayError DENIED */
export function mayChange({ asker, unread }: Judged, admins: readonly string[]): void {
  if (asker.admin) return;
  const unknown = unread.filter((name) => admins.includes(name));
  throw new GatewayError(
    'DENIED',
    unknown.length > 0
      ? `who is in ${unknown.join(', ')} could not be read from Slack; ask again in a moment`
      : `only admins change anything, and you are not among ${named(admins) || 'them: approvals.admins names nobody'}`,
  );
}

/** Groups by their names; of people how many: an id says nobody who that is. */
function named(names: readonly string[]): string {
  const groups = names.filter((name) => name.startsWith('oidc:') || isGroupName(name));
  const people = names.length - groups.length;
  return [...groups, ...(people > 0 ? [`${counted(people, 'person', 'people')} named by id`] : [])].join(', ');
}
