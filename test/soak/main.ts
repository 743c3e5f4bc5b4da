/** `npm run soak -- <what> […]`: what takes minutes and so is not in `npm test`; `--help` says what there is. */

/** One soak. Its file is loaded only when it is asked for; it reads its own options and explains them with `--help`. */
type Soak = {
  readonly about: string;
  /** Resolves with the exit code: 0 fine, 1 something was found, 2 misused. */
  readonly run: (args: readonly string[]) => Promise<number>;
};

const SOAKS: Readonly<Record<string, Soak>> = {
  fuzz: {
    about: 'hostile bytes: the codec, and whole sessions before a target that knows what was judged',
    run: async (args) => (await import('./fuzz.ts')).fuzz(args),
  },
  differential: {
    about: 'generated SQL, judged and then run on a real PostgreSQL: nothing that changed something passed as a read',
    run: async (args) => (await import('../differential/differential.ts')).differential(args),
  },
  masking: {
    about: 'random SQL over masked columns, an hour: no answer gives a value away, whichever way it is read',
    run: async (args) => (await import('../masking/fuzz.ts')).masking(args),
  },
  floods: {
    about: '10,000 half-open sockets at a byte a minute, and floods of log-ins: others still get in',
    run: async (args) => (await import('./floods.ts')).floods(args),
  },
  holds: {
    about: 'the life of a hold in every order: votes, ends, outages, crashes; one end, at most one execution',
    run: async (args) => (await import('./holds.ts')).holds(args),
  },
  chaos: {
    about: 'every part killed, paused, cut off or slowed at every stage of a hold; what everybody says afterwards',
    run: async (args) => (await import('./chaos.ts')).chaos(args),
  },
  load: {
    about: 'half an hour of mixed load with holds: memory, handles and event-loop lag stay flat',
    run: async (args) => (await import('./load.ts')).load(args),
  },
};

const USAGE = `Usage: npm run soak -- <what> [options]

${Object.entries(SOAKS)
  .map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`)
  .join('\n')}

npm run soak -- <what> --help says what each takes.
`;

const [what = '', ...args] = process.argv.slice(2);
const soak = Object.hasOwn(SOAKS, what) ? SOAKS[what] : undefined;
if (soak) {
  process.exitCode = await soak.run(args);
} else if (what === '--help' || what === '-h') {
  console.log(USAGE);
} else {
  console.error(`${what === '' ? 'expected what to soak' : `unknown: ${what}`}\n\n${USAGE}`);
  process.exitCode = 2;
}
