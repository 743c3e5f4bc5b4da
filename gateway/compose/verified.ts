/** Files beside the evidence, on this gateway's own disk: what Redis once held and may never fall behind. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';

type What = 'rules' | 'freezes';

/** One for each process of a gateway, so that none writes over what another knows. */
export const verifiedFile = (config: Config, what: What, worker: number): string =>
  join(config.audit.dir, worker === 1 ? `${what}.verified.json` : `${what}.verified.${worker}.json`);

/** All of them, whoever wrote them: there may have been more processes before. */
export function verifiedFiles({ audit }: Config, what: What): string[] {
  const mine = new RegExp(`^${what}\\.verified(?:\\.\\d+)?\\.json$`);
  const names = readdirSync(audit.dir).filter((name) => mine.test(name));
  return names.sort().map((name) => join(audit.dir, name));
}
