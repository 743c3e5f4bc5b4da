/** An audit trail in memory that a test can read, and can have fail. */
import type { Audit, AuditEntry } from '../../gateway/audit/entry.ts';

export class TrailOfTest implements Audit {
  readonly entries: AuditEntry[] = [];
  fails: (entry: AuditEntry) => boolean = () => false;
  beforeCommit: (entry: AuditEntry) => Promise<void> = async () => {};
  append(entry: AuditEntry): void {
    if (this.fails(entry)) throw new Error('the disk is full');
    this.entries.push(entry);
  }
  async commit(entry: AuditEntry): Promise<void> {
    await this.beforeCommit(entry);
    this.append(entry);
  }
  async flush(): Promise<void> {}
  head() {
    return { seq: this.entries.length, hash: 'ab'.repeat(32) };
  }
  trouble(): undefined {
    return undefined;
  }
  of(kind: AuditEntry['kind']): AuditEntry[] {
    return this.entries.filter((entry) => entry.kind === kind);
  }
}
