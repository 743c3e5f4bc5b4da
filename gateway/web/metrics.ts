/** What Prometheus reads. Every label comes from a closed list or the configuration: nothing a client sends makes a series. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  Histogram,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';
import { LatencyHistogram } from './latency.ts';

/** Every metric of one process, as plain values. */
export type MetricsAsJson = readonly MetricObjectWithValues<MetricValue<string>>[];

/** Asked when the metrics are read. */
export type MetricSources = {
  readonly sessions: () => number;
  readonly holdsOpen: () => number;
  /** Age of the oldest open hold, ms; 0 without one. */
  readonly oldestHoldMs: () => number;
  readonly auditLag: () => { readonly bytes: number; readonly ms: number };
  /** Sessions being recorded here, and bytes of them that are on their way to the disk; absent: nothing is recorded. */
  readonly recordings?: () =>
    | { readonly live: number; readonly pending: number; readonly waiting?: number }
    | undefined;
  /** The ways out of the audit trail that this process sends to: of several processes, one does. */
  readonly sinks?: () => Iterable<readonly [sink: string, numbers: SinkNumbers]>;
  /** Seconds since each connection's catalogue was last looked at. */
  readonly catalogueAges: () => Iterable<readonly [connection: string, seconds: number]>;
  /** Names of the configured connections; any other becomes `other`. */
  readonly connections: () => readonly string[];
  /** Lines of the log that were dropped because nobody read them, in all. */
  readonly logLost: () => number;
  /** Of the other processes of this gateway: what is read is all of them together. */
  readonly others?: (mine: MetricsAsJson) => Promise<readonly MetricsAsJson[]>;
};

type SinkNumbers = {
  readonly entries: number;
  readonly seconds: number;
  readonly delivered: number;
  readonly stuck: boolean;
};

const VERDICTS = ['allow', 'hold', 'deny', 'refused'] as const;
const WHYS = ['origin', 'taint', 'unknown', 'detector'] as const;
const PREDICATES = ['equality', 'order', 'pattern', 'relational'] as const;
const ENDS = ['approved', 'denied', 'expired', 'withdrawn', 'lost'] as const;

export type Metrics = {
  operation(verdict: (typeof VERDICTS)[number], protocol: string, connection: string): void;
  /** A hold's end; `ms` from its opening. */
  decided(state: string, ms: number): void;
  /** What the gateway itself added to an operation nobody had to approve, ms. */
  added(protocol: string, ms: number): void;
  vote(counted: boolean): void;
  /** Somebody asked for this with `/gate`. */
  ask(command: string, result: 'answered' | 'refused'): void;
  signIn(accepted: boolean): void;
  /** Values masked in results, by why (`origin`, `taint`, `unknown`, `detector`). */
  masked(connection: string, counts: Readonly<Record<string, number>>): void;
  /** Conditions that read masked columns, by kind (`equality`, `order`, `pattern`, `relational`). */
  predicate(connection: string, kind: string): void;
  /** The Prometheus text format and its content type. */
  read(): Promise<{ readonly type: string; readonly text: string }>;
  /** Of this process alone. */
  json(): Promise<MetricsAsJson>;
  stop(): void;
};

const PROTOCOLS = ['postgres', 'mysql', 'ssh', 'http', 'mcp', 'redis'] as const;
const MAX_TALLIES = 64;

type Tally = {
  readonly connection: string;
  readonly verdict: string;
  readonly protocol: string;
  readonly labels: { readonly verdict: string; readonly protocol: string; readonly connection: string };
  count: number;
};

