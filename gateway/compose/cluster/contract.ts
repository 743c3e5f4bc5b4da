/** What the process that accepts and its workers say to each other. */
import type { Wanted } from '../../listeners/listener.ts';
import type { Rate } from '../../web/limiter.ts';
import type { MetricsAsJson } from '../../web/metrics.ts';

type Nothing = Record<string, never>;
type Told<T> = { readonly in: T; readonly out: unknown };
type Asked<In, Out> = { readonly in: In; readonly out: Out };

/** A configuration as text: what it refers to, each worker reads for itself. */
export type Written = { readonly path: string; readonly text: string };
/** An error that an operator is shown. */
export type Failure = { readonly code: string; readonly message: string; readonly hint: string | undefined };
type Cancel = { readonly pid: number; readonly secret: string };

export type ToWorker = {
  start: Told<Written & { readonly number: number; readonly size: number }>;
  /** A connection; it is the worker's once this is answered. */
  socket: Asked<{ readonly door: string }, unknown>;
  alive: Asked<Nothing, unknown>;
  /** Could this be taken up? Answers a digest of all that it amounts to, under the salt. */
  consider: Asked<Written & { readonly salt: string }, { readonly digest: string } | { readonly refused: string }>;
  /** Take up what was considered last. */
  take: Asked<Nothing, unknown>;
  refuse: Asked<{ readonly why: string }, unknown>;
  troubles: Asked<Nothing, Record<string, string>>;
  metrics: Asked<Nothing, MetricsAsJson>;
  owns: Asked<{ readonly pid: number }, boolean>;
  cancel: Asked<Cancel, unknown>;
  bury: Told<{ readonly gateway: string }>;
  drain: Told<Nothing>;
};

export type ToPrimary = {
  /** Nothing to say, but alive. */
  beat: Told<Nothing>;
  started: Told<Nothing>;
  /** It cannot start, and why. */
  failed: Told<Failure>;
  /** It drains by its own decision: no more connections. */
  leaving: Told<Nothing>;
  /** Answers the port, or the system's error code. */
  listen: Asked<
    { readonly door: string; readonly host: string; readonly port: number },
    { readonly port: number } | { readonly error: string }
  >;
  closed: Told<{ readonly door: string }>;
  /** Takes one more of each; a place is named by the worker that has it. */
  place: Asked<
    { readonly place: number; readonly wanted: readonly Wanted[] },
    { readonly full: string; readonly count: number } | undefined
  >;
  add: Told<{ readonly place: number; readonly key: string }>;
  give: Told<{ readonly place: number }>;
  allow: Asked<
    { readonly limiter: string; readonly rate: Rate; readonly address: string; readonly cost: number },
    boolean
  >;
  /** False when no other worker has that key. */
  cancel: Asked<Cancel, boolean>;
  /** Of all other workers. */
  troubles: Asked<Nothing, Record<string, string>>;
  metrics: Asked<MetricsAsJson, readonly MetricsAsJson[]>;
};
