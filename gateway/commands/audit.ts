/** `countersign audit`: checks, shows or exports a trail, offline. */
import { AUDIT_HELP, runAuditCommand } from '../audit/command.ts';
import type { Command } from './command.ts';

export const audit: Command = {
  summary: 'verify a trail offline, show it, export it; keep a recording from being removed',
  help: AUDIT_HELP,
  run: async (args, output) => {
    const [what, ...rest] = args;
    if (what === 'hold' || what === 'unhold') return (await import('./legal-hold.ts')).runHold(what, rest, output);
    return runAuditCommand(args, output.out, output.err);
  },
};
