/** The audit trail of the hold model: entries queue, reach the disk when the scheduler says so, and can fail on the way. */
import type { Audit, AuditEntry } from '../../gateway/audit/entry.ts';
import { GatewayError } from '../../gateway/errors.ts';
import type { Schedule } from './hold-model-redis.ts';
import type { Process } from './hold-model-time.ts';

const COMMIT_MS = 10_000; // as the writer has it: later than that a commit is refused, and may arrive all the same

export type TrailOptions = {
  readonly owner: Process;
  readonly schedule: Schedule;
  readonly onAppend: (entry: AuditEntry) => void;
  readonly onRefused?: (entry: AuditEntry) => void;
  readonly onCommitted?: (entry: AuditEntry) => void;
};

export class Trail implements Audit {
  /** What a reader of the disk finds. */
  readonly disk: AuditEntry[] = [];
  /** The next so many appends are refused. */
  refuses = 0;
  /** The next write fails, and with it everything after. */
  fails = false;
  /** No write is given up for taking too long. */
  patient = false;
  broken = false;
  closed = false;
  readonly #it: TrailOptions;
  #queued: AuditEntry[] = [];
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #writing = false;
  #seq = 0;

  constructor(options: TrailOptions) {
    this.#it = options;
  }

  append(entry: AuditEntry): void {
    if (this.refuses > 0) this.refuses -= 1;
    else if (!this.broken && !this.closed) {
      this.#queued.push(entry);
      this.#seq += 1;
      this.#it.onAppend(entry);
      this.#write();
      return;
    }
    this.#it.onRefused?.(entry);
    throw AUDIT('the audit trail cannot be written');
  }

  async commit(entry: AuditEntry): Promise<void> {
    this.append(entry);
    await this.flush();
    this.#it.onCommitted?.(entry);
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#it.owner.clock.after(COMMIT_MS, () => {
        if (!this.patient) reject(AUDIT('the disk did not answer in time'));
      });
      const done = (end: () => void) => () => {
        cancel();
        end();
      };
      this.#waiting.push({ resolve: done(resolve), reject: (error) => done(() => reject(error))() });
      this.#write();
    });
  }

  head() {
    return { seq: this.#seq, hash: 'ab'.repeat(32) };
  }
  trouble(): string | undefined {
    return this.broken ? 'broken' : undefined;
  }

  /** Its process died. What was handed to the kernel is on the disk, acknowledged or not. */
  crash(written: boolean): void {
    if (written && !this.broken) this.disk.push(...this.#queued);
    this.#queued = [];
  }

  /** Everything that is queued is written; nothing more is taken. */
  close(): void {
    this.crash(true);
    this.closed = true;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #write(): void {
    if (this.#writing) return;
    this.#writing = true;
    const { owner, schedule } = this.#it;
    void schedule('fsync').then(() => {
      const asleep = owner.state === 'stopped';
      owner.deliver(() => {
        this.#writing = false;
        if (asleep)
          this.#write(); // its threads slept too: the disk works on when it wakes
        else this.#written();
      });
    });
  }

  #written(): void {
    const waiting = this.#waiting.splice(0);
    if (this.fails || this.broken) {
      this.broken = true;
      for (const { reject } of waiting) reject(AUDIT('the disk is gone'));
      return;
    }
    this.disk.push(...this.#queued.splice(0));
    for (const { resolve } of waiting) resolve();
  }
}

const AUDIT = (message: string): GatewayError => new GatewayError('AUDIT', message);
