/** `/gate rules test`: what a statement would get, which rules say so, and what of its result would be masked. Runs nothing. */
import type { Section } from '../../queue/asks.ts';
import type { Explained } from '../compose/explained.ts';
import { GatewayError } from '../errors.ts';
import { limitText } from '../policy/budget.ts';
import { printLine } from '../policy/line-print.ts';
import type { Rule, Verdict } from '../policy/policy.ts';
import type { Answers } from './asks.ts';
import { seesAll } from './rules.ts';
import { peopleAmong } from './words.ts';

const AT_ONCE = 4; // each may look at a target's catalogue
const MOST_RULES = 30;

export type RuleTestDeps = {
  readonly connections: () => readonly string[];
  /** Undefined for an empty query. @throws GatewayError as a session would */
  readonly explain: (connection: string, statement: string) => Promise<Explained | undefined>;
  readonly rules: () => readonly Rule[];
  readonly redact: (text: string) => string;
};

export function ruleTestAnswers({ connections, explain, rules, redact }: RuleTestDeps): Pick<Answers, 'rule-test'> {
  let underWay = 0;
  return {
    'rule-test': async ({ connection: named, statement }, asker) => {
      seesAll(asker);
      const names = connections();
      const connection = named ?? (names.length === 1 ? names[0] : undefined);
      if (connection === undefined || !names.includes(connection)) {
        const what = named === undefined ? 'which connection is meant is not said' : `there is no connection ${named}`;
        return {
          ok: false,
          text: `Not tested: ${what}. Say one of ${names.slice(0, 30).join(', ')} before the statement.`,
        };
      }
      if (underWay >= AT_ONCE)
        throw new GatewayError('LIMIT', 'other statements are being tested; ask again in a moment');
      underWay += 1;
      try {
        const found = await explain(connection, statement);
        if (!found) return { ok: true, text: 'An empty query: nothing is asked, nothing is run.' };
        return {
          ok: true,
          text: `${redact(found.headline)}: ${said(found.verdict)}`,
          sections: sections(found, rules()),
        };
      } catch (error) {
        if (!(error instanceof GatewayError) || error.code === 'LIMIT') throw error;
        return { ok: true, text: `Refused before any rule is asked (${error.code}): ${redact(error.message)}` };
      } finally {
        underWay -= 1;
      }
    },
  };
}

/** For an agent that is in no group: rules and masking may say otherwise of others. */
const WHOSE = 'As an agent that no rule names and that is in no group would get it.';

function said(verdict: Verdict): string {
  const budgets = verdict.kind === 'deny' ? [] : (verdict.budgets ?? []);
  const limits = budgets.map(({ rule, limit, verdict: then }) => `beyond ${limitText(limit)} ${then} by ${rule}`);
  const beyond = limits.length > 0 ? `; ${limits.join(', ')}` : '';
  switch (verdict.kind) {
    case 'allow':
      return `allow${beyond}`;
    case 'deny':
      return `deny (${verdict.why})`;
    case 'hold':
      return `hold${beyond}`;
  }
}

function sections({ does, verdict, masking }: Explained, rules: readonly Rule[]): Section[] {
  const budgets = verdict.kind === 'deny' ? [] : (verdict.budgets ?? []);
  const ids = [...new Set([...verdict.rules, ...budgets.map(({ rule }) => rule)])];
  const demands = verdict.kind === 'hold' ? verdict.demands : [];
  const because = ids.slice(0, MOST_RULES).map((id): Section => {
    const rule = rules.find((one) => one.id === id);
    const demand = demands.find((one) => one.rule === id);
    const asked = demand ? [`Asks ${demand.quorum} of ${demand.approvers.join(', ')}`] : [];
    const why = rule?.why ?? demand?.why;
    return {
      title: id,
      lines: [...(why === undefined ? [] : [why]), ...asked],
      ...peopleAmong(...(demand?.approvers ?? [])),
      ...(rule ? { code: printLine(rule) } : {}),
    };
  });
  return [{ lines: [`Does: ${does}`, WHOSE] }, ...because, { title: 'Masking', lines: [...masking] }];
}
