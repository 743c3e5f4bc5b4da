/** The state of one client's stay, shared by what reads the client and what reads the target. */
import { flush, sync } from '../builders.ts';
import type { TransactionStatus } from '../messages.ts';
import type { Inspector, Upstream } from '../types.ts';
import type { CopyMeter } from './copy.ts';
import { SessionFrame } from './frame.ts';
import { Names } from './names.ts';
import type { Caps } from './operation.ts';
import type { Outbox } from './outbox.ts';
import type { Replies } from './replies.ts';
import type { Run } from './run.ts';
import { type Masking, Shield } from './shield.ts';

const SYNC = sync();
const FLUSH = flush();

export type SessionLimits = {
  /** Longest text of a Query or Parse, bytes. */
  readonly statementBytes: number;
  /** What a client may send behind an operation that waits, bytes; above, the hold is withdrawn. */
  readonly pipelinedBytes: number;
  /** Open prepared statements, and open portals and cursors, each. */
  readonly names: number;
  /** A session in which nothing happens for so long ends, ms. */
  readonly idleMs: number;
  /** How long a target may still report the outcome of what runs when its client has gone, ms. */
  readonly lingerMs: number;
  /** What the approval of a COPY FROM STDIN covers. */
  readonly copy: Caps;
};

export const DEFAULT_LIMITS: SessionLimits = {
  statementBytes: 1 << 20, // more than anyone can review
  pipelinedBytes: 1 << 20,
  names: 2_000, // drivers cache a few hundred statements
  idleMs: 60 * 60_000,
  lingerMs: 30_000,
  copy: { rows: 10_000, bytes: 16 << 20 },
};

export class Stay {
  readonly names = new Names();
  readonly frame: SessionFrame;
  readonly inspector: Inspector;
  readonly limits: SessionLimits;
  readonly shield: Shield;
  /** What the client gave as its reason to see masked columns in its next statement. */
  reveal: string | undefined;
  readonly toClient: Outbox;
  readonly toTarget: Outbox;
  /** Set once, by the session that makes both. */
  replies!: Replies;

  /** The database is not in UTF8: it cuts and folds names beyond ASCII in its own way. */
  readonly foreignEncoding: boolean;

  /** As of the last ReadyForQuery. */
  status: TransactionStatus = 'I';
  /** Something went upstream since the last ReadyForQuery. */
  open = false;
  /** Something of that was more than Parse, Describe, Close: it is one transaction until the next Sync. */
  dirty = false;
  /** Executions forwarded since the last ReadyForQuery. */
  executed = 0;
  /** An extended message failed: the client's messages are dropped until its Sync. */
  skipping = false;
  /** Something upstream may change names or settings: what follows must wait for its outcome. */
  unsettled = false;
  /** The target is taking COPY data. */
  copying: CopyMeter | undefined;
  copyCommand: 'simple' | 'extended' = 'simple';
  /** Changed the schema in a transaction that is still open: the inspector cannot see it. */
  schemaChanged = false;
  /** Made objects of its own that hide others of the same name, and that the inspector will never see. */
  shadowed = false;
  /** Code ran that may have made a name stand for something else. */
  namesDoubtful = false;
  /** Settings of the frame were touched in this transaction; a rollback takes them back. */
  frameTouched = false;
  /** The client's messages since the last ReadyForQuery are followed by a Flush of the gateway's own. */
  flushed = false;
  /** Something failed since the last ReadyForQuery. */
  failed = false;
  /** Complete by the target's word, but not committed before its ReadyForQuery. */
  finished: Run[] = [];
  /** One of them was BEGIN, COMMIT or their kind. */
  transactionVerb = false;
  refreshing: Promise<void> | undefined;
  /** A CancelRequest is on its way: nothing may run until the target has dealt with it. */
  cancelling: Promise<void> | undefined;
  /** Somebody records what the client is given, and wants to know its columns. */
  readonly taped: boolean;
  /** The session has ended: nothing more goes upstream. */
  over = false;

  constructor(options: {
    upstream: Upstream;
    searchPath: string;
    inspector: Inspector;
    masking: () => Masking;
    taped: boolean;
    limits: SessionLimits;
    toClient: Outbox;
    toTarget: Outbox;
  }) {
    const { inspector, masking } = options;
    this.shield = new Shield(masking, inspector);
    this.frame = new SessionFrame(options.searchPath, options.upstream.parameters, () => this.shield.profile);
    this.foreignEncoding = options.upstream.parameters.get('server_encoding') !== 'UTF8';
    this.inspector = options.inspector;
    this.limits = options.limits;
    this.taped = options.taped;
    this.toClient = options.toClient;
    this.toTarget = options.toTarget;
  }

  /**
   * Have the target answer what it was sent: with the gateway's own Sync, so that no transaction and no lock is left
   * standing, unless something ran since the last one, which a Sync would commit.
   */
  finishSegment(): void {
    if (this.dirty) {
      this.toTarget.add(FLUSH);
      return;
    }
    this.toTarget.add(SYNC);
    this.replies.push({ kind: 'sync', own: true });
  }

  /** What was sent without a Sync is answered when nothing else will come: once, until the next ReadyForQuery. */
  askForAnswers(): void {
    if (this.flushed || this.replies.boundary) return;
    this.flushed = true;
    this.toTarget.add(FLUSH);
    this.toTarget.flush();
  }

  /** Is what is asked now part of a transaction with something before or after it? */
  get inTransaction(): boolean {
    return this.status !== 'I' || this.dirty;
  }
}
