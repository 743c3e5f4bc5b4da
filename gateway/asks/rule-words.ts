/** Changes of rules in words: lines before and after, what a form shows, what is wrong with a line here. Pure. */
import type { RuleForm } from '../../queue/asks.ts';
import { namesWithoutIssuer, quorums, unknownConnections } from '../config/checks.ts';
import type { IssuerConfig } from '../identity/issuers.ts';
import { type Part, parseLine } from '../policy/line.ts';
import { duration, printApprover, printEscalation, printLine, printMatch } from '../policy/line-print.ts';
import type { Rule } from '../policy/policy.ts';

/** What a rule made here has to go with. */
export type Surroundings = {
  readonly fileRules: readonly Rule[];
  readonly slackRules: readonly Rule[];
  readonly connections: readonly string[];
  readonly approvers: readonly string[];
  readonly issuers: readonly IssuerConfig[];
};

export type Understood =
  | { readonly kind: 'rule'; readonly rule: Rule }
  | { readonly kind: 'wrong'; readonly text: string; readonly part: Part; readonly at?: number };

/** A line as a rule that could be made here. A line that names an id of Slack's rules is that rule, changed. */
export function understood(line: string, around: Surroundings): Understood {
  const ids = new Set([...around.fileRules, ...around.slackRules].map(({ id }) => id));
  const parsed = parseLine(line, { taken: (id) => ids.has(id) });
  if (parsed.kind === 'mistake') {
    const { part, at, message } = parsed.mistake;
    return { kind: 'wrong', part, at, text: `${upper(message)}.` };
  }
  const { rule } = parsed;
  if (around.fileRules.some(({ id }) => id === rule.id)) {
    const text = `${rule.id} is a rule of the configuration file and changes only there: expected another id.`;
    return { kind: 'wrong', part: 'id', text };
  }
  const one = [{ at: 0, value: rule }];
  const [problem] = [
    ...unknownConnections(one, around.connections, []),
    ...quorums(one, around.approvers),
    ...namesWithoutIssuer(one, [], around.issuers, []),
  ];
  if (!problem) return { kind: 'rule', rule };
  const known = problem.path.endsWith('connection') ? `: expected ${around.connections.join(', ')} or a *` : '';
  return { kind: 'wrong', part: partOf(problem.path), text: `${upper(problem.message)}${known}.` };
}

function partOf(path: string): Part {
  if (path.includes('except')) return 'except';
  if (path.endsWith('connection')) return 'on';
  return path.endsWith('quorum') ? 'quorum' : 'by';
}

const upper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What is no more, and what is new: one line a rule. */
export type Difference = { readonly removed: readonly string[]; readonly added: readonly string[] };

export function difference(before: readonly Rule[], after: readonly Rule[]): Difference {
  const [was, is] = [before.map(printLine), after.map(printLine)];
  return { removed: was.filter((line) => !is.includes(line)), added: is.filter((line) => !was.includes(line)) };
}

export const sameDifference = (a: Difference, b: Difference): boolean => JSON.stringify(a) === JSON.stringify(b);

/** `- hold …` and `+ hold …`, as reviewers of code read it. */
export const differenceText = ({ removed, added }: Difference): string =>
  [...removed.map((line) => `- ${line}`), ...added.map((line) => `+ ${line}`)].join('\n');

/** The rule in the parts that the form has fields for. */
export function formOf(rule: Rule): RuleForm {
  const { match } = rule;
  const { connections, objects, by, more } = printMatch(match);
  const people = rule.approvers.filter((name) => /^[UW][A-Z0-9]+$/.test(name));
  const options = [
    more,
    rule.notify === undefined ? '' : `notify ${rule.notify}`,
    rule.escalate === undefined ? '' : printEscalation(rule.escalate),
  ];
  return {
    verdict: rule.verdict,
    actions: [...(match.action ?? [])],
    connections: [...connections],
    object: objects,
    where: match.where,
    by,
    rows: match.rows === undefined ? '' : String(match.rows),
    people,
    groups: rule.approvers
      .filter((name) => !people.includes(name))
      .map(printApprover)
      .join(' '),
    quorum: rule.quorum,
    expires: rule.expiresMs === undefined ? '' : duration(rule.expiresMs),
    reason: rule.requireReason,
    confirm: rule.confirm === 'rows',
    channel: rule.channel,
    more: options.filter((text) => text !== '').join(' '),
    id: rule.id,
    why: rule.why === `rule ${rule.id}` ? '' : rule.why,
  };
}
