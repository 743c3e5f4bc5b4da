/** `countersign keygen`: a new Ed25519 key pair for a gateway, a bot or an audit trail. */
import { writeFile } from 'node:fs/promises';
import { newKeyPair } from '../../queue/sign.ts';
import { type Command, parse } from './command.ts';

export const keygen: Command = {
  summary: 'make a key pair for a gateway, a bot or an audit trail',
  help: `Usage: countersign keygen [--out FILE]

Prints a new Ed25519 key pair: the secret for the one that signs (keys.own, audit.key,
COUNTERSIGN_BOT_KEY), the public key for everyone who checks (keys.bots, keys.gateways, audit verify --key).
keys.masking is a secret of its own pair, of which nobody needs the public key.

  --out FILE   write the secret to FILE, readable by its owner only, and print the public key alone;
               a file that exists is never overwritten`,

  run: async (args, { out }) => {
    const { values } = parse(args, { out: { type: 'string' } });
    const pair = newKeyPair();
    if (values.out === undefined) {
      out(`secret ${pair.secret}\npublic ${pair.public}`);
      return 0;
    }
    await writeFile(values.out, `${pair.secret}\n`, { mode: 0o600, flag: 'wx' });
    out(pair.public);
    return 0;
  },
};
