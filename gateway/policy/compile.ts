/** Rules and defaults in, a Policy out: who must say yes before what may happen. Pure. */
import { createHash } from 'node:crypto';
import type { Action, Effect, Principal } from '../operation.ts';
import { beyond, CLASS, isLimited, limitsOf } from './budget.ts';
import { guarded } from './guard.ts';
import { RuleIndex } from './index.ts';
import { type Telling, tellingNames } from './match.ts';
import type {
  Budget,
  ConnectionDefaults,
  Demand,
  Escalation,
  Notify,
  Policy,
  Question,
  Rule,
  Verdict,
} from './policy.ts';

type PolicyConnection = {
  readonly name: string;
  readonly default: ConnectionDefaults;
  readonly channel?: string | undefined;
  readonly notify?: Notify | undefined;
};

/** For rules and defaults that do not say themselves. */
type ApprovalDefaults = {
  readonly channel: string;
  readonly approvers: readonly string[];
  readonly expiresMs: number;
  readonly expiresInTransactionMs: number;
  readonly notify?: Notify | undefined;
  readonly escalate?: Escalation | undefined;
};

export type PolicyInput = {
  readonly fileRules: readonly Rule[];
  readonly slackRules: readonly Rule[];
  readonly connections: readonly PolicyConnection[];
  readonly defaults: ApprovalDefaults;
  /** Whose tokens are taken. With more than one, a bare name or group lets nobody pass; absent: there is one. */
  readonly issuers?: readonly { readonly issuer: string; readonly groups?: string | undefined }[] | undefined;
};

type Kind = Verdict['kind'];
type Terms = Omit<Demand, 'expiresMs'> & { readonly expiresMs: number | undefined };
/** Keyed by the rule itself: one made in Slack may carry the id of one in the file, and must not stand in for it. */
type Asking = readonly [key: Rule | string, terms: Terms];
/** What became of one effect: every rule that caused it, with its terms where it holds. */
type Finding = {
  readonly kind: Kind;
  readonly rules: readonly string[];
  readonly terms: readonly Asking[];
  readonly why: string;
  /** Rules with limits on the rows it brings; absent where there is none. */
  readonly limiting?: readonly Asking[] | undefined;
};

const PASS = Object.freeze(['default:pass']);
const SEVERITY: Readonly<Record<Kind, number>> = { allow: 0, hold: 1, deny: 2 };
const MAX_OBJECT = 1_024; // characters; no target has longer names, and matching cost grows with them
const REMEMBERED = 4_096; // findings kept: a working set of tables and principals, a few hundred bytes each

export function compile(input: PolicyInput): Policy {
  const connections = new Map(input.connections.map((connection) => [connection.name, connection]));
  const rules = [...input.fileRules, ...input.slackRules];
  const telling = tellingNames(input.issuers ?? []);
  const index = new RuleIndex(rules, telling);
  const remembered = new Map<string, Finding>();
  const estimates = rules.some(({ match }) => match.rows !== undefined);

  const find = (connection: PolicyConnection, principal: Principal, effect: Effect): Finding => {
    const key = questionKey(connection.name, principal, effect, estimates);
    const known = remembered.get(key);
    if (known) return known;
    const asked = { connection: connection.name, principal, effect };
    const finding = judged(index.matching(asked), connection, effect.action, input.defaults);
    if (remembered.size >= REMEMBERED) remembered.delete(remembered.keys().next().value ?? '');
    remembered.set(key, finding);
    return finding;
  };

  const evaluate = ({ connection: name, principal, effects, inTransaction, usedUp }: Question): Verdict => {
    const connection = connections.get(name);
    if (!connection) return deny('no-such-connection', `there is no connection ${name}`);
    if (effects.length === 0) return deny('no-effects', 'nothing is known of what this would do');
    if (effects.some(({ object }) => object.length > MAX_OBJECT)) return deny('too-long-a-name', 'a name is too long');
    const findings = effects.map((effect) => find(connection, principal, effect));
    const verdict = combine(findings, inTransaction, input.defaults);
    return usedUp ? beyond(verdict, usedUp) : verdict;
  };

  /** Who answers for masked columns: whoever is asked where no rule names others. */
  const termsOf = ({ connection, inTransaction }: Question) => ({
    approvers: input.defaults.approvers,
    channel: connections.get(connection)?.channel ?? input.defaults.channel,
    expiresMs: inTransaction ? input.defaults.expiresInTransactionMs : input.defaults.expiresMs,
  });

  /** Effects that cannot change, of one principal, are judged once: what a statement does is the same object each time. */
  const answered = new WeakMap<readonly Effect[], Answer>();
  return Object.freeze({
    version: versionOf(input, telling),
    rules: Object.freeze(rules),
    evaluate: (question: Question): Verdict => {
      const { connection, effects, inTransaction, usedUp } = question;
      if (usedUp) return evaluate(question);
      if (question.guard || question.reveal) return guarded(evaluate(question), question, termsOf(question));
      const who = principalText(question.principal);
      const known = answered.get(effects);
      if (known?.connection === connection && known.who === who && known.inTransaction === inTransaction) {
        return known.verdict;
      }
      const verdict = evaluate(question);
      if (Object.isFrozen(effects)) answered.set(effects, { connection, who, inTransaction, verdict });
      return verdict;
    },
  });
}

