/** `/gate rules`: what is in force, and its changes by command. Rules of the file are the floor and change only there. */
import type { Section } from '../../queue/asks.ts';
import { counted } from '../amount.ts';
import { GatewayError } from '../errors.ts';
import { ACTIONS } from '../operation.ts';
import { printLine } from '../policy/line-print.ts';
import type { ConnectionDefaults, Rule } from '../policy/policy.ts';
import type { KeptSet, RulesHistory } from '../state/rules-history.ts';
import type { Answers, Asker, Said } from './asks.ts';
import { type ChangeDeps, changeRules, looked } from './rule-change.ts';
import { difference, differenceText, formOf, type Surroundings, type Understood, understood } from './rule-words.ts';
import { peopleAmong, when } from './words.ts';

export type RulesDeps = ChangeDeps & {
  readonly history: Pick<RulesHistory, 'read' | 'rules' | 'recent'>;
  readonly around: () => Surroundings;
  readonly connections: () => readonly { readonly name: string; readonly default: ConnectionDefaults }[];
};

type Mine = 'rules' | 'rule-add' | 'rule-check' | 'rule-form' | 'rule-remove' | 'rule-revert';

const CODE_CHARACTERS = 2_600; // of a part of an answer
const FLOOR_PARTS = 10;
const LATEST = 4;
const MOST_OPTION = 75; // characters, in a menu of Slack's
const MOST_FORM = 2_800; // characters of a line that a form's fields surely take

export function rulesAnswers(deps: RulesDeps): Pick<Answers, Mine> {
  const { rules, history, around } = deps;
  const fileRules = () => around().fileRules;
  const named = (id: string): Rule => {
    const found = rules.current().rules.find((rule) => rule.id === id);
    if (found) return found;
    const isFile = fileRules().some((rule) => rule.id === id);
    throw new GatewayError(
      'CONFIG',
      isFile ? `${id} is a rule of the configuration file and changes only there` : `there is no rule ${id}`,
    );
  };

  return {
    rules: async (_, asker) => {
      seesAll(asker);
      const set = rules.current();
      const made = set.rules.map((rule) => ruleSection(rule, asker));
      const latest = await history.recent(LATEST).catch(() => []);
      const text =
        set.version === 0
          ? `No rule was made in Slack yet; ${counted(fileRules().length, 'rule')} in the configuration file.`
          : `${counted(made.length, 'rule')} made in Slack (version ${set.version}), ${fileRules().length} in the configuration file.`;
      return { ok: true, text, sections: [...made, ...latestSections(latest, asker), ...floor(deps)] };
    },

    'rule-check': async ({ line }, asker) => {
      seesAll(asker);
      const found = understood(line, around());
      if (found.kind === 'wrong') return wrong(found, found.text);
      const { about, loosens } = looked(deps, put(found.rule));
      const same = differenceText(about) === '';
      const text = same
        ? 'That is how the rules are: nothing would change.'
        : loosens.length === 0
          ? 'Understood. It tightens the rules and would hold at once.'
          : `Understood. It loosens the rules (${loosens.join('; ')}): a second admin would have to approve it.`;
      return { ok: true, text, sections: [{ lines: [], code: printLine(found.rule) }] };
    },

    'rule-add': async ({ line }, asker) => {
      const found = understood(line, around());
      if (found.kind === 'wrong') return wrong(found, `Nothing was changed. ${found.text}`);
      const { rule } = found;
      const isNew = !rules.current().rules.some(({ id }) => id === rule.id);
      return changeRules(deps, { asker, done: `Rule ${rule.id} ${isNew ? 'added' : 'changed'}`, change: put(rule) });
    },

    'rule-form': async ({ rule: id }, asker) => {
      if (!asker.admin) throw new GatewayError('DENIED', 'only admins make rules');
      const choice = { connections: around().connections.slice(0, 100), actions: [...ACTIONS] };
      if (id === undefined) return { ok: true, text: '', form: choice };
      const rule = named(id);
      const form = formOf(rule);
      if (printLine(rule).length > MOST_FORM || form.connections.some((name) => name.length > MOST_OPTION)) {
        const text = `${id} is too long for a form: change it with npm run rules -- export and import.`;
        return { ok: false, text };
      }
      return { ok: true, text: '', form: { ...choice, rule: form } };
    },

    'rule-remove': async ({ rule: id }, asker) => {
      named(id);
      const change = (now: readonly Rule[]) => now.filter((rule) => rule.id !== id);
      return changeRules(deps, { asker, done: `Rule ${id} removed`, change });
    },

    'rule-revert': async ({ version }, asker) => {
      const [was, is] = await Promise.all([history.rules(version - 1), history.rules(version)]);
      if (!is || !was) {
        const newest = rules.current().version;
        const text =
          version > newest
            ? `There is no version ${version}: the newest is ${newest}.`
            : `Version ${version} is no longer kept: the last 50 are.`;
        return { ok: false, text };
      }
      return changeRules(deps, { asker, done: `Version ${version} reverted`, change: back(was, is, version) });
    },
  };
}

