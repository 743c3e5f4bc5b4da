/** `/gate rules simulate`: the last day of this gateway's trail against a rule, by what was recorded of each operation. */
import type { Answer } from '../../queue/asks.ts';
import { counted } from '../amount.ts';
import type { Line } from '../audit/chain.ts';
import { recentLines } from '../audit/recent.ts';
import { ACTIONS, type Effect, type Principal } from '../operation.ts';
import { glob } from '../policy/glob.ts';
import type { Policy, Question, Rule, Verdict } from '../policy/policy.ts';
import type { Answers } from './asks.ts';
import { cut } from './bounded.ts';
import { type Surroundings, understood } from './rule-words.ts';
import { seesAll } from './rules.ts';
import { when } from './words.ts';

const DAY_MS = 86_400_000;
const MOST_BYTES = 48 << 20; // some 100,000 operations: what can be read before the deadline, the newest of them
const DEADLINE_MS = 6_000; // whoever asked waits for eight seconds
const MOST_WAITING = 50_000; // reads whose outcome has not been met yet
const MOST_SESSIONS = 100_000;
const MOST_AGENTS = 50;
const SAMPLES = 3;

export type RuleSimulateDeps = {
  /** Where this gateway's evidence is; undefined in a process that leaves it to another of the same gateway. */
  readonly dir: () => string | undefined;
  readonly around: () => Surroundings;
  /** The policy with these rules of Slack's; its file's and all else as in force. */
  readonly compiled: (slackRules: readonly Rule[]) => Pick<Policy, 'evaluate'>;
  readonly now: () => number;
  readonly deadlineMs?: number;
};

type Simulated = NonNullable<Answer['simulated']>;

export function ruleSimulateAnswers(deps: RuleSimulateDeps): Pick<Answers, 'rule-simulate'> {
  let busy = false;
  return {
    'rule-simulate': async ({ line }, asker) => {
      seesAll(asker);
      const around = deps.around();
      const found = understood(line, around);
      if (found.kind === 'wrong') return { ok: false, text: found.text, part: found.part };
      const dir = deps.dir();
      if (dir === undefined) return { ok: true, text: '', simulated: new Tally(found.rule).result() };
      if (busy) return { ok: false, text: 'Another simulation is under way here; ask again in a moment.' };
      busy = true;
      try {
        return await simulated(deps, found.rule, around.slackRules, dir);
      } finally {
        busy = false;
      }
    },
  };
}

async function simulated(deps: RuleSimulateDeps, rule: Rule, slackRules: readonly Rule[], dir: string) {
  const now = deps.compiled(slackRules);
  const then = deps.compiled([...slackRules.filter(({ id }) => id !== rule.id), rule]);
  const tally = new Tally(rule);
  const since = deps.now() - DAY_MS;
  const signal = AbortSignal.timeout(deps.deadlineMs ?? DEADLINE_MS);
  const recent = recentLines(dir, { since, mostBytes: MOST_BYTES, signal });
  let last = since;
  for await (const line of recent.lines) {
    last = Date.parse(line.at);
    tally.take(line, now, then);
  }
  tally.misfits(recent.misfits());
  const partly =
    recent.skipped() > 0 || !recent.ended()
      ? ` Only a part of the last 24 h was read: ${[
          ...(recent.skipped() > 0 ? [`the oldest ${Math.ceil(recent.skipped() / 2 ** 20)} MB were not`] : []),
          ...(recent.ended() ? [] : [`what came after ${when(last)} was not`]),
        ].join(', ')}.`
      : '';
  const result = tally.result();
  const text = `${counted(result.operations, 'operation')} of the last 24 h were looked at.${partly}`;
  return { ok: true, text, simulated: result, sections: partly === '' ? [] : [{ lines: [`⚠️${partly}`] }] };
}

/** How much of a result came, for rules that ask beyond so many rows of it. */
type Waiting = { readonly question: Question; readonly line: Line };

class Tally {
  readonly #rule: Rule;
  readonly #agents = new Map<string, number>();
  readonly #samples: Simulated['samples'] = [];
  readonly #waiting = new Map<string, Waiting>();
  readonly #sessions = new Map<string, Pick<Principal, 'name' | 'groups'>>();
  readonly #needs: { readonly names: boolean; readonly groups: boolean };
  readonly #counts = { operations: 0, held: 0, denied: 0, allowed: 0, unknown: 0 };

  constructor(rule: Rule) {
    this.#rule = rule;
    this.#needs = needsOf(rule);
  }

  misfits(lines: number): void {
    this.#counts.unknown += lines;
  }

  take(line: Line, now: Pick<Policy, 'evaluate'>, then: Pick<Policy, 'evaluate'>): void {
    const { entry } = line;
    if (entry.kind === 'session.start') this.#started(entry);
    else if (entry.kind === 'session.end') this.#sessions.delete(String(entry.session));
    else if (entry.kind === 'outcome') this.#ended(String(entry.operation), entry.rows);
    // What was refused before any rule was asked, the rest of a result, the COMMIT of what was counted already, and
    // changes of the gateway itself are none.
    else if (
      entry.kind === 'operation' &&
      entry.verdict !== 'refused' &&
      !entry.stopped &&
      !entry.touched &&
      entry.connection !== 'gate'
    ) {
      this.#operation(line, now, then);
    }
  }

