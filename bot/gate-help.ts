/** What each `/gate` subcommand is for, for people who have never seen it. Pure. */

export type Topic = {
  /** How it is said, after `/gate`. */
  readonly usage: string;
  readonly about: string;
  readonly examples?: readonly string[];
  readonly more?: readonly string[];
};

const WHO = 'Admins and approvers see everything, everybody else what is theirs: their own and their agents’.';
const ADMINS = 'Only members of approvals.admins may do this.';

/** In the order in which they are listed. */
export const TOPICS: Readonly<Record<string, Topic>> = {
  status: {
    usage: 'status',
    about: 'Every gateway: sessions, open holds, queue, audit, rules, versions.',
    more: [WHO],
  },
  holds: { usage: 'holds', about: 'What waits for approval, oldest first, with links to the cards.', more: [WHO] },
  sessions: {
    usage: 'sessions [connection]',
    about: 'Who is connected now, since when, and what they did last.',
    examples: ['sessions', 'sessions orders'],
    more: [WHO],
  },
  kill: {
    usage: 'kill <session|agent>',
    about: 'Ends one session, or all sessions of an agent or a person, after a confirm.',
    examples: ['kill report-bot', 'kill https://login.example.com#report-bot'],
    more: [ADMINS, 'They may connect again; freeze keeps them from doing anything.'],
  },
  grants: {
    usage: 'grants [revoke <grant>]',
    about: 'Approvals that cover what has the same shape for a while: what is left of each, and a button to revoke it.',
    examples: ['grants', 'grants revoke 3fa85f64'],
  },
  rules: {
    usage: 'rules [add|edit|remove|revert|test|simulate]',
    about: 'The rules in force; those of the configuration file are the floor and change only there.',
    examples: [
      'rules',
      'rules add hold delete on orders.customers approvers @dba-oncall "customers are reviewed"',
      'rules add',
      'rules edit no-customers',
      'rules remove no-customers',
      'rules revert 12',
      'rules test orders DELETE FROM customers',
      'rules simulate hold read on orders rows > 500',
    ],
    more: [
      'A rule: (hold|deny|allow) <action[,action…]> on <connection>[.<object>] [where absent] [by <agent|group:NAME>] [rows > N] [except (…)] [approvers @group|@person|oidc:NAME …] [quorum N] [expires 15m] [require reason] [confirm rows] [in #channel] [escalate @group after 5m] [id NAME] ["why"]',
      'add without a line opens a form; edit opens it filled. test and simulate change nothing.',
      'What tightens holds at once; what loosens becomes a card that a second admin approves.',
      ADMINS,
    ],
  },
  freeze: {
    usage: 'freeze <connection|agent|all> [why]',
    about: 'Refuses everything of it at once, on every gateway. Sessions stay; what waits for approval is withdrawn.',
    examples: ['freeze orders', 'freeze report-bot “looks stolen”', 'freeze all'],
    more: [ADMINS],
  },
  unfreeze: {
    usage: 'unfreeze <connection|agent|all>',
    about: 'Asks for the freeze to be lifted: a second admin has to approve the card.',
    examples: ['unfreeze orders'],
    more: [ADMINS],
  },
  review: {
    usage: 'review <request>',
    about: 'Signs the review of what somebody released alone by break-glass. Its card has a button for it.',
    more: [ADMINS],
  },
  help: { usage: 'help [topic]', about: 'This, or more about one of them.' },
};

/** Of what is not a topic: the one that was probably meant. */
export function nearest(word: string): string | undefined {
  const known = Object.keys(TOPICS);
  const begun = known.filter((name) => word.length >= 2 && name.startsWith(word));
  if (begun.length === 1) return begun[0];
  return known.find((name) => distance(name, word) <= (word.length > 5 ? 2 : 1));
}

/** Insertions, deletions, replacements, and neighbours swapped. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : 9;
      rows[i]?.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + same, swapped));
    }
  }
  return at(a.length, b.length);
}
