/** Which Slack accounts belong to who asks, as the configuration says. Pure. */
import { principalKey } from '../operation.ts';
import type { Hold } from './hold.ts';

export type LinkedPerson = { readonly slack: string; readonly issuer: string; readonly subject: string };

/**
 * Slack accounts that the configuration links to the requester: also where they asked from one of them, as for a change
 * of the rules, and by way of another identity of theirs. Theirs that is known comes first.
 */
export function requesterSlack(people: readonly LinkedPerson[], { operation: { principal } }: Hold): string[] {
  const accounts = new Set(principal.slack === undefined ? [] : [principal.slack]);
  const identities = new Set([principalKey(principal)]);
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
