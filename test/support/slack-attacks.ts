/** Around an attack by way of Slack: held statements, clicks that nobody made but that are signed, and what became of them. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import pg from 'pg';
import { Psql } from './psql.ts';
import { withClient } from './seed.ts';
import { hasButton, type Message, shownBy, type Workspace } from './workspace.ts';
import { PEOPLE, type World } from './world.ts';

let tables = 0;

/** A table with one row, and what has become of it. */
export async function target(world: World): Promise<{ name: string; rows(): Promise<number> }> {
  const name = `attacked_${tables++}`;
  const query = <T>(sql: string) =>
    withClient(world.upstreamUrl, async (client) => (await client.query(sql)).rows[0] as T);
  await query(`CREATE TABLE ${name} AS SELECT 1 AS id`);
  return { name, rows: async () => (await query<{ n: number }>(`SELECT count(*)::int AS n FROM ${name}`)).n };
}

/** A client whose statements may hold anything; a broken connection is expected of it. */
export async function connected(world: World, options: Parameters<World['downstream']>[0] = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: await world.downstream(options) });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

export async function withdrawn(psql: Psql): Promise<void> {
  psql.signal('SIGINT');
  await psql.until(/cancel|withdrawn/i);
  await psql.close();
}

export function buttonOf(card: Message, action: string): { block_id: string; value: string } {
  for (const block of card.blocks ?? []) {
    const elements = (Array.isArray(block.elements) ? block.elements : []) as {
      action_id?: string;
      value?: string;
    }[];
    const found = elements.find(({ action_id }) => action_id === action);
    if (found) return { block_id: String(block.block_id), value: String(found.value) };
  }
  throw new Error(`no button ${action}`);
}

export type Attacks = ReturnType<typeof attacks>;

/** The ways of an attacker in this world. */
export function attacks(world: World, slack: Workspace) {
  const held = async (statement: string, shown = statement, gateway = world.gateways[0]) => {
    const psql = new Psql(await world.downstream({ gateway }));
    psql.send(`${statement};`);
    return { psql, card: await slack.card(shown) };
  };
  const now = (ts: string): Promise<Message> => slack.message((_, message) => message.ts === ts);
  /** What Slack would send for a click, with whatever is to be forged; signed as told. */
  const forged = async (
    card: Message,
    changes: Record<string, unknown>,
    how: { secret?: string; age?: number; tamper?: (body: string) => string } = {},
  ) => {
    const { block_id, value } = buttonOf(card, 'approve');
    const payload = {
      type: 'block_actions',
      user: { id: PEOPLE.alice, team_id: 'T0COUNTERSIGN' },
      team: { id: 'T0COUNTERSIGN', domain: 'acme' },
      api_app_id: 'A0COUNTERSIGN',
      trigger_id: `forged.${Math.random()}`,
      channel: { id: world.channel },
      message: { ts: card.ts, bot_id: 'B0GATEBOT', app_id: 'A0COUNTERSIGN' },
      actions: [{ type: 'button', action_id: 'approve', block_id, value }],
      ...changes,
    };
    const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
    const stamp = Math.floor(Date.now() / 1000) - (how.age ?? 0);
    const hmac = createHmac('sha256', how.secret ?? world.slack?.workspace.app.signingSecret ?? '');
    const response = await fetch(world.slack?.workspace.app.requestUrl ?? '', {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'x-slack-request-timestamp': String(stamp),
        'x-slack-signature': `v0=${hmac.update(`v0:${stamp}:${body}`).digest('hex')}`,
      },
      body: how.tamper?.(body) ?? body,
    });
    return response.status;
  };
  /** The hold is as it was: open, without a vote, and nothing has run. */
  const untouched = async (card: Message, rows: () => Promise<number>) => {
    const still = await now(card.ts);
    assert.ok(hasButton(still, 'approve') || hasButton(still, 'details'), shownBy(still));
    assert.doesNotMatch(shownBy(still), /Approved by/);
    assert.equal(await rows(), 1);
  };

  /** A click that no button offers, as one who can sign would send it. */
  const cast = (card: Message, action: Record<string, unknown>) => {
    const like = { ...card, blocks: [{ type: 'actions', block_id: String(action.block_id), elements: [action] }] };
    return forged(like as Message, { actions: [{ type: 'button', ...action }] });
  };

  return { held, now, forged, untouched, cast };
}
