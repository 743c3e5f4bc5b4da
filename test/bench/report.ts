/** What a run found: rows for the table, the same with every figure as JSON, checked against its schema. */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { z } from 'zod';
import type { RouteName } from './routes.ts';

const figure = z.union([z.number(), z.strictObject({ median: z.number(), min: z.number(), max: z.number() })]);
const cells = z.partialRecord(z.enum(['direct', 'pgbouncer', 'pipe', 'gateway']), z.string());

export const rowSchema = z.strictObject({
  part: z.string(),
  /** What was measured, with its unit. */
  what: z.string(),
  /** As shown in the table, by route. */
  cells,
  /** What the comparison says, in words. */
  compared: z.string(),
  /** DESIGN 11, in words; and whether it was met. Left out: nothing was promised. */
  goal: z.strictObject({ text: z.string(), met: z.enum(['met', 'first step', 'not met']) }).optional(),
  /** Every figure, by name. */
  figures: z.record(z.string(), figure),
});
export type Row = z.infer<typeof rowSchema>;

export const reportSchema = z.strictObject({
  command: z.string(),
  machine: z.strictObject({
    cpus: z.number().int().positive(),
    model: z.string(),
    memoryGb: z.number(),
    load: z.number(),
    node: z.string(),
    postgres: z.string(),
    redis: z.string(),
    pgbouncer: z.string(),
  }),
  seconds: z.number().positive(),
  rows: z.array(rowSchema).min(1),
});
export type Report = z.infer<typeof reportSchema>;

/** What it was measured on. `load` is the machine's at the start: above zero, others were at work. */
export function machine(postgres: string): Report['machine'] {
  const version = (command: string) =>
    /\d+(\.\d+)+/.exec(
      execFileSync(command, ['--version'], {
        encoding: 'utf8',
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
      }),
    )?.[0] ?? 'unknown';
  const all = cpus();
  return {
    cpus: all.length,
    model: all[0]?.model ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    node: process.version,
    postgres,
    redis: version('redis-server'),
    pgbouncer: version('pgbouncer'),
  };
}

/** `met` at the goal, `first step` at what DESIGN 11 asks for first. */
export function atLeast(value: number, goal: number, first?: number): NonNullable<Row['goal']> {
  const text = first === undefined ? `≥ ${goal}` : `≥ ${first}, then ${goal.toFixed(1)}`;
  if (value >= goal) return { text, met: 'met' };
  return { text, met: first !== undefined && value >= first ? 'first step' : 'not met' };
}

export const atMost = (value: number, goal: number, unit: string): NonNullable<Row['goal']> => ({
  text: `≤ ${goal} ${unit}`,
  met: value <= goal ? 'met' : 'not met',
});

const COLUMNS: readonly RouteName[] = ['direct', 'pgbouncer', 'pipe', 'gateway'];

/** One Markdown table for everything. */
export function table(rows: readonly Row[]): string {
  const lines = rows.map(({ what, cells, compared, goal }) => {
    const shown = COLUMNS.map((name) => cells[name] ?? '');
    return `| ${[what, ...shown, compared, goal?.text ?? '', goal?.met ?? ''].join(' | ')} |`;
  });
  return [
    '| what | direct | pgbouncer | Node pipe | gateway | compared | goal | |',
    '|---|--:|--:|--:|--:|---|---|---|',
    ...lines,
  ].join('\n');
}
