/** Half-way to the end those who have not voted are rung once more; who is named for it, when nobody decides for too long. */
import { utc } from './clock.ts';
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';
import { type LinkedPerson, requesterSlack } from './linked.ts';
import { type QuietHours, rungIn } from './quiet.ts';
import { isGroupName } from './quorum.ts';
import { type SayingDeps, sayUnder } from './saying.ts';

const LEAST_MS = 5_000; // the first ring is still in their ears
const EARLY_MS = 1_000; // a deadline moved by less is the same

export type ReminderDeps = SayingDeps & {
  readonly quietHours: () => QuietHours | undefined;
  /** Of a Slack group; undefined while unknown. */
  readonly members: (name: string) => readonly string[] | undefined;
  readonly oidcMembers: (group: string) => Promise<readonly string[]>;
  readonly people: () => readonly LinkedPerson[];
};

type Timers = { reminded: boolean; cancelReminder: () => void; readonly escalated: Map<string, () => void> };

export function reminders(deps: ReminderDeps): Follower {
  const { clock } = deps;
  const waiting = new Map<string, Timers>();

  const remindLater = (hold: Hold, timers: Timers) => {
    timers.cancelReminder();
    if (halfOf(hold) - hold.openedAt < LEAST_MS) return;
    timers.cancelReminder = clock.after(Math.max(0, halfOf(hold) - clock.now()), () => {
      if (timers.reminded || hold.phase.kind !== 'open') return;
      // The deadline may have moved: a token was extended, the rules changed.
      if (halfOf(hold) - clock.now() > EARLY_MS) return remindLater(hold, timers);
      timers.reminded = true;
      sayUnder(deps, hold, {
        id: `remind-${hold.extra?.collectedBy ?? hold.id}`,
        text: stillText(hold),
        ring: late(hold),
      });
    });
  };
  const late = (hold: Hold) => rungIn(deps.quietHours(), clock.now()) ?? missing(hold, deps);

  const escalateLater = (hold: Hold, timers: Timers) => {
    for (const { escalate } of hold.demands) {
      if (!escalate || timers.escalated.has(escalate.to)) continue;
      const { to, afterMs } = escalate;
      const ms = Math.max(0, afterMs - (clock.monotonic() - hold.openedMonotonic));
      timers.escalated.set(
        to,
        clock.after(ms, () => {
          if (hold.phase.kind === 'open') void call(hold, to, afterMs);
        }),
      );
    }
  };
  const call = async (hold: Hold, to: string, afterMs: number) => {
    const isGroup = to.startsWith('oidc:');
    const ring = isGroup ? await deps.oidcMembers(to.slice('oidc:'.length)).catch(() => []) : [to];
    if (hold.phase.kind !== 'open') return;
    const who = [...new Set(hold.demands.flatMap(({ approvers }) => approvers))].join(', ');
    const text = `Nobody has decided for ${minutes(afterMs)}. ${isGroup ? `${to}: please` : 'Please'} see to it that one of those does who may: ${who}. ${untilText(hold)}`;
    const id = `escalate-${hold.extra?.collectedBy ?? hold.id}-${to.replace(/[^A-Za-z0-9._@-]/g, '-').slice(0, 60)}`;
    sayUnder(deps, hold, { id, text, ring });
  };

  return {
    opened: (hold) => {
      const timers: Timers = { reminded: false, cancelReminder: () => {}, escalated: new Map() };
      waiting.set(hold.id, timers);
      remindLater(hold, timers);
      escalateLater(hold, timers);
    },
    changed: (hold) => {
      const timers = waiting.get(hold.id);
      if (!timers) return;
      if (!timers.reminded) remindLater(hold, timers);
      escalateLater(hold, timers);
    },
    released: (hold) => end(waiting, hold),
    ended: (hold) => end(waiting, hold),
  };
}

function end(waiting: Map<string, Timers>, hold: Hold): void {
  const timers = waiting.get(hold.id);
  if (!timers) return;
  waiting.delete(hold.id);
  timers.cancelReminder();
  for (const cancel of timers.escalated.values()) cancel();
}

/** Approvers of what is still missing who have not voted; by their groups' names while nobody has, or where members are unknown. */
function missing(hold: Hold, { members, people }: Pick<ReminderDeps, 'members' | 'people'>): string[] {
  const { principal } = hold.operation;
  const left = hold.demands.filter(({ quorum }, at) => (hold.counted[at] ?? 0) < quorum);
  const out = new Set([principal.sponsor, ...requesterSlack(people(), hold), ...hold.votes.keys()]);
  const ring = left.flatMap(({ approvers }) =>
    approvers.flatMap((name) => {
      if (name.startsWith('oidc:')) return hold.oidc.get(name.slice('oidc:'.length)) ?? [];
      if (!isGroupName(name) || hold.votes.size === 0) return [name];
      return members(name) ?? [name];
    }),
  );
  return [...new Set(ring)].filter((name) => !out.has(name));
}

/** Epoch ms. */
const halfOf = ({ openedAt, deadline }: Hold): number => (openedAt + deadline.at) / 2;

const minutes = (ms: number): string =>
  ms < 60_000 ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / 60_000)} min`;

const untilText = ({ deadline }: Hold): string => `It expires ${utc(deadline.at)}.`;

function stillText(hold: Hold): string {
  const counts = hold.demands.flatMap(({ rule, quorum }, at) => {
    const counted = hold.counted[at] ?? 0;
    return counted < quorum ? [`${rule} has ${counted} of ${quorum}`] : [];
  });
  return `Half of the time is over, and this still waits: ${counts.join('; ')}. ${untilText(hold)}`;
}
