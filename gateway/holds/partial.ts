/** Who stands too near to decide, requester and sponsor: their Slack accounts, and the addresses that tell of others. */
import type { Attestation } from '../../queue/votes.ts';
import type { Book } from './book.ts';
import type { Hold } from './hold.ts';
import { requesterSlack } from './linked.ts';

const ASK_MS = 30_000;
const MOST = 20; // Slack accounts of one requester and one sponsor

/** Slack accounts of who may not vote. */
export function partial(book: Book, hold: Hold): string[] {
  const { sponsor } = hold.operation.principal;
  const own = requesterSlack(book.deps.people(), hold);
  return [...new Set([...own, ...(sponsor === undefined ? [] : [sponsor])])];
}

/**
 * Ask for their e-mail addresses while nobody has clicked yet: a second account of theirs must not vote either. What is
 * not answered in time is asked again with the votes, before any release.
 */
export async function askPartial(book: Book, hold: Hold): Promise<void> {
  const users = partial(book, hold).slice(0, MOST);
  if (users.length === 0) {
    hold.partialEmails = new Map();
    return;
  }
  const people = await book.attestor.ask(hold.id, users, [], ASK_MS).catch(() => undefined);
  if (people) learnPartial(book, hold, people);
}

export function learnPartial(book: Book, hold: Hold, people: readonly Attestation[]): void {
  const known = partial(book, hold).map((user) => [user, people.find((one) => one.user === user)?.email] as const);
  hold.partialEmails = new Map(known);
}
