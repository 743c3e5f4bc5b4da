/** Puts what a requester did before on the card of what it asks for now, and how each hold ended into that history. */
import type { Card } from '../../queue/cards.ts';
import { amount } from '../amount.ts';
import type { Deed, History } from '../gate/history.ts';
import type { Outcome } from '../operation.ts';
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';

export function historian(history: Pick<History, 'latest'>, redact: (text: string) => string): Follower {
  const deedsOf = ({ operation }: Hold) => history.latest(operation.principal, operation.connection);
  return {
    opening: (hold) => {
      const before = deedsOf(hold).filter(({ id }) => id !== hold.operation.id);
      if (before.length > 0) hold.extra = { ...hold.extra, history: before.map((deed) => shown(deed, redact)) };
    },
    ended: (hold) => {
      const deed = deedsOf(hold).find(({ id }) => id === hold.operation.id);
      if (!deed) return; // ten others came since
      const { phase } = hold;
      const passed = phase.kind === 'done' || phase.kind === 'unknown';
      deed.verdict = passed ? 'approved' : phase.kind;
      if (passed) deed.outcome = phase.outcome;
    },
  };
}

function shown({ at, headline, verdict, outcome }: Deed, redact: (text: string) => string) {
  const said = redact(headline);
  return {
    at,
    headline: said.length > 200 ? `${said.slice(0, 199).replace(/[\uD800-\uDBFF]$/, '')}…` : said,
    verdict,
    ...(outcome && { outcome: outcomeText(outcome) }),
  } satisfies NonNullable<Card['history']>[number];
}

/** Nothing of the target's own words: they may quote values. */
function outcomeText(outcome: Outcome): string {
  const took = outcome.ms < 1_000 ? `${Math.round(outcome.ms)} ms` : `${(outcome.ms / 1_000).toFixed(1)} s`;
  switch (outcome.kind) {
    case 'done':
      return outcome.rows === undefined ? `done in ${took}` : `${amount('rows', outcome.rows)} in ${took}`;
    case 'failed':
      return `failed (${outcome.sqlstate})`;
    case 'unknown':
      return 'outcome unknown';
  }
}
