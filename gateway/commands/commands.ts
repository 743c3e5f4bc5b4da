/** Every command of `countersign`, and how a command line becomes one. */
import { GatewayError } from '../errors.ts';
import { version } from '../version.ts';
import { type Command, Misuse, type Output } from './command.ts';

/** Loaded when asked for: `keygen` should not wait for a database driver. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  gateway: async () => (await import('./gateway.ts')).gateway,
  bot: async () => (await import('./bot.ts')).bot,
  check: async () => (await import('./check.ts')).check,
  keygen: async () => (await import('./keygen.ts')).keygen,
  policy: async () => (await import('./policy.ts')).policy,
  audit: async () => (await import('./audit.ts')).audit,
  approve: async () => (await import('./approve.ts')).approve,
  login: async () => (await import('./login.ts')).login,
  rules: async () => (await import('./rules.ts')).rules,
};

/** Runs one command line. Never throws: what goes wrong is told on `err`. */
export async function runCommand([name, ...args]: readonly string[], output: Output): Promise<number> {
  if (name === '--version' || name === '-v') {
    output.out(version());
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    (name === undefined ? output.err : output.out)(await overview());
    return name === undefined ? 2 : 0;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) {
    output.err(`countersign: there is no command ${name}\n\n${await overview()}`);
    return 2;
  }
  const command = await load();
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args; // the rest is another command's
  if (own.includes('--help') || own.includes('-h')) {
    output.out(command.help);
    return 0;
  }
  try {
    return await command.run(args, output);
  } catch (error) {
    if (error instanceof Misuse) {
      output.err(`countersign ${name}: ${error.message}\nTry: countersign ${name} --help`);
      return 2;
    }
    output.err(`countersign ${name}: ${explain(error)}`);
    return 1;
  }
}

async function overview(): Promise<string> {
  const commands = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, load]) => `  ${name.padEnd(8)} ${(await load()).summary}`),
  );
  return [
    'Usage: countersign <command> [options]',
    '',
    ...commands,
    '',
    '  --help after a command says more; --version',
  ].join('\n');
}

function explain(error: unknown): string {
  if (error instanceof GatewayError) return error.hint ? `${error.message}\n${error.hint}` : error.message;
  return error instanceof Error ? error.message : String(error);
}
