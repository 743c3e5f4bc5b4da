/** Audit trails in directories of their own, which go when the test file is through. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { AuditEntry } from '../../gateway/audit/entry.ts';
import { listSegments } from '../../gateway/audit/files.ts';
import { type AuditOptions, openAudit } from '../../gateway/audit/writer.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';

export const pair = newKeyPair();
export const key = signingKey(pair.secret);
export const keys = [verifyingKey(pair.public)];
const dirs: string[] = [];
export const newDir = () => {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-audit-'));
  dirs.push(dir);
  return dir;
};
after(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

export const openTrail = (dir: string, options: Partial<AuditOptions> = {}) =>
  openAudit({ dir, key, gateway: 'gw-test', minFreeBytes: 0, ...options });
export const operation = (n: number, more: object = {}): AuditEntry => ({
  kind: 'operation',
  session: `s-${n % 2}`,
  operation: `op-${n}`,
  shown: `SELECT ${n}`,
  ...more,
});

export async function written(dir: string, entries: number, options: Partial<AuditOptions> = {}): Promise<string> {
  const trail = await openTrail(dir, options);
  for (let n = 0; n < entries; n++) trail.append(operation(n));
  await trail.close();
  const { file } = (await listSegments(dir)).at(-1) ?? assert.fail('no segment');
  return join(dir, file);
}
