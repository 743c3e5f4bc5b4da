/** What pages know of the gateway beside its recordings: who is connected, what waits, what rules, how the trail stands. */
import type { Rule } from '../../policy/policy.ts';
import type { SessionSummary, Verdict } from '../../recordings/shape.ts';
import type { Ended, EndWish } from '../../state/endings.ts';

/** Whose something is: what `maySee` asks. */
export type Whose = Pick<SessionSummary, 'principal' | 'sponsor'>;

/** A session that lasts, of this process. */
export type LiveSession = Whose & {
  readonly session: string;
  readonly gateway: string;
  readonly name: string;
  readonly kind: 'agent' | 'human';
  readonly connection: string;
  /** Epoch ms, as every time here. */
  readonly startedAt: number;
  /** What it asked for last. */
  readonly last?: { readonly headline: string; readonly at: number } | undefined;
};

export type WaitingHold = Whose & {
  readonly hold: string;
  readonly shortId: string;
  readonly gateway: string;
  readonly environment: string;
  readonly connection: string;
  readonly headline: string;
  readonly name: string;
  readonly kind: 'agent' | 'human';
  readonly openedAt: number;
  readonly expiresAt: number;
  readonly demands: readonly { readonly rule: string; readonly quorum: number; readonly counted: number }[];
  /** Known of this process's own alone: its session, and its card in Slack. */
  readonly session?: string | undefined;
  readonly link?: string | undefined;
};

export type Hour = { readonly at: number } & Readonly<Record<Verdict, number>>;

export type TrailState = {
  readonly trouble: string | undefined;
  readonly dir: string;
  /** How far each gateway's chain had come, as it last said; this process's own is the newest there is. */
  readonly heads: readonly {
    readonly gateway: string;
    readonly here: boolean;
    readonly seq: number;
    readonly hash: string;
    readonly at?: string | undefined;
  }[];
  /** In this process's directory, by chain: how many files, and the last one's name. */
  readonly chains: readonly { readonly chain: string; readonly files: number; readonly last: string }[];
  readonly moreChains: number;
};

export type Overview = {
  readonly gateway: string;
  readonly version: string;
  now(): number;
  live(): readonly LiveSession[];
  /** Of every gateway. @throws Error while Redis is gone */
  holds(): Promise<readonly WaitingHold[]>;
  /** Those that hold a lease. @throws Error while Redis is gone */
  gateways(): Promise<readonly string[]>;
  /** What keeps this gateway from being ready, by part. */
  troubles(): Promise<Readonly<Record<string, string>>>;
  /** By the hour, oldest first, of those who are `visible`, as this process counted them since then. */
  verdicts(visible: (whose: Whose) => boolean): { readonly since: number; readonly hours: readonly Hour[] };
  rules(): { readonly version: string; readonly slackVersion: number; readonly rules: readonly Rule[] };
  trail(): Promise<TrailState>;
  /** What people are called, by Slack account; as far as it is known. */
  names(): Promise<ReadonlyMap<string, string>>;
  /** By the gateway that has it, on record first; undefined where that one does not answer. Never rejects. */
  endSession(gateway: string, wish: EndWish): Promise<Ended | undefined>;
};
