/** The shape every inspector yields: who wants what done where, and what it would do. Knows no policy. */

export type Principal = {
  /** Issuer and subject together are the identity; neither alone is. */
  readonly issuer: string;
  readonly subject: string;
  readonly kind: 'agent' | 'human';
  readonly name: string;
  readonly email?: string;
  readonly emailVerified?: boolean;
  /** Groups as the issuer names them; they belong to that issuer. */
  readonly groups: readonly string[];
  /** Slack user id of the human who answers for an agent. */
  readonly sponsor?: string;
  /** Slack user id this principal is linked to by configuration, where it is a person. */
  readonly slack?: string;
  readonly purpose?: string;
};

const keys = new WeakMap<object, string>();

/** `issuer#subject`: the key of a principal in maps, Redis and the audit trail. The same string for the same object. */
export function principalKey(principal: Pick<Principal, 'issuer' | 'subject'>): string {
  let key = keys.get(principal);
  if (key === undefined) {
    key = `${principal.issuer}#${principal.subject}`;
    keys.set(principal, key);
  }
  return key;
}

export const ACTIONS = [
  'read',
  'insert',
  'update',
  'delete',
  'ddl',
  'dcl',
  'call',
  'copy-in',
  'copy-out',
  'session',
  'transaction',
  'unknown',
] as const;
export type Action = (typeof ACTIONS)[number];

/** One thing an operation would do to one object. An operation with none is refused by the gate. */
export type Effect = {
  readonly action: Action;
  /** `schema.table`, a command, a path, a tool: each protocol says. Empty where there is none (`select 1`). */
  readonly object: string;
  /** On update and delete: whether a condition limits it. */
  readonly where?: 'present' | 'absent';
  /** Estimated rows, where an estimate was made. */
  readonly rows?: number;
};

/** `gate`: a change of the gateway itself, asked for from Slack and decided like any other operation. */
export type Protocol = 'postgres' | 'gate';

export type Operation = {
  /** UUID; the audit trail's and the card's handle on this one thing. */
  readonly id: string;
  readonly protocol: Protocol;
  readonly connection: string;
  readonly environment: string;
  readonly principal: Principal;
  readonly session: string;
  /** The statement as the client sent it, byte for byte when encoded as UTF-8. For the digest alone: never leaves the process. */
  readonly text: string;
  /** The same for people: sensitive literals and role passwords masked. What cards, audit and recordings carry. */
  readonly shown: string;
  /** Bound parameters as the client sent them, for the digest alone. */
  readonly parameters: readonly Parameter[];
  /** The parameters for people, masked, one string each. */
  readonly shownParameters: readonly string[];
  /** Everything else the meaning depends on (search_path, role, …), canonical; bound by the digest. */
  readonly frame: string;
  readonly effects: readonly Effect[];
  /** One plain sentence from the parser, no literals: `DELETE on public.orders, no WHERE`. */
  readonly headline: string;
  /** What makes it risky, in a few words each: `no WHERE`, `inside a transaction`, `data is not reviewed`. */
  readonly risks: readonly string[];
  readonly inTransaction: boolean;
  /** Why somebody must be asked though no rule says so: masked values would get out, or could. Empty or absent: nothing. */
  readonly guard?: readonly string[] | undefined;
  /** Conditions that read masked columns: counted, and told in the trail. */
  readonly predicates?: readonly { readonly column: string; readonly kind: string }[] | undefined;
  /** Masked columns that would be shown as they are, and the reason the requester gave. */
  readonly reveal?: { readonly columns: readonly string[]; readonly reason: string } | undefined;
  /** A limit that the approval itself carries, e.g. COPY FROM STDIN's row and byte cap. */
  readonly caps?: { readonly rows: number; readonly bytes: number } | undefined;
  /** Its result was stopped in its midst: asked about is the rest of it. */
  readonly stopped?: Stopped | undefined;
  /** Why the rows it touches cannot be confirmed before its COMMIT; absent where they can, or it touches none. */
  readonly unconfirmable?: string | undefined;
  /** Writes more than its target counts rows of. */
  readonly uncounted?: true | undefined;
  /** It stands for statements that are to come: approving it runs none of them. */
  readonly plan?: true | undefined;
  /**
   * What it has in common with those that one approval may also cover, canonical; undefined where nobody can be sure.
   * Worked out when asked for: most operations never are.
   */
  readonly shape?: (() => Promise<string | undefined>) | undefined;
};

/** What the client has of a result that was stopped, and why it was. */
export type Stopped = {
  readonly rows: number;
  readonly bytes: number;
  /** Its first rows as the client got them: texts of their first columns, cut. */
  readonly preview: readonly (readonly string[])[];
  /** Keys of the budgets it used up. */
  readonly usedUp: readonly string[] | undefined;
  /** It is no result: the write has run, and waits before its COMMIT. */
  readonly touched?: Touched | undefined;
};

/** What a write touched, by the target's count; undefined where that does not count all, or nobody estimated. */
export type Touched = {
  readonly rows: number | undefined;
  readonly estimate: number | undefined;
  /** How long it may wait with its locks, ms. */
  readonly withinMs: number;
};

/** What an operation would touch, as far as its target could say in time. For people: nothing is decided by it. */
export type Reach = {
  /** Rows it would change, by the target's own estimate; undefined where there is none. */
  readonly rows: number | undefined;
  /** `about 41,000 rows`, or why there is no estimate. */
  readonly estimate: string;
  /** Tables with their sizes, cascades, triggers, locks: what matters most first. Names and numbers, no values. */
  readonly lines: readonly string[];
};

/** What the policy is asked about it. */
export function questionOf(operation: Operation) {
  const { connection, principal, effects, inTransaction, guard, reveal, stopped } = operation;
  return { connection, principal, effects, inTransaction, guard, reveal, usedUp: stopped?.usedUp };
}

export type Parameter = { readonly format: 'text' | 'binary'; readonly value: Uint8Array | null };

/** How a permitted operation ended. `unknown`: it was released and nobody can say. */
export type Outcome =
  | {
      readonly kind: 'done';
      readonly tag: string;
      readonly rows: number | undefined;
      readonly ms: number;
      /** Values masked in what came back, by why; absent: none. */
      readonly masked?: Readonly<Record<string, number>>;
      /** `committed after confirmation`. */
      readonly note?: string;
    }
  | {
      readonly kind: 'failed';
      readonly sqlstate: string;
      readonly message: string;
      readonly ms: number;
      /** The gateway's own doing: rolled back, stopped, not sent. Absent: the target said so. */
      readonly here?: true;
    }
  | { readonly kind: 'unknown'; readonly reason: string; readonly ms: number };
