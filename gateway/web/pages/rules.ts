/** `/rules`: what is held, denied and allowed, and by whose word. Read only. Pure. */
import { counted } from '../../amount.ts';
import type { Rule, RuleMatch } from '../../policy/policy.ts';
import { type Html, html } from './html.ts';
import { badge, nothing } from './layout.ts';
import { lasting } from './text.ts';

export type Rules = {
  readonly version: string;
  readonly slackVersion: number;
  readonly rules: readonly Rule[];
  /** Left out: they are about others. */
  readonly hidden: number;
  readonly names: ReadonlyMap<string, string>;
};

export function rulesPage({ version, slackVersion, rules, hidden, names }: Rules): Html {
  const of = (source: Rule['source']) => rules.filter((rule) => rule.source === source);
  return html`<div class="title"><h1>Rules</h1><p class="as-of">Policy <code>${version.slice(0, 12)}</code>; rules made in Slack are at version ${slackVersion}. What no rule matches is judged by its connection’s default.</p></div>
${hidden > 0 ? html`<p class="notice">${counted(hidden, 'rule')} about others ${hidden === 1 ? 'is' : 'are'} not shown.</p>` : ''}
<section><div class="heading"><h2>The floor</h2><p>From the configuration file: nothing made in Slack takes away from it.</p></div>${cards(of('file'), names)}</section>
<section><div class="heading"><h2>Made in Slack</h2><p>They add to the floor.</p></div>${cards(of('slack'), names)}</section>`;
}

const cards = (rules: readonly Rule[], names: ReadonlyMap<string, string>): Html =>
  rules.length === 0
    ? nothing('There are none.')
    : html`<ul class="cards">${rules.map(
        (
          rule,
        ) => html`<li class="card rule" id="rule-${rule.id}"><p class="headline">${badge(rule.verdict, rule.verdict)} <b>${rule.id}</b></p>
<p>${rule.why}</p>
<dl class="facts">${terms(rule.match).map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}${
          rule.verdict === 'hold' || rule.approvers.length > 0
            ? html`<div><dt>asks</dt><dd>${counted(rule.quorum, 'approval')} of ${rule.approvers.map((name) => names.get(name) ?? name).join(', ') || 'the default approvers'}${rule.requireReason ? ', with a reason' : ''}${rule.expiresMs === undefined ? '' : `, within ${lasting(rule.expiresMs)}`}</dd></div>`
            : ''
        }</dl></li>`,
      )}</ul>`;

function terms(match: RuleMatch): (readonly [string, string])[] {
  const { except, ...keys } = match;
  const said = Object.entries(keys).flatMap(([key, value]) =>
    value === undefined
      ? []
      : [
          [
            key,
            Array.isArray(value) ? value.join(', ') : `${typeof value === 'number' ? 'more than ' : ''}${value}`,
          ] as const,
        ],
  );
  const not = except ? terms(except).map(([key, value]) => `${key} ${value}`) : [];
  const all = said.length === 0 ? [['matches', 'everything'] as const] : said;
  return not.length === 0 ? all : [...all, ['except', not.join('; ')] as const];
}
