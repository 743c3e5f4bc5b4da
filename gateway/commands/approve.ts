/** `countersign approve`: decide at a signed-in terminal, for when Slack is down. Shows the whole request before it asks. */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { z } from 'zod';
import { type Card, cardSchema } from '../../queue/cards.ts';
import { visible } from '../../queue/review.ts';
import { GatewayError } from '../errors.ts';
import { type Command, Misuse, parse } from './command.ts';
import { webUrl } from './web-url.ts';

const TIMEOUT_MS = 30_000; // a vote may wait 15 s for the gateway that holds it

const listSchema = z.object({
  holds: z.array(cardSchema),
  /** Names by Slack id. */
  people: z.record(z.string(), z.string()).default({}),
});
type People = Readonly<Record<string, string>>;
const decidedSchema = z.object({ counted: z.boolean(), text: z.string() });
const errorSchema = z.object({ message: z.string(), hint: z.string().optional() });

export const approve: Command = {
  summary: 'approve or deny a held operation without Slack',
  help: `Usage: countersign approve [ID] [--deny] [--reason TEXT] [--url URL] [--token-file FILE] [--yes DIGEST]

Without ID: lists what waits for you. With one (six characters, or all of it): shows the whole request, asks, and
votes on exactly what it showed. The same people may decide as in Slack, minus those whom only Slack can vouch for: your
token's issuer and subject must be linked to your Slack account (identity.people), and approvers that are Slack groups
count for a minute after the gateway last read them. The card says so once Slack is back.

  --deny             deny it instead
  --reason TEXT      recorded, and told to the requester; some rules ask for one
  --url URL          the gateway's web address   (default: COUNTERSIGN_URL, else http://127.0.0.1:18081)
  --token-file FILE  your token, or a JWT        (default: COUNTERSIGN_TOKEN)
  --yes DIGEST       do not ask: vote if the digest shown before still begins with this (at least 12 characters)`,

  run: async (args, { out }) => {
    const { values, positionals } = parse(
      args,
      {
        deny: { type: 'boolean', default: false },
        reason: { type: 'string' },
        url: { type: 'string' },
        'token-file': { type: 'string' },
        yes: { type: 'string' },
      },
      args[0] !== undefined && !args[0].startsWith('-') ? ['ID'] : [],
    );
    const [id] = positionals;
    if (values.yes !== undefined && !/^[0-9a-f]{12,64}$/.test(values.yes))
      throw new Misuse('--yes takes the digest as it was shown, at least 12 characters of it');
    const gateway = await reach(values.url, values['token-file']);
    const { holds, people } = listSchema.parse(await gateway('GET', '/v1/holds'));
    if (id === undefined) {
      for (const card of holds) out(row(card));
      if (holds.length === 0) out('Nothing waits for you.');
      return 0;
    }
    const found = holds.filter(({ hold, shortId }) => hold === id || shortId === id);
    const [card] = found;
    if (!card) throw new GatewayError('WITHDRAWN', `nothing called ${id} waits for you`);
    if (found.length > 1)
      throw new Misuse(`${id} is not the only one; give all of it: ${found.map(({ hold }) => hold).join(', ')}`);
    out(whole(card, people));
    const decision = values.deny ? 'deny' : 'approve';
    if (values.yes === undefined ? !(await agreed(card, decision)) : !card.digest.startsWith(values.yes)) {
      out(values.yes === undefined ? 'Not voted.' : 'Not voted: the digest is another one now. Read it again.');
      return 1;
    }
    const { hold, digest, revision } = card;
    const vote = {
      hold,
      digest,
      revision,
      decision,
      ...(values.reason === undefined ? {} : { reason: values.reason }),
    };
    const { counted, text } = decidedSchema.parse(await gateway('POST', '/v1/votes', vote));
    out(text);
    return counted ? 0 : 1;
  },
};

type Ask = (method: 'GET' | 'POST', path: string, body?: unknown) => Promise<unknown>;

/** @throws Misuse without a token; GatewayError as the gateway refuses */
async function reach(given: string | undefined, file: string | undefined): Promise<Ask> {
  const url = webUrl(given);
  const token = (file === undefined ? process.env.COUNTERSIGN_TOKEN : await readFile(file, 'utf8'))?.trim();
  if (!token) throw new Misuse('no token: set COUNTERSIGN_TOKEN or give --token-file');
  return async (method, path, body) => {
    const answer = await fetch(new URL(path, url), {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((cause: unknown) => {
      throw new GatewayError('UNAVAILABLE', `the gateway at ${url.origin} does not answer`, { cause });
    });
    const said: unknown = await answer.json().catch(() => undefined);
    if (answer.ok) return said;
    const { message, hint } = errorSchema.catch({ message: `the gateway answered ${answer.status}` }).parse(said);
    throw new GatewayError('DENIED', message, hint === undefined ? {} : { hint });
  };
}

const plain = (text: string): string => visible(text.replaceAll(/[\n\t]/g, ' ')).text;

const row = (card: Card): string =>
  `${card.shortId}  ${new Date(card.openedAt).toISOString()}  ${title(card)}  (${plain(card.requester.name)})`;

const title = (card: Card): string =>
  `${plain(card.environment).toUpperCase()} · ${plain(card.connection)}: ${plain(card.headline)}`;

/** Everything that is voted on, with whatever could hide or move the cursor written out. */
function whole(card: Card, people: People): string {
  const named = (id: string) => (people[id] === undefined ? plain(id) : `${plain(people[id])} (${plain(id)})`);
  const votes = card.demands.map(
    ({ rule, why, counted, quorum, approvers }) =>
      `  ${plain(rule)}: ${plain(why)} (${counted} of ${quorum} from ${approvers.map(named).join(', ')})`,
  );
  return [
    title(card),
    `Asked by ${plain(card.requester.name)} (${card.requester.kind}), ${plain(card.requester.issuer)}#${plain(card.requester.subject)}`,
    ...card.risks.map((risk) => `Risk: ${plain(risk)}`),
    ...card.warnings.map((warning) => `Warning: ${plain(warning)}`),
    '',
    visible(card.statement).text,
    ...card.parameters.map((parameter, index) => `$${index + 1} = ${visible(parameter).text}`),
    '',
    'Rules, each to be met:',
    ...votes,
    `Expires ${new Date(card.expiresAt).toISOString()}`,
    `Digest  ${card.digest}`,
    '',
  ].join('\n');
}

async function agreed(card: Card, decision: 'approve' | 'deny'): Promise<boolean> {
  if (!process.stdin.isTTY) throw new Misuse('nobody is there to ask: read it, then give --yes with its digest');
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await lines.question(`Type ${card.shortId} to ${decision} it: `)).trim() === card.shortId;
  } finally {
    lines.close();
  }
}
