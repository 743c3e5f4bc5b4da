/** What follows a card goes under it, so that the channel stays quiet: votes, changes of the rules, release, outcome. */
import { saidByTarget } from '../../queue/cards.ts';
import { utc } from './clock.ts';
import type { Follower } from './follower.ts';
import { cardOf, type Hold, type Vote } from './hold.ts';
import { type QuietHours, rungIn } from './quiet.ts';
import { type SayingDeps, sayUnder } from './saying.ts';
import { oneLine, rulesOf, untouched } from './words.ts';

const TOGETHER_MS = 1_500; // what happens in one breath is one message: Slack takes about one a second

export type ThreadDeps = SayingDeps & {
  readonly gateway: string;
  readonly redact: (text: string) => string;
  readonly quietHours: () => QuietHours | undefined;
};

type Thread = {
  votes: ReadonlyMap<string, Vote>;
  lines: string[];
  said: number;
  cancel: () => void;
};

export function threads(deps: ThreadDeps): Follower {
  const { clock, redact, gateway } = deps;
  const open = new Map<string, Thread>();
  const threadOf = (hold: Hold): Thread => {
    const known = open.get(hold.id);
    if (known) return known;
    const made: Thread = { votes: new Map(), lines: [], said: 0, cancel: () => {} };
    open.set(hold.id, made);
    return made;
  };
  const flush = (hold: Hold, thread: Thread, ring?: readonly string[]) => {
    thread.cancel();
    if (thread.lines.length === 0) return;
    thread.said += 1;
    const text = thread.lines.splice(0).join('\n');
    sayUnder(deps, hold, { id: `thread-${hold.id}-${thread.said}`, text, ...(ring ? { ring } : {}) });
  };
  const say = (hold: Hold, thread: Thread, line: string) => {
    thread.lines.push(line);
    if (thread.lines.length === 1) thread.cancel = clock.after(TOGETHER_MS, () => flush(hold, thread));
  };
  return {
    voted: (hold) => {
      const thread = threadOf(hold);
      for (const [user, vote] of hold.votes) {
        const before = thread.votes.get(user);
        if (!before) say(hold, thread, given(hold, vote, redact));
        else if (before.reason === undefined && vote.reason !== undefined)
          say(hold, thread, `${nameOf(hold, vote)} gave a reason${quoted(vote, redact)}`);
      }
      for (const [user, vote] of thread.votes)
        if (!hold.votes.has(user)) say(hold, thread, `${nameOf(hold, vote)} took the approval back.`);
      thread.votes = new Map(hold.votes);
    },
    changed: (hold) => {
      const thread = threadOf(hold);
      thread.votes = new Map();
      thread.lines.push(`The rules changed: all votes are void. Asking anew, for ${rulesOf(hold)}.`);
      // An edit rings nobody, and others may have to decide now.
      flush(hold, thread, rungIn(deps.quietHours(), clock.now()) ?? hold.demands.flatMap(({ approvers }) => approvers));
    },
    released: (hold) => {
      say(hold, threadOf(hold), `${letGo(hold)} ${utc(hold.releasedAt ?? clock.now())}.`);
    },
    ended: (hold) => {
      const thread = open.get(hold.id);
      open.delete(hold.id);
      if (!thread) return; // nothing followed: its card says how it ended
      thread.lines.push(endOf(hold, gateway, redact));
      flush(hold, thread);
    },
  };
}

/** What was asked about may have run already: then its result goes on, or its COMMIT may follow. */
const letGo = ({ operation: { stopped } }: Hold): string =>
  stopped?.touched ? 'Confirmed' : stopped ? 'The result goes on' : 'Released';

const nameOf = (hold: Hold, { user, voter }: Vote): string => oneLine(hold.names?.get(user) ?? voter.name);

const quoted = ({ reason }: Vote, redact: (text: string) => string): string =>
  reason === undefined ? '.' : `: “${oneLine(redact(reason))}”.`;

/** `Approved by Carol Lindqvist (1 of 2 for schema-changes), joined @dba-oncall 12 minutes ago: “looked at it”.` */
function given(hold: Hold, vote: Vote, redact: (text: string) => string): string {
  const counts = hold.demands.map(({ rule, quorum }, at) => `${hold.counted[at] ?? 0} of ${quorum} for ${rule}`);
  const remark = vote.remark === undefined ? '' : `, ${vote.remark}`;
  return `Approved by ${nameOf(hold, vote)} (${counts.join('; ')})${remark}${quoted(vote, redact)}`;
}

/** How it ended, as its card says it, in a sentence. */
export function endOf(hold: Hold, gateway: string, redact: (text: string) => string): string {
  const { phase } = hold;
  const card = cardOf({ ...hold }, gateway, redact); // of a copy: the hold's own next card is still to be made
  const why = card.settled?.reason ? `: ${oneLine(card.settled.reason)}` : '';
  const nothing = untouched(hold.operation);
  switch (phase.kind) {
    case 'done':
    case 'unknown': {
      const text = oneLine(card.outcome?.text ?? '');
      return card.outcome?.kind === 'failed' && saidByTarget(text)
        ? `Failed on the target: ${text}.`
        : `${sentence(text)}.`;
    }
    case 'denied':
      return `Denied by ${oneLine(hold.names?.get(phase.by) ?? phase.by)}${why}. ${nothing}`;
    case 'expired':
      return `Expired${why}. ${nothing}`;
    case 'withdrawn':
      return `Withdrawn${why}. ${nothing}`;
    case 'open':
    case 'approved':
    case 'released':
      return '';
  }
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
