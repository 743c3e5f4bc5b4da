/** What masking asks for besides the rules: a person, before masked values get out or may. Pure. */
import type { Demand, Question, Verdict } from './policy.ts';

/** Names no rule of a file can have: theirs have no colon. */
const HELD = 'masking:held';
const REVEAL = 'masking:reveal';

type Terms = Pick<Demand, 'approvers' | 'expiresMs' | 'channel'>;

/** The verdict of the rules, and a person's word on top where masked columns are at stake. A deny stays one. */
export function guarded(verdict: Verdict, { guard, reveal }: Question, terms: Terms): Verdict {
  if (verdict.kind === 'deny') return verdict;
  const demands: Demand[] = [];
  if (guard && guard.length > 0) demands.push(demand(HELD, 'Masked columns could get out another way', terms));
  if (reveal) demands.push({ ...demand(REVEAL, 'Shows masked columns as they are, once', terms) });
  if (demands.length === 0) return verdict;
  const before = verdict.kind === 'hold' ? verdict : { rules: [], demands: [] };
  return {
    ...verdict,
    kind: 'hold',
    rules: [...before.rules, ...demands.map(({ rule }) => rule)],
    demands: [...before.demands, ...demands],
  };
}

const demand = (rule: string, why: string, terms: Terms): Demand => ({
  rule,
  why,
  quorum: 1,
  requireReason: false,
  ...terms,
});