const wrong = ({ part, at }: Extract<Understood, { kind: 'wrong' }>, text: string): Said => ({
  ok: false,
  text,
  part,
  ...(at === undefined ? {} : { at }),
});

/** In place of the one with its id, else at the end. */
const put =
  (rule: Rule) =>
  (now: readonly Rule[]): readonly Rule[] =>
    now.some(({ id }) => id === rule.id) ? now.map((one) => (one.id === rule.id ? rule : one)) : [...now, rule];

/** What that version changed, the other way round; what others changed since stays as it is. */
function back(was: readonly Rule[], is: readonly Rule[], version: number) {
  const lineOf = (rules: readonly Rule[], id: string) => {
    const rule = rules.find((one) => one.id === id);
    return rule && printLine(rule);
  };
  const touched = [...new Set([...was, ...is].map(({ id }) => id))].filter((id) => lineOf(was, id) !== lineOf(is, id));
  return (now: readonly Rule[]): readonly Rule[] => {
    const later = touched.find((id) => lineOf(now, id) !== lineOf(is, id) && lineOf(now, id) !== lineOf(was, id));
    if (later !== undefined) {
      const text = `rule ${later} was changed again after version ${version}; revert that first, or change the rule itself`;
      throw new GatewayError('CONFIG', text);
    }
    let next = now.filter(({ id }) => !touched.includes(id) || was.some((rule) => rule.id === id));
    for (const rule of was) if (touched.includes(rule.id)) next = [...put(rule)(next)];
    return next;
  };
}

/** @throws GatewayError DENIED */
export function seesAll({ admin, approver }: Asker): void {
  if (!admin && !approver) throw new GatewayError('DENIED', 'only approvers and admins see the rules');
}

function ruleSection(rule: Rule, { admin }: Asker): Section {
  const buttons: Section['buttons'] = [
    { label: 'Edit', line: `rules edit ${rule.id}` },
    { label: 'Remove', line: `rules remove ${rule.id}`, confirm: `Removes the rule ${rule.id}.`, danger: true },
  ];
  return { title: rule.id, lines: [], code: printLine(rule), ...(admin ? { buttons } : {}) };
}

/** The newest changes, each with its way back. */
function latestSections(latest: readonly KeptSet[], { admin }: Asker): Section[] {
  if (latest.length === 0) return [];
  const lines: string[] = [];
  const buttons: NonNullable<Section['buttons']> = [];
  for (const [i, set] of latest.entries()) {
    const before = latest[i + 1]?.rules ?? (set.version === 1 ? [] : undefined);
    if (!before && i > 0) break; // it is here to compare with
    const changed = before ? difference(before, set.rules) : undefined;
    const what = changed ? `: +${changed.added.length} −${changed.removed.length} rules` : '';
    const agreed = set.approvedBy.length > 0 ? `, approved by ${set.approvedBy.join(', ')}` : '';
    lines.push(`Version ${set.version}, ${when(set.at)}, by ${set.by}${agreed}${what}`);
    const confirm = `Takes back what version ${set.version} changed.`;
    if (admin) buttons.push({ label: `Revert ${set.version}`, line: `rules revert ${set.version}`, confirm });
  }
  const people = peopleAmong(...latest.flatMap(({ by, approvedBy }) => [by, ...approvedBy]));
  return [{ title: 'Latest changes', lines, ...people, ...(buttons.length > 0 ? { buttons } : {}) }];
}

/** What only the configuration file changes: its rules, and what holds where no rule matches. */
function floor({ around, connections }: Pick<RulesDeps, 'around' | 'connections'>): Section[] {
  const { fileRules } = around();
  const pages: string[][] = [];
  let room = 0;
  let shown = 0;
  for (const rule of fileRules) {
    const line = printLine(rule);
    room -= line.length + 1;
    if (room < 0) {
      if (pages.length === FLOOR_PARTS) break;
      pages.push([]);
      room = CODE_CHARACTERS - line.length;
    }
    pages.at(-1)?.push(line);
    shown += 1;
  }
  const left = fileRules.length - shown;
  const parts = pages.map(
    (lines, i): Section => ({
      ...(i === 0 ? { title: 'The floor: rules of the configuration file' } : {}),
      lines: left > 0 && i === pages.length - 1 ? [`… and ${counted(left, 'rule')} more below these.`] : [],
      code: lines.join('\n'),
    }),
  );
  const defaults = connections()
    .slice(0, 50)
    .map(({ name, default: by }) => `${name}: read ${by.read}, write ${by.write}, unknown ${by.unknown}`);
  return [...parts, { title: 'Where no rule matches', lines: defaults }];
}
