/** What the rooms of the PostgreSQL listener hand each other. Types only. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Credential } from '../../identity/identity.ts';
import type { Profile } from '../../masking/profile.ts';
import type { Effect, Parameter } from '../../operation.ts';
import type { LockMode } from './inspect/locks.ts';
import type { Masked, Plan } from './lineage/plan.ts';
import type { CopyColumn } from './mask/copy-out.ts';
import type { CopyShape } from './mask/copy-shape.ts';
import type { ShapeBound } from './shape.ts';

/** One configured target, as this listener needs it. */
export type PostgresConnection = {
  readonly name: string;
  readonly environment: string;
  readonly upstream: {
    readonly host: string;
    readonly port: number;
    readonly database: string;
    readonly user: string;
    /** Reveals the password at the moment of use; the configuration's Secret cannot be printed. */
    readonly password: () => string;
    readonly tls: 'disable' | 'require' | 'verify-ca' | 'verify-full';
    /** PEM text, where the system's roots are not meant. */
    readonly ca?: string;
  };
  /** What goes into the start-up packet; RESET and DISCARD return to it. */
  readonly searchPath: string;
};

/** The client's side after a finished start-up: authenticated, AuthenticationOk not yet sent. */
export type Downstream = {
  /** A net.Socket, or a tls.TLSSocket above one. */
  readonly socket: Duplex;
  readonly peer: string;
  readonly credential: Credential;
  readonly connection: PostgresConnection;
  /** Allow-listed start-up parameters the client asked for (application_name, DateStyle, TimeZone, …). */
  readonly parameters: ReadonlyMap<string, string>;
  /** Bytes that arrived behind the password message. */
  readonly leftover: Buffer;
  /** Our cancel key for this client. */
  readonly cancelKey: { readonly pid: number; readonly secret: Buffer };
};

/** The target's side after pg's client did the handshake: raw from here on. */
export type Upstream = {
  readonly socket: Socket | Duplex;
  /** ParameterStatus as reported during the start-up, newest value per name. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Bytes that came behind the first ReadyForQuery. */
  readonly leftover: Buffer;
  readonly serverMajor: number;
  /** Its process there, as it greeted us; a pooler in between says something else. */
  readonly backend?: number;
  /** Send CancelRequest on a connection of its own; resolves when the server has closed that connection. */
  cancel(): Promise<void>;
};

/** How a statement touches the session's names, transaction or settings; applied when the target confirms. */
export type SessionEffect =
  | { readonly kind: 'none' }
  | { readonly kind: 'prepare'; readonly name: string; readonly inner: StatementFacts }
  /** What it runs is looked up by name; `effects` of these facts are those of its argument expressions. */
  | { readonly kind: 'execute'; readonly name: string }
  | { readonly kind: 'deallocate'; readonly name: string | 'ALL' }
  | { readonly kind: 'declare'; readonly name: string; readonly hold: boolean; readonly inner: StatementFacts }
  | { readonly kind: 'fetch'; readonly name: string }
  | { readonly kind: 'close'; readonly name: string | 'ALL' }
  | { readonly kind: 'discard'; readonly what: 'all' | 'plans' | 'temp' | 'sequences' }
  | {
      readonly kind: 'transaction';
      readonly verb:
        | 'begin'
        | 'commit'
        | 'rollback'
        | 'savepoint'
        | 'release'
        | 'rollback-to'
        | 'prepare'
        | 'two-phase';
    }
  /** A setting the verdicts depend on (search_path, role, …): judged as `unknown`, then part of the frame. */
  /** `SET countersign.reveal`: the next statement asks to show masked columns as they are; empty takes it back. */
  | { readonly kind: 'reveal'; readonly reason: string }
  | { readonly kind: 'frame'; readonly setting: string; readonly value: string };

export type CopyOut = {
  readonly shape: CopyShape;
  /** By position; undefined where nobody can say how many there are. */
  readonly columns: readonly CopyColumn[] | undefined;
  /** What is done to columns that are not listed. */
  readonly rest: CopyColumn['treatment'];
};

/** One statement, understood. */
export type StatementFacts = {
  /** This statement's own text, cut from the whole by byte offsets. */
  readonly text: string;
  /** The same with sensitive literals and role passwords masked. */
  readonly shown: string;
  readonly effects: readonly Effect[];
  /** `DELETE on public.orders, no WHERE`; no literals, no comments, nothing of the client's own wording but names. */
  readonly headline: string;
  readonly risks: readonly string[];
  readonly session: SessionEffect;
  readonly copy?: 'in' | 'out';
  /** For a principal with masked columns: what the statement would let through, and by which catalogue. */
  readonly guarded?: { readonly plan: Plan; readonly masked: Masked };
  /** How its COPY TO STDOUT is laid out, and what is done to each column. */
  readonly copyOut?: CopyOut;
  /** Another statement that differs from this one in `text` and `shown` alone. */
  readonly like?: StatementFacts;
  /** Highest `$n` used. */
  readonly parameters: number;
  /** What it takes on the relations it names. */
  readonly lock?: LockMode;
  /** Cannot run in a transaction block. */
  readonly outside?: true;
  /** Writes in its WITH what the target does not count. */
  readonly uncounted?: true;
  /** Objects it names to write or define; what follows from them by the catalogue is not here. */
  readonly targets?: readonly string[];
};

/** Never changed: the same object means the same context. */
export type InspectContext = {
  /** Part of the cache key: everything the meaning depends on besides the text. */
  readonly frame: string;
  readonly searchPath: readonly string[];
  /** What is masked for whoever asks; undefined: nothing. */
  readonly profile?: Profile | undefined;
};

export type Inspector = {
  /**
   * What this text does: every statement of it, in order (none for an empty query). Cached by exact text, frame and
   * catalogue version; synchronous when cached or short, else a promise.
   * @throws GatewayError UNPARSEABLE | TOO_LONG | SESSION_FRAME | UNSUPPORTED (also as rejection)
   */
  inspect(text: string, context: InspectContext): readonly StatementFacts[] | Promise<readonly StatementFacts[]>;
  /** What the text has in common with others of its kind, for grants; undefined where nobody can be sure. Never rejects. */
  shape(text: string, bound: ShapeBound, context: InspectContext): Promise<string | undefined>;
  /** What binding values of these types (OIDs) runs besides: of those made by code, or that nobody knows yet. */
  boundTypes(types: readonly number[]): readonly Effect[];
  /** Parameters for people, detectors applied; binary as hex, cut at 2,000 characters with the length said. */
  showParameters(parameters: readonly Parameter[]): readonly string[];
  /** Which columns of the target are masked under this profile, by the catalogue as it is known now. */
  masked(profile: Profile): Masked | undefined;
  /** The same statement under the catalogue as it is known now; undefined where it may let through something else. */
  replanned(
    guarded: NonNullable<StatementFacts['guarded']>,
    profile: Profile,
  ): NonNullable<StatementFacts['guarded']> | undefined;
  /** How long ago the catalogue was last looked at, ms; undefined before the first look. */
  catalogueAgeMs(): number | undefined;
  /** After DDL or an unknown object: look at the catalogue again before the next verdict that needs it. */
  refresh(): Promise<void>;
  close(): Promise<void>;
};
