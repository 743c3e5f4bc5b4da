/** `countersign rules`: the signed rule set that gateways share, out to a file and back in. */
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { z } from 'zod';
import { connectCommands, connected } from '../../queue/connection.ts';
import { signingKey, verifyingKey } from '../../queue/sign.ts';
import { commandRulesFile } from '../compose/rulebook.ts';
import { configPath } from '../config/path.ts';
import { parseYaml } from '../config/yaml.ts';
import { loadConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { systemClock } from '../holds/clock.ts';
import { ruleSchema } from '../policy/schema.ts';
import { RuleStore } from '../state/rules.ts';
import { SignedStore } from '../state/signed.ts';
import { type Command, Misuse, parse } from './command.ts';

const PATIENCE_MS = 5_000;

const exported = z.strictObject({
  version: z.number().int().optional(),
  by: z.string().optional(),
  at: z.string().optional(),
  rules: z.array(
    ruleSchema.refine(({ source }) => source === 'slack', 'expected source: slack; file rules belong into the file'),
  ),
});

export const rules: Command = {
  summary: 'export or import the rules made in Slack',
  help: `Usage: countersign rules export [--config FILE]
       countersign rules import RULES [--config FILE]

export  prints the rule set that gateways share, as JSON, once its signature is verified.
import  replaces the whole set with the one in RULES (as exported), signed by this gateway's key; every gateway
        has it within 2 s and records it. Run it where a gateway runs: the newest version is remembered there.

  --config FILE   default: COUNTERSIGN_CONFIG, else countersign.yaml`,

  run: async (args, { out }) => {
    const options = { config: { type: 'string' } } as const;
    const [what, ...rest] = args;
    if (what === 'export') {
      const { values } = parse(rest, options);
      await withStore(configPath(values.config), async (store) => {
        const { version, by, at, rules: list } = store.current();
        out(JSON.stringify({ version, by, at: new Date(at).toISOString(), rules: list }, undefined, 2));
      });
      return 0;
    }
    if (what === 'import') {
      const { values, positionals } = parse(rest, options, ['the file with the rules']);
      const list = await readRules(positionals[0] ?? '');
      await withStore(configPath(values.config), async (store) => {
        const { version } = await store.write(() => list, `cli:${userInfo().username}`.slice(0, 64));
        out(`version ${version}: ${list.length} rules`);
      });
      return 0;
    }
    throw new Misuse(what === undefined ? 'missing export or import' : `there is no rules ${what}`);
  },
};

async function readRules(path: string) {
  const parsed = exported.safeParse(parseYaml(await readFile(path, 'utf8')));
  if (!parsed.success) throw new GatewayError('CONFIG', `${path}:\n${z.prettifyError(parsed.error)}`);
  const { rules: list } = parsed.data;
  const twice = list.find(({ id }, i) => list.findIndex((other) => other.id === id) !== i);
  if (twice) throw new GatewayError('CONFIG', `${path}: two rules are called ${twice.id}`);
  return list;
}

/** @throws GatewayError when Redis is not there, or what it holds does not verify */
async function withStore(path: string, use: (store: RuleStore) => Promise<void>): Promise<void> {
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
    await use(store);
  } finally {
    store.stop();
    redis.disconnect();
  }
}