type Answer = Pick<Question, 'connection' | 'inTransaction'> & { readonly who: string; readonly verdict: Verdict };

const deny = (rule: string, why: string): Verdict => ({ kind: 'deny', rules: [rule], rule, why });

/** One effect under the rules that match it: those with limits are budgets of what it reads, and decide nothing yet. */
function judged(
  matching: readonly Rule[],
  connection: PolicyConnection,
  action: Action,
  defaults: ApprovalDefaults,
): Finding {
  if (CLASS[action] !== 'read' || !matching.some(({ match }) => isLimited(match))) {
    return judge(matching, connection, action, defaults);
  }
  const limiting = matching
    .filter(({ match }) => isLimited(match))
    .map((rule): Asking => [rule, ruleTerms(rule, connection, defaults)]);
  const deciding = matching.filter(({ match }) => !isLimited(match));
  return { ...judge(deciding, connection, action, defaults), limiting };
}

/**
 * One effect under the rules that match it. File rules stand in for the default; rules made in Slack only add: their
 * stops come on top of whatever is below, and their allow answers nothing but a `default: hold`.
 */
function judge(
  matching: readonly Rule[],
  connection: PolicyConnection,
  action: Action,
  defaults: ApprovalDefaults,
): Finding {
  const fromFile = matching.filter((rule) => rule.source === 'file');
  const fromSlack = matching.filter((rule) => rule.source === 'slack');
  const allowedInSlack = fromSlack.filter((rule) => rule.verdict === 'allow');
  const stopsInSlack = fromSlack.filter((rule) => rule.verdict !== 'allow');
  const terms = (rule: Rule) => ruleTerms(rule, connection, defaults);

  let base: Finding[];
  if (fromFile.length > 0) base = fromFile.map((rule) => ruleFinding(rule, terms(rule)));
  else {
    base = [defaultFinding(connection, action, defaults)];
    if (base[0]?.kind === 'hold' && allowedInSlack.length > 0) {
      base = allowedInSlack.map((rule) => ruleFinding(rule, terms(rule)));
    }
  }
  return worst([...base, ...stopsInSlack.map((rule) => ruleFinding(rule, terms(rule)))]);
}

/** The worst of several, with everything that is as bad. */
function worst(findings: readonly Finding[]): Finding {
  const kind = findings.reduce<Kind>((a, { kind: b }) => (SEVERITY[b] > SEVERITY[a] ? b : a), 'allow');
  const causes = findings.filter((finding) => finding.kind === kind);
  const terms = new Map(causes.flatMap((cause) => cause.terms));
  return {
    kind,
    rules: Object.freeze([...new Set(causes.flatMap((cause) => cause.rules))]),
    terms: [...terms],
    why: causes[0]?.why ?? '',
  };
}

function ruleFinding(rule: Rule, terms: Terms): Finding {
  return {
    kind: rule.verdict,
    rules: Object.freeze([rule.id]),
    terms: rule.verdict === 'hold' ? [[rule, terms]] : [],
    why: rule.why,
  };
}

function ruleTerms(rule: Rule, connection: PolicyConnection, defaults: ApprovalDefaults): Terms {
  return {
    rule: rule.id,
    why: rule.why,
    approvers: rule.approvers.length > 0 ? rule.approvers : defaults.approvers,
    quorum: rule.quorum,
    requireReason: rule.requireReason,
    expiresMs: rule.expiresMs,
    channel: rule.channel ?? connection.channel ?? defaults.channel,
    ...options(rule, connection, defaults),
  };
}

/** How people are asked, beside whom; only what is set. */
function options(
  rule: Pick<Rule, 'confirm' | 'notify' | 'escalate'>,
  connection: PolicyConnection,
  defaults: ApprovalDefaults,
): Pick<Demand, 'confirm' | 'notify' | 'escalate'> {
  const notify = rule.notify ?? connection.notify ?? defaults.notify;
  const escalate = rule.escalate ?? defaults.escalate;
  return {
    ...(rule.confirm === undefined ? {} : { confirm: rule.confirm }),
    ...(notify === undefined ? {} : { notify }),
    ...(escalate === undefined ? {} : { escalate }),
  };
}

