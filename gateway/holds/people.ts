/** What other rooms may ask about people: of the same directory and the same bots that votes are judged by. */
import type { Attestation } from '../../queue/votes.ts';
import type { Book } from './book.ts';

const ATTEST_MS = 8_000; // as long as for a click: whoever asks sees nothing meanwhile
const DIRECTORY_MS = 5_000;

export type People = {
  /** The workspace the bots are installed in; undefined while unknown. */
  team(): string | undefined;
  /** The group id that a name is pinned to; undefined while unknown or when it no longer fits its pin. */
  groupId(name: string): string | undefined;
  /** Members as read within the last minute; undefined where that is not known. */
  members(name: string): readonly string[] | undefined;
  /** Right after a start nothing is known of groups yet: ask, and give the answer a moment. Never rejects. */
  known(names: readonly string[]): Promise<void>;
  /** What Slack says of this user now, read after this call began; undefined when no bot answered in time. */
  attest(user: string, names: readonly string[]): Promise<Attestation | undefined>;
  /** Slack ids of linked people in `oidc:<group>`; none where that is unknown. */
  oidcMembers(group: string): Promise<readonly string[]>;
};

export function peopleOf(book: Book): People {
  const { directory, attestor, deps } = book;
  return {
    team: () => directory.team,
    groupId: (name) => directory.groupId(name),
    members: (name) => directory.members(name),
    known: async (names) => {
      if (directory.knows(names)) return;
      const answered = directory.next(DIRECTORY_MS);
      await directory.ask(names).catch((error) => deps.log('approver groups could not be asked for', { error }));
      await answered;
    },
    attest: async (user, names) => {
      // The question is about no hold: its own id stands where a hold's would.
      const people = await attestor.ask(deps.newId(), [user], names, ATTEST_MS).catch(() => undefined);
      return people?.find((person) => person.user === user);
    },
    oidcMembers: (group) => deps.oidcMembers(group).catch(() => []),
  };
}
