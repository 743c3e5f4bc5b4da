/** A plan in words, for the person who asks what would happen to a statement. */

import type { MaskFormat } from '../../../masking/profile.ts';
import { displayName } from '../inspect/names.ts';
import type { Output, Plan } from './plan.ts';

const MAX_LINES = 60; // of columns and of conditions, each

const HOW: Readonly<Record<MaskFormat['kind'], string>> = {
  redact: 'redacted',
  last4: 'shown by its last four',
  partial: 'shown by its shape',
  hash: 'shown as a keyed hash',
  null: 'shown as NULL',
  fixed: 'shown as a fixed text',
};

const TELLS: Readonly<Record<Plan['predicates'][number]['kind'], string>> = {
  equality: 'is compared whole',
  order: 'decides the order of rows',
  pattern: 'is tested in part',
  relational: 'is compared with other columns or rows',
};

/** Lines without indentation: what is masked and why, what is asked and why, which conditions read masked columns. */
export function explainPlan(plan: Plan): string[] {
  const lines: string[] = [];
  if (!plan.outputs)
    lines.push('Its columns cannot be told beforehand: each is masked unless the server names a clean origin.');
  else lines.push(...shortened(plan.outputs.map(outputLine).filter((line) => line !== undefined)));
  if (plan.outputs?.every(({ kind }) => kind === 'clean')) lines.push('No column of its result is masked.');
  if (plan.touches.length > 0)
    lines.push(`It touches masked columns of ${shortened(plan.touches.map(displayName)).join(', ')}.`);
  for (const reason of plan.holds) lines.push(`Asked about, because it ${reason}.`);
  const used = new Set(plan.predicates.map(({ column, kind }) => `Condition: ${displayName(column)} ${TELLS[kind]}.`));
  lines.push(...shortened([...used]));
  if (plan.scrub) lines.push('Its errors and notices are shown without details.');
  return lines;
}

function outputLine(output: Output, at: number): string | undefined {
  if (output.kind === 'clean') return undefined;
  const which = `Column ${at + 1}`;
  if (output.kind === 'plain') return `${which} is ${displayName(output.column)}, ${HOW[output.format.kind]}.`;
  return `${which} is redacted: something masked, or unknown, goes into it.`;
}

const shortened = (lines: readonly string[]): string[] =>
  lines.length <= MAX_LINES ? [...lines] : [...lines.slice(0, MAX_LINES), `… and ${lines.length - MAX_LINES} more`];
