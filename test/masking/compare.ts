/** Ordinary work done twice, at the target itself and through the gateway: what is different and should not be. */
import { type Evidence, LabClient, type Result, type Target } from './client.ts';
import { Finder, recover } from './decoders.ts';
import type { Ordinary } from './ordinary/types.ts';
import { Resetter } from './reset.ts';
import type { Route } from './route.ts';
import { speak } from './speak.ts';

const STEP_MS = 5_000;

export class Comparison {
  readonly #route: Route;
  readonly #resetter: Resetter;
  readonly #finder: Finder;

  private constructor(route: Route, resetter: Resetter) {
    this.#route = route;
    this.#resetter = resetter;
    this.#finder = new Finder(route.lab.canaries.all);
  }

  static async open(route: Route): Promise<Comparison> {
    return new Comparison(route, await Resetter.open(route.server, route.lab.database));
  }

  /** Whether somebody was asked, and what is different besides; nothing, when it is as it should be. */
  async compare(work: Ordinary): Promise<{ readonly held: boolean; readonly wrong: readonly string[] }> {
    const straight = await this.#perform(work, this.#route.straight);
    const through = await this.#perform(work, await this.#route.target());
    const what: string[] = [];
    const leaks = recover(through.evidence, this.#finder)
      .filter(({ whole }) => whole)
      .map(({ canary, how }) => `LEAK ${canary.where} by ${how}`);
    if (through.end === 'held') return { held: true, wrong: leaks };
    if (through.end !== 'ready') what.push(`${through.end}: ${through.evidence.notices.map(({ M }) => M).join(' | ')}`);
    const codes = ({ errors }: Evidence) => errors.map(({ C }) => C).join(' ');
    if (codes(straight.evidence) !== codes(through.evidence))
      what.push(
        `errors ${codes(straight.evidence)} became ${through.evidence.errors.map(({ C, M }) => `${C} ${M}`).join(' | ')}`,
      );
    if (straight.evidence.results.length !== through.evidence.results.length)
      what.push(`${straight.evidence.results.length} results became ${through.evidence.results.length}`);
    for (const [at, result] of straight.evidence.results.entries()) {
      const other = through.evidence.results[at];
      if (other) what.push(...differences(result, other, work));
    }
    return { held: false, wrong: [...what, ...leaks] };
  }

  async close(): Promise<void> {
    await this.#resetter.close();
  }

  async #perform(work: Ordinary, target: Target): Promise<{ evidence: Evidence; end: string }> {
    const client = await LabClient.open(target);
    let end = 'ready';
    for (const sql of work.sql) {
      const { params = [], copy, protocol = 'simple' } = work;
      const step = {
        sql,
        params,
        protocol: protocol === 'simple' ? ('simple' as const) : ('extended' as const),
        binary: protocol === 'binary',
        ...(copy === undefined ? {} : { copy }),
      };
      const now = await speak(client, step, STEP_MS);
      if (now !== 'ready') end = now;
      if (now === 'held') await client.cancel(STEP_MS);
    }
    client.close();
    await this.#resetter.reset();
    return { evidence: client.evidence, end };
  }
}

function* differences(straight: Result, through: Result, { masked = [] }: Ordinary): Generator<string> {
  if (straight.tag !== through.tag) yield `tag ${straight.tag} became ${through.tag}`;
  const shape = ({ fields }: Result) =>
    fields?.map(({ label, type, format }) => `${label}:${type}:${format}`).join(' ');
  if (shape(straight) !== shape(through)) yield `columns ${shape(straight)} became ${shape(through)}`;
  if (straight.rows.length !== through.rows.length) yield `${straight.rows.length} rows became ${through.rows.length}`;
  if (!Buffer.concat(straight.copied).equals(Buffer.concat(through.copied))) yield 'other data were copied';
  for (const [at, field] of (straight.fields ?? []).entries()) {
    const is = (row: Result['rows'][number] | undefined) => row?.[at]?.toString('hex');
    const hidden = masked.includes(field.label);
    const wrong = straight.rows.findIndex((row, n) =>
      hidden ? is(row) !== undefined && is(row) === is(through.rows[n]) : is(row) !== is(through.rows[n]),
    );
    if (wrong >= 0 && hidden) yield `${field.label} is not masked`;
    else if (wrong >= 0) yield `${field.label}: ${straight.rows[wrong]?.[at]} became ${through.rows[wrong]?.[at]}`;
  }
}
