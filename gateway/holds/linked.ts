/** Which accounts and identities belong to one person, as the configuration says. Pure. */
import { principalKey } from '../operation.ts';
import type { Hold } from './hold.ts';

export type LinkedPerson = { readonly slack: string; readonly issuer: string; readonly subject: string };

/**
 * Slack accounts that the configuration links to the requester: also where they asked from one of them, as for a change
 * of the rules, and by way of another identity of theirs. Theirs that is known comes first.
 */
export const requesterSlack = (
  people: readonly LinkedPerson[],
  { operation: { principal } }: Pick<Hold, 'operation'>,
): string[] => linked(people, principal.slack === undefined ? [] : [principal.slack], [principalKey(principal)]);

/** All Slack accounts of the person behind this one, itself first. */
export const accountsOf = (people: readonly LinkedPerson[], user: string): string[] => linked(people, [user], []);

/** All Slack accounts of the person behind this identity. */
export const accountsBehind = (people: readonly LinkedPerson[], who: Omit<LinkedPerson, 'slack'>): string[] =>
  linked(people, [], [principalKey(who)]);

/** Follows links until nothing new is met: two accounts may share an identity that neither names directly. */
function linked(people: readonly LinkedPerson[], users: readonly string[], keys: readonly string[]): string[] {
  const accounts = new Set(users);
  const identities = new Set(keys);
  let known: number;
  do {
    known = accounts.size + identities.size;
    for (const person of people) {
      const identity = principalKey(person);
      if (!accounts.has(person.slack) && !identities.has(identity)) continue;
      accounts.add(person.slack);
      identities.add(identity);
    }
  } while (accounts.size + identities.size > known);
  return [...accounts];
}
