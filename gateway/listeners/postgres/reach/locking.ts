/** What each lock keeps others from, in words. */
import type { LockMode } from '../inspect/locks.ts';

const BLOCKS: Readonly<Record<LockMode, string>> = {
  'ACCESS SHARE': 'only DROP and the like wait',
  'ROW SHARE': 'others read and write on; who wants to write the same rows waits',
  'ROW EXCLUSIVE': 'others read and write on; who wants to write the same rows waits',
  'SHARE UPDATE EXCLUSIVE': 'others read and write on; changes of the schema and VACUUM wait',
  SHARE: 'others read on; every write waits',
  'SHARE ROW EXCLUSIVE': 'others read on; every write waits',
  EXCLUSIVE: 'others only read; every write waits, and every SELECT FOR UPDATE',
  'ACCESS EXCLUSIVE': 'everything else on it waits, reads too',
};

/** `locks public.orders ACCESS EXCLUSIVE until its transaction ends: everything else on it waits, reads too` */
export function lockLine(lock: LockMode, labels: readonly string[]): string {
  const shown = labels.slice(0, 3).join(', ');
  const rest = labels.length > 3 ? ` and ${labels.length - 3} more` : '';
  return `locks ${shown}${rest} (${lock}) until its transaction ends: ${BLOCKS[lock]}`;
}
