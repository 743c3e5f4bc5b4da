/** A histogram that costs a few nanoseconds an observation: it stands beside every operation that passes. */
import type { Registry } from 'prom-client';

type Options<L extends string> = {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  /** The closed list of the label's values; anything else counts as `other`. */
  readonly values: readonly L[];
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
};

type Series = { readonly counts: number[]; sum: number; count: number };

export class LatencyHistogram<L extends string> {
  readonly name: string;
  readonly #options: Options<L>;
  readonly #series = new Map<string, Series>();

  constructor(options: Options<L>, registry: Registry) {
    this.name = options.name;
    this.#options = options;
    // The registry asks a metric for its name, `get()` and `reset()` only; prom-client's types want its own classes.
    registry.registerMetric(this as unknown as Parameters<Registry['registerMetric']>[0]);
  }

  observe(label: string, value: number): void {
    const series = this.#series.get(label) ?? this.#begin(label);
    const { buckets } = this.#options;
    let at = 0;
    while (at < buckets.length && value > (buckets[at] ?? 0)) at++;
    series.counts[at] = (series.counts[at] ?? 0) + 1;
    series.sum += value;
    series.count++;
  }

  /** As prom-client's Histogram says it: cumulative buckets, sum and count of each series. */
  get() {
    const { name, help, label, buckets } = this.#options;
    const values = [...this.#series].flatMap(([value, { counts, sum, count }]) => {
      const labels = { [label]: value };
      let below = 0;
      const cumulative = [...buckets, '+Inf'].map((le, at) => {
        below += counts[at] ?? 0;
        return { labels: { le, ...labels }, value: below, metricName: `${name}_bucket`, exemplar: null };
      });
      return [
        ...cumulative,
        { labels, value: sum, metricName: `${name}_sum` },
        { labels, value: count, metricName: `${name}_count` },
      ];
    });
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }

  reset(): void {
    this.#series.clear();
  }

  #begin(label: string): Series {
    const known = (this.#options.values as readonly string[]).includes(label) ? label : 'other';
    const series = this.#series.get(known) ?? {
      counts: Array.from({ length: this.#options.buckets.length + 1 }, () => 0),
      sum: 0,
      count: 0,
    };
    this.#series.set(known, series);
    return series;
  }
}
