/** What goes into the audit trail: one flat JSON object an entry. Texts are already passed through the detectors. */

export const AUDIT_KINDS = [
  'start',
  'stop',
  'reload',
  'session.start',
  'session.end',
  'auth.refused',
  'operation', // every verdict: allow, hold, deny, refused
  'hold.open',
  'hold.vote', // counted or not, with the reason
  'hold.settled', // approved, denied, expired, withdrawn, lost
  'hold.released', // durable before the first byte goes upstream
  'outcome',
  'rules.changed', // a newer version was verified: every gateway's own word
  'rules.edited', // what somebody changes by command: lines before and after, who asked, who agreed; before it holds
  'group.changed',
  'token.issued',
  'web.signed-in', // a person, in a browser
  'web.signed-out',
  'web.refused', // a sign-in that failed, or somebody signed in who asked for what they may not have
  'revoked',
  'kill',
  'ask', // what somebody asked for with `/gate`, where it changes something or was refused
  'frozen', // what is frozen now, and by whom
  'grant.made', // an approval that covers more of the same shape
  'grant.used', // durable before the first byte goes upstream
  'grant.ended', // revoked, or void because the rules changed
  'plan.asked', // statements that somebody means to run
  'plan.used', // durable before the first byte goes upstream
  'review.signed', // another admin looked at a release by break-glass
  'recording.sealed', // how far the files of recordings had come, with their hashes; said again while they grow
  'recording.failed', // a recording could not be written: its session was ended
  'recording.held', // legal hold: it must not be removed from now on, or may again (`held`)
  'recording.removed', // retention: before it is removed
  'recording.viewed', // somebody looked at a recording, or took it away as a file
  // Written by the trail itself:
  'audit.segment', // first line of every file: where the chain comes from
  'audit.checkpoint', // the newest hash, signed with the audit key; the second line of every file is one
  'audit.closed', // no file follows: the process ended in order
  'audit.sealed', // last line of a finished file, signed
  'audit.beside', // where the other chains of the directory ended, or had come to, when this process started
  'audit.retention', // files removed because they were old enough
  // What became of the ways out (audit.sinks):
  'sink.stuck', // a receiver refuses what it is sent: nothing leaves for it until somebody mends that
  'sink.resumed', // it takes entries again
  'sink.restarted', // where it had come to is not known any more: it is sent everything that is kept
  'sink.missed', // files removed, or lines unreadable, before it had them
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

export type AuditEntry = {
  readonly kind: AuditKind;
  readonly session?: string;
  readonly operation?: string;
  readonly hold?: string;
  readonly principal?: string;
  readonly connection?: string;
  readonly [field: string]: unknown;
};

/** The trail as other rooms see it. One chain per process. */
export type Audit = {
  /**
   * Queue an entry; it is written within 5 ms and fsynced with its group. Synchronous.
   * @throws GatewayError AUDIT when the writer has failed, lags, or the disk watermark is reached.
   */
  append(entry: AuditEntry): void;
  /** Queue and wait until it is on disk (fsync). @throws GatewayError AUDIT */
  commit(entry: AuditEntry): Promise<void>;
  /** Wait until all that was appended so far is on disk. @throws GatewayError AUDIT */
  flush(): Promise<void>;
  /** Newest entry's sequence number and hash (hex); short form goes onto cards. */
  head(): { readonly seq: number; readonly hash: string };
  /** Undefined when well, else why not. */
  trouble(): string | undefined;
};