function defaultFinding(connection: PolicyConnection, action: Action, defaults: ApprovalDefaults): Finding {
  const name = CLASS[action] ?? 'unknown';
  if (name === 'pass') return { kind: 'allow', rules: PASS, terms: [], why: 'harmless' };
  const kind = connection.default[name];
  const rule = `default:${name}`;
  const what = name === 'unknown' ? 'statements of unknown effect' : `${name}s`;
  const why = `${connection.name} ${kind === 'hold' ? 'holds' : kind === 'deny' ? 'denies' : 'allows'} ${what} by default`;
  const channel = connection.channel ?? defaults.channel;
  const terms = {
    rule,
    why,
    approvers: defaults.approvers,
    quorum: 1,
    requireReason: false,
    expiresMs: undefined,
    channel,
    ...options({}, connection, defaults),
  };
  return { kind, rules: Object.freeze([rule]), terms: kind === 'hold' ? [[rule, terms]] : [], why };
}

function combine(findings: readonly Finding[], inTransaction: boolean, defaults: ApprovalDefaults): Verdict {
  const [first] = findings;
  const finding = findings.length === 1 && first ? first : worst(findings);
  const { kind, rules } = finding;
  const budgets = findings.some(({ limiting }) => limiting) ? budgetsOf(findings, inTransaction, defaults) : undefined;
  switch (kind) {
    case 'allow':
      return budgets ? { kind, rules, budgets } : { kind, rules };
    case 'deny':
      return { kind, rules, rule: rules[0] ?? 'default', why: finding.why };
    case 'hold': {
      const demands = finding.terms.map(([, terms]) => demand(terms, inTransaction, defaults));
      return budgets ? { kind, rules, demands, budgets } : { kind, rules, demands };
    }
  }
}

/** One for each limit of each rule that any of the effects is under. */
function budgetsOf(
  findings: readonly Finding[],
  inTransaction: boolean,
  defaults: ApprovalDefaults,
): readonly Budget[] {
  const limiting = new Map(findings.flatMap(({ limiting = [] }) => limiting));
  const budgets: Budget[] = [];
  for (const [rule, terms] of limiting) {
    if (typeof rule === 'string') continue; // a default has no limits
    const asked = demand(terms, inTransaction, defaults);
    const count = `${rule.source}:${rule.id}`;
    for (const limit of limitsOf(rule.match)) {
      const about = { key: `${count} ${limit.of}/${limit.per}`, count, rule: rule.id, limit };
      if (rule.verdict === 'deny') budgets.push({ ...about, verdict: 'deny', why: rule.why });
      else budgets.push({ ...about, verdict: 'hold', demand: asked });
    }
  }
  return Object.freeze(budgets);
}

/** A hold inside BEGIN keeps locks, so there the shorter limit applies whatever the rule says. */
function demand(terms: Terms, inTransaction: boolean, defaults: ApprovalDefaults): Demand {
  const expiresMs = terms.expiresMs ?? defaults.expiresMs;
  return { ...terms, expiresMs: inTransaction ? Math.min(expiresMs, defaults.expiresInTransactionMs) : expiresMs };
}

const principalTexts = new WeakMap<Principal, string>();

/** Everything about a principal that a rule can see. */
function principalText(principal: Principal): string {
  let who = principalTexts.get(principal);
  if (who === undefined) {
    who = JSON.stringify([principal.issuer, principal.subject, principal.name, principal.groups]);
    principalTexts.set(principal, who);
  }
  return who;
}

/** Everything about a question that a rule can see, unambiguously in one string. */
function questionKey(
  connection: string,
  principal: Principal,
  { action, object, where, rows }: Effect,
  estimates: boolean,
): string {
  const who = principalText(principal);
  const estimate = estimates ? ` ${rows ?? '?'}` : '';
  // Names of connections, actions and conditions are ours and hold no blanks; the object comes last, whatever it holds.
  return `${connection} ${action} ${where ?? '-'}${estimate} ${who.length} ${who}${object}`;
}

function versionOf({ fileRules, slackRules, connections, defaults }: PolicyInput, telling: Telling): string {
  const all = JSON.stringify([fileRules, slackRules, connections, defaults, telling].map(canonical));
  return createHash('sha256').update(all).digest('hex');
}

/** The same value always as the same text: keys in order. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, canonical(item)]),
  );
}
