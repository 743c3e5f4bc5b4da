#!/usr/bin/env node
/** `countersign <command>` as a process: exits 0 fine, 1 failed, 2 misused. */
import { runCommand } from './commands/commands.ts';

const status = await runCommand(process.argv.slice(2), {
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
});
process.exit(status); // whatever a command left open does not keep it alive
