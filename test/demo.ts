/** `npm run demo`: the whole product on this machine, seeded, with a card already waiting. */
import { rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { freePort } from './support/ports.ts';
import { PEOPLE, startWorld, type World, type WorldOptions } from './support/world.ts';

const HELP = `Usage: npm run demo -- [options]

Starts Redis, PostgreSQL with a seeded database, an OIDC provider, a Slack workspace in a web page,
the gateway and the bot. Everything listens on loopback and is removed on Ctrl-C.

  --json FILE            write where everything is, once all is ready
  --port-base N          use ports N to N+15 only
  --no-story             do not let report-bot act out its attempt at DELETE FROM customers
  --help                 this text

With another Slack instead of the built-in one:
  --slack-api-url URL --slack-bot-token xoxb-… --slack-app-token xapp-… --slack-channel C… --approver U… --approver U…
`;

const DEFAULT_PORTS = {
  postgres: 15_432,
  web: 18_081,
  slack: 18_090,
  upstream: 18_091,
  redis: 18_092,
  oidc: 18_093,
  botHttp: 18_094,
  botHealth: 18_095,
};
/** Who listens here has the default ports; a second demo takes others from the start. */
const FIRST_DEMO = 18_096;

const OPTIONS = {
  json: { type: 'string' },
  'port-base': { type: 'string' },
  'no-story': { type: 'boolean', default: false },
  'slack-api-url': { type: 'string' },
  'slack-bot-token': { type: 'string' },
  'slack-app-token': { type: 'string' },
  'slack-channel': { type: 'string' },
  approver: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h', default: false },
} as const;
const values = read();
if (values.help) {
  console.log(HELP);
  process.exit(0);
}

const asked = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => asked.abort());

const began = performance.now();
console.log('Starting Redis, PostgreSQL, OIDC, Slack, gateway and bot …');
try {
  const options = {
    ports: await ports(),
    otherSlack: otherSlack(),
    signal: asked.signal,
    ownGroups: true,
    recorded: true,
  };
  const world = await startWorld(options);
  try {
    await run(world);
  } finally {
    console.log('\nStopping …');
    await world.stop();
  }
} catch (error) {
  if (!asked.signal.aborted) {
    console.error(`countersign: the demo could not start: ${error instanceof Error ? error.message : error}`);
    process.exit(1);
  }
}
process.exit(0);

async function run(world: World): Promise<void> {
  const downstream = await world.downstream();
  world.setTerminal(downstream);
  if (values.json) {
    const whole = `${values.json}.${process.pid}`; // whoever waits for the file never reads half of it
    await writeFile(whole, `${JSON.stringify(description(world, downstream), null, 2)}\n`);
    await rename(whole, values.json);
  }
  const endStory = values['no-story'] ? undefined : story(downstream);
  const waiting = endStory ? 'a card is waiting: click Approve or Deny' : 'cards appear here: click Approve or Deny';
  console.log(`Ready after ${((performance.now() - began) / 1_000).toFixed(1)} s.

  1  Slack, as Alice:   ${world.slack?.url ?? `your workspace, channel ${world.channel}`}   ${waiting}
  2  An agent's psql:   psql '${downstream}'
  3  Ask for trouble:   DROP TABLE orders;        psql says who is being asked; the click decides
  4  Or get a plain no: GRANT ALL ON customers TO PUBLIC;   a masked answer: TABLE customers LIMIT 3;   an export: TABLE customers;
  5  What was written:  npm run audit -- show ${world.dir}/audit-1      Ctrl-C stops everything
`);
  if (!asked.signal.aborted)
    await new Promise((resolve) => asked.signal.addEventListener('abort', resolve, { once: true }));
  await endStory?.();
}

/** report-bot's night: an ordinary report, then the attempt that a human has to see. */
function story(url: string): () => Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'nightly-report' });
  client.on('error', () => {}); // the demo is ending
  const acted = (async () => {
    await client.connect();
    await client.query(
      "SELECT date_trunc('day', placed_at) AS day, sum(total) FROM orders WHERE status = 'paid' GROUP BY 1 ORDER BY 1 DESC LIMIT 7",
    );
    await client.query('DELETE FROM customers').then(
      (result) => console.log(`report-bot: DELETE ${result.rowCount}`),
      (error: Error) => asked.signal.aborted || console.log(`report-bot: ${error.message}`),
    );
  })().catch((error: Error) => console.error(`report-bot: ${error.message}`));
  return async () => {
    await client.end().catch(() => {});
    await acted;
  };
}

function description(world: World, downstream: string) {
  const own = world.slack && { page: world.slack.url, api: world.slack.apiUrl, control: world.slack.controlUrl };
  return {
    web: world.gateways[0]?.web,
    slack: own ?? { api: values['slack-api-url'] },
    channel: world.channel,
    people: own ? PEOPLE : Object.fromEntries((values.approver ?? []).map((user) => [user, user])),
    oidc: { issuer: world.oidc.issuer, clients: world.oidc.clients },
    connections: { orders: { protocol: 'postgres', downstream, upstream: world.upstreamUrl } },
    audit: { dir: `${world.dir}/audit-1`, key: world.auditKey },
    processes: Object.fromEntries([...world.gateways, ...world.bots].map(({ name, pid, log }) => [name, { pid, log }])),
  };
}

/** The default ports where they are free, others where not; with --port-base, exactly those. */
async function ports(): Promise<NonNullable<WorldOptions['ports']>> {
  const names = Object.keys(DEFAULT_PORTS) as (keyof typeof DEFAULT_PORTS)[];
  if (values['port-base'] !== undefined) {
    const base = Number(values['port-base']);
    if (!Number.isInteger(base) || base < 1024 || base > 65_520) {
      console.error('--port-base: expected a number from 1024 to 65520');
      process.exit(2);
    }
    return Object.fromEntries(names.map((name, at) => [name, base + at]));
  }
  const first = await taken(FIRST_DEMO);
  const chosen = names.map(async (name) => [
    name,
    first && (await free(DEFAULT_PORTS[name])) ? DEFAULT_PORTS[name] : await freePort(),
  ]);
  return Object.fromEntries(await Promise.all(chosen));
}

/** Listens on a port for as long as this process lives; false where somebody else does. */
function taken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const mark = createServer((socket) => socket.destroy());
    mark.once('error', () => resolve(false));
    mark.listen(port, '127.0.0.1', () => resolve(true));
  });
}

function free(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

function otherSlack(): WorldOptions['otherSlack'] {
  const given = {
    apiUrl: values['slack-api-url'],
    botToken: values['slack-bot-token'],
    appToken: values['slack-app-token'],
    channel: values['slack-channel'],
  };
  const flags = Object.values(given);
  if (flags.every((flag) => flag === undefined) && !values.approver) return undefined;
  if (flags.some((flag) => flag === undefined) || (values.approver ?? []).length < 2) {
    console.error(
      'another Slack needs --slack-api-url, --slack-bot-token, --slack-app-token, --slack-channel and --approver twice',
    );
    process.exit(2);
  }
  return { ...(given as Record<keyof typeof given, string>), approvers: values.approver ?? [] };
}

/** The command line; ends with status 2 where it makes no sense. */
function read() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nTry: npm run demo -- --help`);
    process.exit(2);
  }
}
