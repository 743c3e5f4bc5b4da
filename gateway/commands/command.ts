/** What every command of `countersign` looks like to the command line. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** Exit status: 0 fine, 1 failed, 2 misused. */
export type Status = 0 | 1 | 2;

export type Output = { readonly out: (text: string) => void; readonly err: (text: string) => void };

export type Command = {
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `--help` prints: usage, options, what it does. */
  readonly help: string;
  /**
   * Answers the exit status: another command's, where it ran one.
   * @throws Misuse when the arguments make no sense; anything else thrown is a failure.
   */
  run(args: readonly string[], output: Output): Promise<number>;
};

/** The command line is wrong, not the world: exit 2 and a pointer to the help. */
export class Misuse extends Error {
  override readonly name = 'Misuse';
}

/** Options and the positional arguments. @throws Misuse for an unknown option or a wrong number of arguments. */
export function parse<O extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: O,
  positionals: readonly string[] = [],
) {
  const parsed = (() => {
    try {
      return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
    } catch (error) {
      throw new Misuse(error instanceof Error ? error.message : String(error));
    }
  })();
  const given = parsed.positionals.length;
  if (given < positionals.length) throw new Misuse(`missing ${positionals[given]}`);
  if (given > positionals.length) throw new Misuse(`unexpected argument ${parsed.positionals[positionals.length]}`);
  return { values: parsed.values, positionals: parsed.positionals };
}
