/** A rule as the line that says it: what line.ts reads back to the same rule. Pure. */

import { defaultWhy } from './line.ts';
import { KEYWORDS } from './line-read.ts';
import type { Escalation, Rule, RuleMatch } from './policy.ts';

/** The whole rule, its id included. */
export function printLine(rule: Rule): string {
  const { match, approvers, quorum, expiresMs, channel, confirm, notify, escalate } = rule;
  return [
    rule.verdict,
    match.action?.join() ?? '*',
    'on',
    target(match),
    ...conditions(match),
    ...(match.rows === undefined ? [] : [`rows > ${match.rows}`]),
    ...limits(match),
    ...(match.except ? [`except (${exception(match.except)})`] : []),
    ...(approvers.length > 0 ? [`approvers ${approvers.map(printApprover).join(' ')}`] : []),
    ...(quorum === 1 ? [] : [`quorum ${quorum}`]),
    ...(expiresMs === undefined ? [] : [`expires ${duration(expiresMs)}`]),
    ...(rule.requireReason ? ['require reason'] : []),
    ...(confirm === undefined ? [] : [`confirm ${confirm}`]),
    ...(channel === undefined ? [] : [`in ${channel}`]),
    ...(notify === undefined ? [] : [`notify ${notify}`]),
    ...(escalate === undefined ? [] : [printEscalation(escalate)]),
    `id ${word(rule.id, PLAIN)}`,
    ...(rule.why === defaultWhy(rule.id) ? [] : [quoted(rule.why)]),
  ].join(' ');
}

/** What a rule matches, in the parts that a form has fields for; `more` is the rest. */
export function printMatch(match: RuleMatch) {
  const { connection, object, where: _, rows: _rows, ...rest } = match;
  const all = target({ object });
  return {
    connections: connection === undefined ? [] : connections(connection),
    objects: object === undefined ? '' : all.slice(all.indexOf('.') + 1),
    by: conditions(rest).join(' ').replace(/^by /, ''),
    more: [...limits(match), ...(match.except ? [`except (${exception(match.except)})`] : [])].join(' '),
  };
}

/** All limits but that on the rows of one result. */
const limits = ({ bytes, rowsPerHour, bytesPerHour }: RuleMatch): string[] => [
  ...(bytes === undefined ? [] : [`bytes > ${printSize(bytes)}`]),
  ...(rowsPerHour === undefined ? [] : [`rows per hour > ${rowsPerHour}`]),
  ...(bytesPerHour === undefined ? [] : [`bytes per hour > ${printSize(bytesPerHour)}`]),
];

/** `escalate @leads after 5m` */
export const printEscalation = ({ to, afterMs }: Escalation): string =>
  `escalate ${printApprover(to)} after ${duration(afterMs)}`;

/** The conditions alone, as they follow `on`: for sentences about a rule. */
function conditions({ where, by, group }: Pick<RuleMatch, 'where' | 'by' | 'group'>): string[] {
  return [
    ...(where === undefined ? [] : [`where ${where}`]),
    ...(by === undefined ? [] : [`by ${by.map((name) => (isGroup(name) ? quoted(name) : word(name, NAME))).join()}`]),
    ...(group === undefined ? [] : [`by ${group.map((name) => `group:${word(name, NAME)}`).join()}`]),
  ];
}

const isGroup = (name: string): boolean => name.toLowerCase().startsWith('group:');

function exception(except: NonNullable<RuleMatch['except']>): string {
  const { action, connection, object } = except;
  return [
    ...(action ? [action.join()] : []),
    ...(connection || object ? ['on', target(except)] : []),
    ...conditions(except),
  ].join(' ');
}

/** `*` alone says that no connection is named; a pattern that is just that stands in quotes. */
function target({ connection, object }: Pick<RuleMatch, 'connection' | 'object'>): string {
  const before = connection === undefined ? '*' : connections(connection).join();
  if (object === undefined) return before;
  const [first = '', ...rest] = object;
  const head = FIRST_OBJECT.test(first) ? first : quoted(first);
  const dots = 1 + (head === first ? dotsIn(first) : 0);
  // What has as many dots as the first target could be meant as one of its own.
  const later = rest.map((name) => (dotsIn(name) < dots ? word(name, FIRST_OBJECT) : quoted(name)));
  return `${before}.${[head, ...later].join()}`;
}

const connections = (names: readonly string[]): string[] =>
  names.length === 1 && names[0] === '*' ? ['"*"'] : names.map((name) => word(name, PLAIN));

const dotsIn = (name: string): number => name.split('.').length - 1;

const PLAIN = /^[A-Za-z0-9_*$/+=:~-]+$/;
const FIRST_OBJECT = /^[A-Za-z0-9_*$/+=:~.-]+$/;
const NAME = /^[A-Za-z0-9_*$/+=:~.@#-]+$/;

const word = (text: string, bare: RegExp): string =>
  bare.test(text) && !KEYWORDS.has(text.toLowerCase()) ? text : quoted(text);

export const printApprover = (name: string): string => {
  const rest = /^oidc:(.*)$/s.exec(name)?.[1];
  return rest === undefined ? name : `oidc:${word(rest, NAME)}`;
};

/** Whatever it holds, on one line. */
function quoted(text: string): string {
  let inside = '';
  for (const character of text) {
    if (character === '"' || character === '\\') inside += `\\${character}`;
    else if (character === '\n') inside += '\\n';
    else if (HIDDEN.test(character)) inside += `\\u{${character.codePointAt(0)!.toString(16)}}`;
    else inside += character;
  }
  return `"${inside}"`;
}

/** Nothing that a reader could take for something else. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

const UNITS = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** `15m`: the largest unit that says it exactly. */
export function duration(ms: number): string {
  const [unit, of] = UNITS.find(([, unitMs]) => ms % unitMs === 0) ?? ['ms', 1];
  return `${ms / of}${unit}`;
}

const SIZES = [
  ['GB', 1 << 30],
  ['MB', 1 << 20],
  ['KB', 1 << 10],
] as const;

/** `10MB`: the same for bytes. */
export function printSize(bytes: number): string {
  const [unit, of] = SIZES.find(([, unitBytes]) => bytes > 0 && bytes % unitBytes === 0) ?? ['B', 1];
  return `${bytes / of}${unit}`;
}
