/** What a recording consists of, what is known of each without opening it, and who may see which. Types and pure words. */
import type { Principal } from '../operation.ts';

/** The first line of a recording: whose session it was, and where. */
export type RecordedHead = {
  readonly v: 1;
  readonly kind: 'session';
  readonly session: string;
  readonly gateway: string;
  /** When it began, epoch ms: every later line counts from here. */
  readonly startedAt: number;
  readonly connection: string;
  readonly environment: string;
  readonly protocol: string;
  readonly peer: string;
  readonly principal: Pick<Principal, 'issuer' | 'subject' | 'kind' | 'name' | 'groups' | 'sponsor' | 'purpose'>;
};

/**
 * Every further line: `t` is ms since the start. Two families share the file. What the audit trail says of the session
 * is here word for word (`operation`, `hold.open`, `hold.vote`, `hold.settled`, `hold.released`, `outcome`, `grant.used`,
 * `plan.used`, `kill`, `session.end`: their fields are the trail's, see audit/entry.ts). What the client received is in
 * lines of their own:
 */
export type RecordedEvent = { readonly t: number; readonly kind: string; readonly [field: string]: unknown };

export type ColumnsEvent = {
  readonly t: number;
  readonly kind: 'columns';
  /** Absent where nothing that was admitted answers it. */
  readonly operation?: string;
  /** `type`: the target's number of the type (an OID); `binary`: values are in its binary format. */
  readonly columns: readonly { readonly name: string; readonly type: number; readonly binary: boolean }[];
};
/** A value: null, its text, its beginning, or `{ hex }` where its bytes are no text. `cut`: how many bytes were left out. */
export type RecordedValue =
  | string
  | null
  | { readonly hex: string; readonly cut?: number }
  | { readonly text: string; readonly cut: number };
export type RowsEvent = {
  readonly t: number;
  readonly kind: 'rows';
  readonly operation?: string;
  readonly rows: readonly (readonly RecordedValue[])[];
};
/** A piece of COPY data as the client received it. */
export type CopyEvent = {
  readonly t: number;
  readonly kind: 'copy';
  readonly operation?: string;
  readonly data: RecordedValue;
};
/** Of this result no more is recorded: it goes on being counted, in the outcome. */
export type CutEvent = {
  readonly t: number;
  readonly kind: 'cut';
  readonly operation?: string;
  readonly after: number;
};
/** What the client was told beside results: by the gateway (`held` …) or by the target. */
export type SaidEvent = {
  readonly t: number;
  readonly kind: 'said';
  readonly operation?: string;
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
};

export type Verdict = 'allow' | 'hold' | 'deny' | 'refused';

/** What can be searched for: one for each session, made while it lasts and complete with its end. */
export type SessionSummary = {
  readonly v: 1;
  readonly session: string;
  readonly gateway: string;
  readonly connection: string;
  readonly environment: string;
  readonly protocol: string;
  /** `issuer#subject`. */
  readonly principal: string;
  readonly principalKind: 'agent' | 'human';
  readonly name: string;
  /** Slack user id of whoever answers for the agent. */
  readonly sponsor?: string;
  readonly startedAt: number;
  /** Absent while it lasts, and for good where its gateway died. */
  readonly endedAt?: number;
  readonly reason?: string;
  readonly operations: number;
  readonly held: number;
  readonly denied: number;
  readonly failed: number;
  /** Verdicts that occurred, and relations (or other objects) that its operations touched; each once, sorted. */
  readonly verdicts: readonly Verdict[];
  readonly relations: readonly string[];
  /** More relations than are listed. */
  readonly moreRelations?: boolean;
  /** Where its recording is in the store, how long it is (bytes), and the SHA-256 (hex) of its bytes once it is complete. */
  readonly file: string;
  readonly bytes: number;
  readonly sha256?: string;
  /** Nobody knows when it ended: its gateway died. */
  readonly lost?: boolean;
  /** Retention has taken it away: said once, to other gateways. */
  readonly removed?: boolean;
};

export type Search = {
  /** Found in the name, principal, connection or a relation; case does not matter. */
  readonly text?: string;
  readonly agent?: string;
  /** Slack ids: one of these answers for the agent. */
  readonly sponsors?: readonly string[];
  readonly connection?: string;
  readonly relation?: string;
  readonly verdict?: Verdict;
  /** Sessions that were alive in [since, until), epoch ms. */
  readonly since?: number;
  readonly until?: number;
  readonly live?: boolean;
  /** Begin after this one: `startedAt` and `session` of the last of the page before. */
  readonly after?: { readonly startedAt: number; readonly session: string };
  readonly limit?: number;
};

/** Newest first. `more`: there are more than were asked for. */
export type Found = { readonly sessions: readonly SessionSummary[]; readonly more: boolean };

/** What pages, exports and commands read recordings through. */
export type Recordings = {
  search(query: Search, visible: (summary: SessionSummary) => boolean): Found;
  find(session: string): SessionSummary | undefined;
  /** Head first, then its events in order; of a live session what is there so far. @throws GatewayError where it cannot be read or is not as sealed */
  read(session: string): AsyncIterable<RecordedHead | RecordedEvent>;
  /** It goes on, and here or where this process reads files. */
  canFollow(session: string): Promise<boolean>;
  /**
   * As `read`, and then what comes, until the session ends or `signal` is aborted. What another process records comes when
   * it writes it; encrypted, when it seals it.
   */
  follow(session: string, signal: AbortSignal): AsyncIterable<RecordedHead | RecordedEvent>;
  /** Somebody's session, summary or event changed; coalesced. Answers how to stop listening. */
  onChange(listener: () => void): () => void;
};

/** Whoever looks at evidence, as a verified sign-in says. */
export type Viewer = {
  readonly issuer: string;
  readonly subject: string;
  readonly name: string;
  /** Slack accounts that the configuration links to them. */
  readonly slack: readonly string[];
  readonly admin: boolean;
  readonly approver: boolean;
};

/** Is it still being recorded, as far as is known? What a dead gateway left is not. */
export const goesOn = ({ endedAt, sha256, lost }: SessionSummary): boolean =>
  endedAt === undefined && sha256 === undefined && lost !== true;

/** Admins and approvers see all; sponsors their agents' sessions; people their own. */
export const maySee = (
  viewer: Viewer,
  { principal, sponsor }: Pick<SessionSummary, 'principal' | 'sponsor'>,
): boolean =>
  viewer.admin ||
  viewer.approver ||
  principal === `${viewer.issuer}#${viewer.subject}` ||
  (sponsor !== undefined && viewer.slack.includes(sponsor));
