/** `countersign audit`: checks, shows or exports a trail, offline. */
import { runAuditCommand } from '../audit/command.ts';
import type { Command } from './command.ts';

export const audit: Command = {
  summary: 'verify a trail offline, show it, export it; keep a recording from being removed',
  help: `Usage: countersign audit verify DIR --key PUB [--key PUB] [--head SEQ:HASH …] [--json]
       countersign audit show DIR [--session ID] [--json]
       countersign audit export DIR --key PUB [--since WHEN] [--until WHEN] [--format jsonl|csv|ocsf]
                                [--connection C] [--principal P] [--kind K …] [--out FILE]
       countersign audit hold SESSION WHY [--config FILE]
       countersign audit unhold SESSION WHY [--config FILE]

verify  checks every entry, file and seal in DIR against the audit key's public half and names the first entry
        that does not fit; exit 1 when one does not.
show    prints the entries, one a line, oldest first.
export  writes the entries of all chains in time order, up to the first that nobody can vouch for; exit 1 then.
hold    legal hold: no retention removes that session's recording until unhold. Run it where a gateway runs, while
        Redis and the store are there; it is put on record.

  --key PUB        ed25519:…, or a file with it; again for a key used before a rotation
  --head SEQ:HASH  as printed on a card: fails when that entry is not there (a cut tail)
  --session ID     only the entries of one session
  --json           as stored, or the report as JSON
  --since, --until a date or time (2026-11-23, 2026-11-23T14:00Z), or how long ago: 24h, 7d
  --format         jsonl (as stored, with _chain; the default), csv, or ocsf (OCSF 1.6.0)
  --connection C, --principal P, --kind K
                   only those; a principal is issuer#subject or a subject, a kind may be hold.*, and be given again
  --out FILE       FILE is there once it is whole; what is not whole is FILE.part
  --unverified     without a key: everything as it stands, and every entry says that nobody checked it`,

  run: async (args, output) => {
    const [what, ...rest] = args;
    if (what === 'hold' || what === 'unhold') return (await import('./legal-hold.ts')).runHold(what, rest, output);
    return runAuditCommand(args, output.out, output.err);
  },
};