  #started({ session, name, groups }: Line['entry']): void {
    if (typeof name !== 'string' || !Array.isArray(groups) || this.#sessions.size >= MOST_SESSIONS) return;
    this.#sessions.set(String(session), { name, groups: groups.map(String) });
  }

  #operation(line: Line, now: Pick<Policy, 'evaluate'>, then: Pick<Policy, 'evaluate'>): void {
    this.#counts.operations += 1;
    const question = this.#question(line.entry);
    if (!question) {
      this.#counts.unknown += 1;
      return;
    }
    const verdict = then.evaluate(question);
    const mine = (verdict.kind === 'deny' ? [] : (verdict.budgets ?? [])).filter(({ rule }) => rule === this.#rule.id);
    if (verdict.rules.includes(this.#rule.id) && verdict.kind !== 'allow') this.#stopped(line, verdict.kind);
    else if (
      this.#rule.verdict === 'allow' &&
      passes(verdict) &&
      !passes(now.evaluate(question)) &&
      !isMasked(line.entry)
    ) {
      this.#counts.allowed += 1;
      this.#sample(line, 'allow');
    } else if (mine.length > 0) {
      if (mine.every(({ limit }) => limit.of === 'rows' && limit.per === 'statement')) this.#wait(line, question);
      else this.#counts.unknown += 1; // bytes are not recorded, and hours are counted by each process since its start
    }
  }

  #question({ connection, principal, session, effects }: Line['entry']): Question | undefined {
    const known = this.#sessions.get(String(session));
    const { names, groups } = this.#needs;
    const at = typeof principal === 'string' ? principal.indexOf('#') : -1;
    if (at === -1 || typeof connection !== 'string' || !Array.isArray(effects)) return undefined;
    if ((names || groups) && (!known || (names && known.name.includes('•')))) return undefined;
    const found = effects.map(effectOf);
    if (found.length === 0 || found.some((effect) => effect === undefined)) return undefined;
    const [issuer, subject] = [String(principal).slice(0, at), String(principal).slice(at + 1)];
    const who = { issuer, subject, kind: 'agent', name: known?.name ?? subject, groups: known?.groups ?? [] } as const;
    return { connection, principal: who, effects: found as Effect[], inTransaction: false };
  }

  #wait(line: Line, question: Question): void {
    const id = String(line.entry.operation);
    if (this.#waiting.size >= MOST_WAITING) this.#counts.unknown += 1;
    else this.#waiting.set(id, { line, question });
  }

  /** Of a result as far as it came: what was stopped on its way says nothing of the rest. */
  #ended(operation: string, rows: unknown): void {
    const waiting = this.#waiting.get(operation);
    if (!waiting) return;
    this.#waiting.delete(operation);
    const most = this.#rule.match.rows;
    if (typeof rows !== 'number' || most === undefined) this.#counts.unknown += 1;
    else if (rows > most) this.#stopped(waiting.line, this.#rule.verdict === 'deny' ? 'deny' : 'hold');
  }

  #stopped(line: Line, kind: 'hold' | 'deny'): void {
    if (kind === 'hold') this.#counts.held += 1;
    else this.#counts.denied += 1;
    this.#sample(line, kind);
  }

  /** The newest are shown. */
  #sample({ at, entry }: Line, verdict: string): void {
    const agent = agentOf(entry);
    this.#agents.set(agent, (this.#agents.get(agent) ?? 0) + 1);
    if (this.#samples.length >= SAMPLES) this.#samples.shift();
    this.#samples.push({ at: Date.parse(at), headline: cut(String(entry.headline ?? ''), 300), agent, verdict });
  }

  result(): Simulated {
    const agents = [...this.#agents].sort((a, b) => b[1] - a[1]).slice(0, MOST_AGENTS);
    return {
      ...this.#counts,
      unknown: this.#counts.unknown + this.#waiting.size, // still under way, or ended without a word
      agents: agents.map(([name, times]) => ({ name, count: times })),
      samples: this.#samples,
    };
  }
}

/** What masking asks about is not recorded but for that it did, and no rule lets it pass. */
const isMasked = ({ rules }: Line['entry']): boolean =>
  Array.isArray(rules) && rules.some((rule) => String(rule).startsWith('masking:'));

const passes = ({ kind }: Verdict): boolean => kind === 'allow';

const agentOf = ({ principal }: Line['entry']): string =>
  cut(String(principal).split('#').slice(1).join('#') || '?', 200);

/** Names and groups are known of sessions that began within what was read. */
function needsOf({ match }: Rule): { names: boolean; groups: boolean } {
  const all = [match, match.except ?? {}];
  const bare = (pattern: string) => !pattern.includes('#') && !glob(pattern).everything;
  return {
    names: all.some(({ by }) => by?.some(bare)),
    groups: all.some(({ group }) => group !== undefined),
  };
}

function effectOf(value: unknown): Effect | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { action, object, where, rows } = value as Record<string, unknown>;
  const known = ACTIONS.find((one) => one === action);
  if (!known || typeof object !== 'string') return undefined;
  return {
    action: known,
    object,
    ...(where === 'absent' || where === 'present' ? { where } : {}),
    ...(typeof rows === 'number' ? { rows } : {}),
  };
}
