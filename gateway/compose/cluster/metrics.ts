/** What ended workers had counted: a total never falls because a process was replaced. Gauges end with their process. */
import type { MetricsAsJson } from '../../web/metrics.ts';

type Metric = MetricsAsJson[number];
type Value = Metric['values'][number] & { readonly metricName?: string };

export class KeptMetrics {
  readonly #metrics = new Map<string, { readonly metric: Metric; readonly values: Map<string, Value> }>();

  keep(metrics: MetricsAsJson): void {
    for (const metric of metrics) {
      if (String(metric.type) === 'gauge') continue;
      const kept = this.#metrics.get(metric.name) ?? { metric, values: new Map<string, Value>() };
      this.#metrics.set(metric.name, kept);
      for (const value of metric.values as Value[]) {
        const key = JSON.stringify([value.metricName, Object.entries(value.labels).sort()]);
        kept.values.set(key, { ...value, value: value.value + (kept.values.get(key)?.value ?? 0) });
      }
    }
  }

  all(): MetricsAsJson {
    return [...this.#metrics.values()].map(({ metric, values }) => ({ ...metric, values: [...values.values()] }));
  }
}
