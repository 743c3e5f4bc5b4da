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
  /**
   * More than so many. On a read the rule does not match when it is asked about: it is a budget of its result. On a
   * write `rows` is held against the estimate, and the others never match.
   */
  readonly rows?: number;
  readonly bytes?: number;
  readonly rowsPerHour?: number;
  readonly bytesPerHour?: number;
  readonly except?: Omit<RuleMatch, 'except' | 'rows' | 'bytes' | 'rowsPerHour' | 'bytesPerHour'>;
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
  /** Asked again before COMMIT when a write touched more than was estimated. */
  readonly confirm?: 'rows' | undefined;
  readonly notify?: Notify | undefined;
  readonly escalate?: Escalation | undefined;
};

/** Where approvers get their card. */
export type Notify = 'channel' | 'dm' | 'both';

/** Who is rung besides when nobody has decided after so long. They do not become approvers by it. */
export type Escalation = { readonly to: string; readonly afterMs: number };

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
  readonly confirm?: 'rows' | undefined;
  readonly notify?: Notify | undefined;
  readonly escalate?: Escalation | undefined;
};

/** How much may pass to the client: of one statement's result, or of all that its principal reads within an hour. */
export type Limit = {
  readonly of: 'rows' | 'bytes';
  readonly per: 'statement' | 'hour';
  readonly most: number;
};

/** What becomes of a result that would pass the limit: somebody is asked, or it ends there. */
export type Budget = {
  /** The same for the same limit of the same rule, whatever its terms are at the time. */
  readonly key: string;
  /** What its hours are counted under: one count for all limits of a rule. */
  readonly count: string;
  readonly rule: string;
  readonly limit: Limit;
} & ({ readonly verdict: 'hold'; readonly demand: Demand } | { readonly verdict: 'deny'; readonly why: string });

/** `budgets`: of what it reads; absent where there is none. */
export type Verdict =
  | { readonly kind: 'allow'; readonly rules: readonly string[]; readonly budgets?: readonly Budget[] | undefined }
  | {
      readonly kind: 'hold';
      readonly rules: readonly string[];
      readonly demands: readonly Demand[];
      readonly budgets?: readonly Budget[] | undefined;
    }
  | { readonly kind: 'deny'; readonly rules: readonly string[]; readonly rule: string; readonly why: string };

export type Question = {
  readonly connection: string;
  readonly principal: Principal;
  readonly effects: readonly Effect[];
  readonly inTransaction: boolean;
  /** Why masking wants somebody asked; absent or empty: it does not. */
  readonly guard?: readonly string[] | undefined;
  /** It would show masked columns as they are. */
  readonly reveal?: unknown;
  /** Its result used up these budgets (their keys): asked about is the rest of it. */
  readonly usedUp?: readonly string[] | undefined;
};

export type Policy = {
  /** Changes whenever anything that could change a verdict does; bound into a hold's digest. */
  readonly version: string;
  evaluate(question: Question): Verdict;
  readonly rules: readonly Rule[];
};
