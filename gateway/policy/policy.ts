/** The contract of the policy room: rules in, verdicts out. Pure. */
import type { Action, Effect, Principal } from '../operation.ts';

export type RuleMatch = {
  readonly connection?: readonly string[];
  readonly object?: readonly string[];
  readonly action?: readonly Action[];
  readonly where?: 'absent' | 'present';
  /** Principals by name, `issuer#subject`, or glob. */
  readonly by?: readonly string[];
  readonly group?: readonly string[];
  readonly except?: Omit<RuleMatch, 'except'>;
};

export type Rule = {
  readonly id: string;
  readonly source: 'file' | 'slack';
  readonly match: RuleMatch;
  readonly verdict: 'allow' | 'hold' | 'deny';
  readonly why: string;
  /** Slack user groups (`@handle` or `S…`), user ids (`U…`/`W…`), or `oidc:<group>`. Empty: the default approvers. */
  readonly approvers: readonly string[];
  readonly quorum: number;
  readonly requireReason: boolean;
  readonly expiresMs: number | undefined;
  readonly channel: string | undefined;
};

export type ConnectionDefaults = {
  readonly read: 'allow' | 'hold' | 'deny';
  readonly write: 'allow' | 'hold' | 'deny';
  readonly unknown: 'allow' | 'hold' | 'deny';
};

/** What one matching rule (or the connection's default) asks for before the operation may go on. */
export type Demand = {
  readonly rule: string;
  readonly why: string;
  readonly approvers: readonly string[];
  readonly quorum: number;
  readonly requireReason: boolean;
  readonly expiresMs: number;
  readonly channel: string;
};

export type Verdict =
  | { readonly kind: 'allow'; readonly rules: readonly string[] }
  | { readonly kind: 'hold'; readonly rules: readonly string[]; readonly demands: readonly Demand[] }
  | { readonly kind: 'deny'; readonly rules: readonly string[]; readonly rule: string; readonly why: string };

export type Question = {
  readonly connection: string;
  readonly principal: Principal;
  readonly effects: readonly Effect[];
  readonly inTransaction: boolean;
};

export type Policy = {
  /** Changes whenever anything that could change a verdict does; bound into a hold's digest. */
  readonly version: string;
  evaluate(question: Question): Verdict;
  readonly rules: readonly Rule[];
};
