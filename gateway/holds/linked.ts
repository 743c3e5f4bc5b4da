/** Which Slack accounts belong to who asks, as the configuration says. Pure. */
import type { Hold } from './hold.ts';

export type LinkedPerson = { readonly slack: string; readonly issuer: string; readonly subject: string };

/** Slack accounts that the configuration links to the requester. */
export function requesterSlack(people: readonly LinkedPerson[], { operation: { principal } }: Hold): string[] {
  const linked = people
    .filter((person) => person.issuer === principal.issuer && person.subject === principal.subject)
    .map((person) => person.slack);
  return principal.slack === undefined ? linked : [principal.slack, ...linked];
}
