/** `countersign audit`: checks or shows a trail, offline. */
import { runAuditCommand } from '../audit/command.ts';
import type { Command } from './command.ts';

export const audit: Command = {
  summary: 'verify a trail offline, or show it',
  help: `Usage: countersign audit verify DIR --key PUB [--key PUB] [--head SEQ:HASH …] [--json]
       countersign audit show DIR [--session ID] [--json]

verify  checks every entry, file and seal in DIR against the audit key's public half and names the first entry
        that does not fit; exit 1 when one does not.
show    prints the entries, one a line, oldest first.

  --key PUB        ed25519:…, or a file with it; again for a key used before a rotation
  --head SEQ:HASH  as printed on a card: fails when that entry is not there (a cut tail)
  --session ID     only the entries of one session
  --json           as stored, or the report as JSON`,

  run: (args, { out }) => runAuditCommand(args, out),
};