const among = (value: string, allowed: readonly string[]) => (allowed.includes(value) ? value : 'other');

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  /** `together`: what several processes' values make. */
  const gauge = (name: string, help: string, together: 'sum' | 'max', read: () => number) =>
    new Gauge({
      name: `countersign_${name}`,
      help,
      registers,
      aggregator: together,
      collect() {
        this.set(read());
      },
    });
  gauge('sessions', 'Live client sessions', 'sum', sources.sessions);
  gauge('holds_open', 'Operations waiting for a human', 'sum', sources.holdsOpen);
  gauge('hold_oldest_seconds', 'Age of the oldest open hold', 'max', () => sources.oldestHoldMs() / 1_000);
  const waiting = 'Audit entries not yet handed to the kernel';
  gauge('audit_queue_bytes', waiting, 'sum', () => sources.auditLag().bytes);
  gauge(
    'audit_lag_seconds',
    'Age of the oldest audit entry not yet handed to the kernel',
    'max',
    () => sources.auditLag().ms / 1_000,
  );

  gauge('recordings_live', 'Sessions being recorded', 'sum', () => sources.recordings?.()?.live ?? 0);
  const unwritten = 'What was recorded and is not in its file yet';
  gauge('recordings_queue_bytes', unwritten, 'sum', () => sources.recordings?.()?.pending ?? 0);
  const unsent = 'Complete recordings that are not in their store yet';
  gauge('recordings_waiting', unsent, 'sum', () => sources.recordings?.()?.waiting ?? 0);

  new Counter({
    name: 'countersign_log_lines_lost_total',
    help: 'Log lines that were dropped because nobody read stdout',
    registers,
    collect() {
      this.reset();
      this.inc(sources.logLost());
    },
  });

  const loop = monitorEventLoopDelay({ resolution: 20 });
  loop.enable();
  gauge('event_loop_lag_seconds', 'Event-loop delay, 99th percentile since the last read', 'max', () => {
    const seconds = loop.percentile(99) / 1e9;
    loop.reset();
    return Number.isFinite(seconds) ? seconds : 0;
  });

  const operations = new Counter({
    name: 'countersign_operations_total',
    help: 'Operations by verdict',
    labelNames: ['verdict', 'protocol', 'connection'] as const,
    registers,
    collect: () => {
      for (const tally of tallies.splice(0)) operations.inc(tally.labels, tally.count);
    },
  });
  /** Counted since the metrics were last read: prom-client's own look-up of a series is no part of an operation's way. */
  const tallies: Tally[] = [];
  const count = (verdict: string, protocol: string, connection: string) => {
    for (const tally of tallies) {
      if (tally.connection !== connection || tally.verdict !== verdict || tally.protocol !== protocol) continue;
      tally.count++;
      return;
    }
    const labels = {
      verdict: among(verdict, VERDICTS),
      protocol: among(protocol, PROTOCOLS),
      connection: among(connection, sources.connections()),
    };
    tallies.push({ connection, verdict, protocol, labels, count: 1 });
    if (tallies.length > MAX_TALLIES) for (const tally of tallies.splice(0)) operations.inc(tally.labels, tally.count);
  };
  const decisions = new Histogram({
    name: 'countersign_decision_seconds',
    help: 'Time from opening a hold to its end',
    labelNames: ['state'] as const,
    buckets: [1, 5, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600],
    registers,
  });
  const latency = new LatencyHistogram(
    {
      name: 'countersign_added_latency_seconds',
      help: 'What the gateway added to an operation nobody had to approve',
      label: 'protocol',
      values: PROTOCOLS,
      buckets: [0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25],
    },
    registry,
  );
  const votes = new Counter({
    name: 'countersign_votes_total',
    help: 'Votes',
    labelNames: ['counted'] as const,
    registers,
  });
  const asks = new Counter({
    name: 'countersign_asks_total',
    help: 'What people asked for with /gate, in buttons and in App Home, of this gateway',
    labelNames: ['command', 'result'] as const,
    registers,
  });
  const signIns = new Counter({
    name: 'countersign_sign_ins_total',
    help: 'Tokens presented for exchange',
    labelNames: ['accepted'] as const,
    registers,
  });

  const masked = new Counter({
    name: 'countersign_masked_values_total',
    help: 'Values masked in results: a masked column, something computed of one, of unknown origin, found by a detector',
    labelNames: ['connection', 'why'] as const,
    registers,
  });
  const predicates = new Counter({
    name: 'countersign_masked_predicates_total',
    help: 'Conditions that read masked columns: each can tell something about a value',
    labelNames: ['connection', 'kind'] as const,
    registers,
  });
  new Gauge({
    name: 'countersign_catalogue_age_seconds',
    help: 'How long ago the catalogue of a connection was last looked at',
    labelNames: ['connection'] as const,
    registers,
    aggregator: 'max',
    collect() {
      this.reset();
      for (const [connection, seconds] of sources.catalogueAges()) this.set({ connection }, seconds);
    },
  });

  sinkMetrics(sources, registry);

  return {
    operation: count,
    decided: (state, ms) => decisions.observe({ state: among(state, ENDS) }, ms / 1_000),
    added: (protocol, ms) => latency.observe(protocol, ms / 1_000),
    vote: (counted) => votes.inc({ counted: String(counted) }),
    ask: (command, result) => asks.inc({ command, result }),
    signIn: (accepted) => signIns.inc({ accepted: String(accepted) }),
    masked: (connection, counts) => {
      const name = among(connection, sources.connections());
      for (const why of WHYS) if (counts[why]) masked.inc({ connection: name, why }, counts[why]);
    },
    predicate: (connection, kind) =>
      predicates.inc({ connection: among(connection, sources.connections()), kind: among(kind, PREDICATES) }),
    read: async () => {
      const mine = await registry.getMetricsAsJSON();
      const others = (await sources.others?.(mine)) ?? [];
      const all = together([mine, ...others]);
      return { type: registry.contentType, text: await all.metrics() };
    },
    json: () => registry.getMetricsAsJSON(),
    stop: () => loop.disable(),
  };
}

/** Of each sink: how far it is behind, and whether its receiver refuses. */
function sinkMetrics({ sinks = () => [] }: MetricSources, registry: Registry): void {
  const registers = [registry];
  const labelNames = ['sink'] as const;
  const gauge = (name: string, help: string, read: (state: SinkNumbers) => number) =>
    new Gauge({
      name: `countersign_sink_${name}`,
      help,
      labelNames,
      registers,
      aggregator: 'max',
      collect() {
        this.reset();
        for (const [sink, state] of sinks()) this.set({ sink }, read(state));
      },
    });
  gauge('behind_entries', 'Audit entries that a sink has not delivered yet', ({ entries }) => entries);
  gauge('behind_seconds', 'Age of the oldest audit entry that a sink has not delivered yet', ({ seconds }) => seconds);
  gauge('stuck', '1 while the receiver of a sink refuses what it is sent', ({ stuck }) => Number(stuck));
  new Counter({
    name: 'countersign_sink_delivered_total',
    help: 'Audit entries that a sink has delivered',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const [sink, { delivered }] of sinks()) this.inc({ sink }, delivered);
    },
  });
}

/** Typed by prom-client as if it took single metrics; it takes what each registry says as JSON. */
const together = (all: readonly MetricsAsJson[]) =>
  AggregatorRegistry.aggregate(all as unknown as Parameters<typeof AggregatorRegistry.aggregate>[0]);
