/** The command line of one soak: whole numbers with a floor, and `--help`. */
import { parseArgs } from 'node:util';

type Option = { readonly value: number | undefined; readonly about: string };

/** What was asked for; or the exit code, once help or the mistake was printed. */
export function readOptions<Name extends string>(
  soak: string,
  about: string,
  options: Readonly<Record<Name, Option>>,
  args: readonly string[],
): Readonly<Record<Name, number | undefined>> | { readonly exit: number } {
  const names = Object.keys(options) as Name[];
  const lines = names.map((name) => `  --${`${name} N`.padEnd(14)} ${options[name].about}`);
  const usage = `Usage: npm run soak -- ${soak} [options]\n\n${about}\n\n${lines.join('\n')}\n`;
  const chosen = Object.fromEntries(names.map((name) => [name, options[name].value])) as Record<
    Name,
    number | undefined
  >;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
      },
    });
    if (values.help) {
      console.log(usage);
      return { exit: 0 };
    }
    for (const [name, text] of Object.entries(values)) {
      if (typeof text !== 'string') continue;
      if (!/^\d{1,15}$/.test(text)) throw new Error(`--${name}: expected a whole number, not ${text}`);
      chosen[name as Name] = Number(text);
    }
    return chosen;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return { exit: 2 };
  }
}
