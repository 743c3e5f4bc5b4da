/** What an attack is made of: data that the harness plays on any route. */
import type { Decoder } from './decoders.ts';

export type Step = {
  /** `{{port}}`, `{{user}}`, `{{password}}`, `{{db}}` are the target's own. */
  readonly sql: string;
  readonly protocol: 'simple' | 'extended';
  readonly params?: readonly (string | null)[];
  /** Results in binary. */
  readonly binary?: boolean;
  /** Left out: `portal`. */
  readonly describe?: 'portal' | 'statement' | 'none';
  /** Rows an Execute asks for, again and again until the portal is done. */
  readonly fetch?: number;
  /** What is copied in, when the server asks for it. */
  readonly copy?: string;
  /** Bytes to send instead, and how many times the server gets ready over them. */
  readonly raw?: Buffer;
  readonly ready?: number;
  /** Milliseconds in which nothing is done. */
  readonly pause?: number;
  /** Who does it: the attacker's second session, or the owner of the tables at the target itself. Left out: the attacker. */
  readonly by?: 'second' | 'owner';
};

export type Attack = {
  readonly id: string;
  readonly technique: string;
  readonly steps: readonly Step[];
  /** Of the attacker's session's start-up packet. */
  readonly startup?: Readonly<Record<string, string>>;
  readonly decoder?: Decoder;
  /** One bit, or a small number, a statement, through a condition: counted, not required to be closed. */
  readonly oracle?: true;
  /** It runs before the gateway can have looked at the catalogue again: counted, not required to be closed. */
  readonly race?: true;
  /** What it gives at best, directly: a part of a value; or nothing, though it opens a way. Left out: a whole value. */
  readonly gives?: 'part' | 'nothing';
  /** What puts the lab right again beyond rows and new objects; the owner of the tables does it. */
  readonly undo?: readonly string[];
};

type Rest = Omit<Attack, 'id' | 'technique' | 'steps'>;

/** `[id, statement, …]`, each sent as a query of its own. */
export type Row = readonly [id: string, ...statements: readonly string[]];

/** Attacks of one technique, each statement of them in the simple protocol. */
export const simple = (technique: string, rows: readonly Row[], rest: Rest = {}): readonly Attack[] =>
  rows.map(([id, ...statements]) => ({
    id,
    technique,
    steps: statements.map((sql) => ({ sql, protocol: 'simple' })),
    ...rest,
  }));

/** The same over Parse, Bind, Describe, Execute; `how` for every statement. */
export const extended = (
  technique: string,
  rows: readonly Row[],
  how: Partial<Step> = {},
  rest: Rest = {},
): readonly Attack[] =>
  rows.map(([id, ...statements]) => ({
    id,
    technique,
    steps: statements.map((sql) => ({ sql, protocol: 'extended', ...how })),
    ...rest,
  }));

export const say = (sql: string, how: Partial<Step> = {}): Step => ({ sql, protocol: 'simple', ...how });
/** Nothing is sent for a while. */
export const pause = (ms: number): Step => ({ sql: '', protocol: 'simple', pause: ms });
export const byOwner = (sql: string): Step => ({ sql, protocol: 'simple', by: 'owner' });
export const bySecond = (sql: string): Step => ({ sql, protocol: 'simple', by: 'second' });
/** Messages as they are; `ready` Syncs or Queries among them. */
export const raw = (bytes: readonly Buffer[], ready = 1): Step => ({
  sql: '',
  protocol: 'extended',
  raw: Buffer.concat(bytes),
  ready,
});
