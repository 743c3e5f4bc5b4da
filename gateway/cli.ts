#!/usr/bin/env node
/** `countersign <command>` as a process: exits 0 fine, 1 failed, 2 misused. */
import { runCommand } from './commands/commands.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(1); // whoever read it has seen enough, as `head` has
});
const status = await runCommand(process.argv.slice(2), {
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
});
process.exit(status); // whatever a command left open does not keep it alive
