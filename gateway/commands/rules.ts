/** `countersign rules`: the signed rule set that gateways share, out to a file and back in. */
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { stringify } from 'yaml';
import { z } from 'zod';
import { connectCommands, connected } from '../../queue/connection.ts';
import { signingKey, verifyingKey } from '../../queue/sign.ts';
import { commandRulesFile } from '../compose/rulebook.ts';
import { configPath } from '../config/path.ts';
import { problemsOf, section } from '../config/problems.ts';
import { writtenRule } from '../config/sections.ts';
import { written } from '../config/written.ts';
import { parseYaml } from '../config/yaml.ts';
import { type Config, loadConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { systemClock } from '../holds/clock.ts';
import { printLine } from '../policy/line-print.ts';
import type { Rule } from '../policy/policy.ts';
import { ruleSchema } from '../policy/schema.ts';
import { type RuleSet, RuleStore } from '../state/rules.ts';
import { SignedStore } from '../state/signed.ts';
import { type Command, Misuse, parse, type Status } from './command.ts';

const PATIENCE_MS = 5_000;

/** As export wrote it once: rules as gateways keep them. */
const kept = z.strictObject({
  version: z.number().int().optional(),
  by: z.string().optional(),
  at: z.string().optional(),
  rules: z.array(
    ruleSchema.refine(({ source }) => source === 'slack', 'expected source: slack; file rules belong into the file'),
  ),
});

const file = section({ rules: z.array(writtenRule, { error: 'expected a list of rules' }).max(100_000) });

export const rules: Command = {
  summary: 'export, import or compare the rules made in Slack',
  help: `Usage: countersign rules export [--config FILE]
       countersign rules import RULES [--config FILE]
       countersign rules diff RULES [--config FILE]

export  prints the rule set that gateways share, once its signature is verified: YAML with the keys of
        countersign.yaml, to be kept in Git.
import  replaces the whole set with the one in RULES, signed by this gateway's key; every gateway has it within 2 s
        and records it. Nobody is asked, also where it loosens: whoever may run this holds a gateway's key. Run it
        where a gateway runs: the newest version is remembered there.
diff    prints what RULES has and the set has not (+), and the other way round (-), a line a rule; exits 1 when they
        differ.

  --config FILE   default: COUNTERSIGN_CONFIG, else countersign.yaml`,

  run: async (args, { out }) => {
    const options = { config: { type: 'string' } } as const;
    const [what, ...rest] = args;
    if (what === 'export') {
      const { values } = parse(rest, options);
      await withStore(configPath(values.config), async (store) => out(exported(store.current())));
      return 0;
    }
    if (what === 'import' || what === 'diff') {
      const { values, positionals } = parse(rest, options, ['the file with the rules']);
      const list = await readRules(positionals[0] ?? '');
      let status: Status = 0;
      await withStore(configPath(values.config), async (store, config) => {
        if (what === 'diff') {
          const lines = [...compared(store.current().rules, list)];
          for (const line of lines) out(line);
          status = lines.length === 0 ? 0 : 1;
          return;
        }
        const floor = list.find(({ id }) => config.rules.some((rule) => rule.id === id));
        if (floor) throw new GatewayError('CONFIG', `${floor.id} is a rule of the configuration file already`);
        const { version } = await store.write(() => list, `cli:${userInfo().username}`.slice(0, 64));
        out(`version ${version}: ${list.length} rules`);
      });
      return status;
    }
    throw new Misuse(what === undefined ? 'missing export, import or diff' : `there is no rules ${what}`);
  },
};

const exported = ({ version, by, at, rules: list }: RuleSet): string =>
  [
    version === 0
      ? '# No rule was made in Slack yet.'
      : `# Version ${version}, by ${by} at ${new Date(at).toISOString()}`,
    stringify({ rules: list.map(written) }, { lineWidth: 0 }).trimEnd(),
  ].join('\n');

/** Rules have no order, and the lines say all of them. */
function* compared(store: readonly Rule[], other: readonly Rule[]): Generator<string> {
  const [was, is] = [store.map(printLine).sort(), other.map(printLine).sort()];
  for (const line of was) if (!is.includes(line)) yield `- ${line}`;
  for (const line of is) if (!was.includes(line)) yield `+ ${line}`;
}

async function readRules(path: string): Promise<Rule[]> {
  const raw = parseYaml(await readFile(path, 'utf8'));
  const list = isKept(raw) ? readKept(raw, path) : readWritten(raw, path);
  const twice = list.find(({ id }, i) => list.findIndex((other) => other.id === id) !== i);
  if (twice) throw new GatewayError('CONFIG', `${path}: two rules are called ${twice.id}`);
  return list;
}

const isKept = (raw: unknown): boolean =>
  Array.isArray((raw as { rules?: unknown })?.rules) &&
  (raw as { rules: unknown[] }).rules.some((rule) => typeof rule === 'object' && rule !== null && 'source' in rule);

function readKept(raw: unknown, path: string): Rule[] {
  const parsed = kept.safeParse(raw);
  if (!parsed.success) throw new GatewayError('CONFIG', `${path}:\n${z.prettifyError(parsed.error)}`);
  return parsed.data.rules;
}

function readWritten(raw: unknown, path: string): Rule[] {
  const parsed = file.safeParse(raw);
  if (parsed.success) return parsed.data.rules.map((rule) => ruleSchema.parse({ ...known(rule), source: 'slack' }));
  const problems = problemsOf(parsed.error, raw, []).map((problem) => `  ${problem.path}: ${problem.message}`);
  throw new GatewayError('CONFIG', [`${path}:`, ...problems].join('\n'));
}

/** Without what says nothing: kept is what is set. */
const known = (rule: Rule): Partial<Rule> =>
  Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== undefined));

/** @throws GatewayError when Redis is not there, or what it holds does not verify */
async function withStore(path: string, use: (store: RuleStore, config: Config) => Promise<void>): Promise<void> {
  const config = loadConfig(path);
  const own = signingKey(config.keys.own.reveal());
  const trusted = [verifyingKey(own.public), ...config.keys.gateways.map(verifyingKey)];
  const redis = connectCommands(config.state.redis.reveal(), () => {});
  const store = new RuleStore({
    store: new SignedStore(redis, { own, trusted: () => trusted }),
    rule: ruleSchema,
    file: commandRulesFile(config),
    clock: systemClock,
    onChange: () => {},
    onTrouble: () => {},
  });
  try {
    await connected(redis, PATIENCE_MS);
    await store.start();
    const trouble = store.trouble() ?? (store.ready() ? undefined : 'Redis did not answer');
    if (trouble !== undefined) throw new GatewayError('FORGED', trouble);
    await use(store, config);
  } finally {
    store.stop();
    redis.disconnect();
  }
}
