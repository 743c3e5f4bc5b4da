/** The night when Slack is down: what waits is decided at a signed-in terminal, by the same rules, and the card says so after. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newKeyPair } from '../queue/sign.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';

type Ran = { readonly code: number; readonly text: string };

const rules = [
  {
    id: 'drops',
    match: { action: ['ddl'] },
    verdict: 'hold',
    approvers: ['oidc:data-science', PEOPLE.bob, PEOPLE.guest],
    why: 'Looked at',
  },
  { id: 'by-group', match: { object: 'grouped' }, verdict: 'hold', approvers: ['@dba-oncall'], why: 'DBAs look' },
];

describe('countersign approve, with Slack down', { timeout: 180_000 }, () => {
  let world: World;
  let slack: Workspace;
  const tokens = new Map<string, string>();

  before(async () => {
    world = await startWorld({
      gateways: 2,
      gatewayKeys: [newKeyPair(), newKeyPair()],
      config: (config: Config) => ({ ...config, rules }),
    });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    await withClient(world.upstreamUrl, async (client) => {
      for (const table of ['t1', 't2', 't3', 't4', 'grouped']) await client.query(`CREATE TABLE ${table} (id int)`);
    });
    for (const name of ['alice', 'bob']) {
      const file = join(world.dir, `${name}.token`);
      await writeFile(file, await world.oidc.personToken(name));
      tokens.set(name, file);
    }
    const file = join(world.dir, 'agent.token');
    await writeFile(file, await world.oidc.token('deploy-bot'));
    tokens.set('agent', file);
    // Slack has been there once, so that the workspace is known; now it is away, as far as anybody here can tell.
    await world.bots[0]?.end();
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const as = async (name: string, ...args: string[]): Promise<Ran> => {
    const web = world.gateways[0]?.web ?? '';
    const line = ['approve', ...args, '--url', web, '--token-file', tokens.get(name) ?? ''];
    return world.command(...line).then(
      (text) => ({ code: 0, text }),
      (error: { code: number; stdout: string; stderr: string }) => ({
        code: error.code,
        text: error.stdout + error.stderr,
      }),
    );
  };
  /** Held on the first gateway or the second: its short id and its digest, as the terminal shows them. */
  const held = async (statement: string, gateway = world.gateways[0]) => {
    const psql = new Psql(await world.downstream({ client: 'report-bot', ...(gateway ? { gateway } : {}) }));
    psql.send(statement);
    const said = await psql.until(/held for approval · (\w{6})/);
    const id = /held for approval · (\w{6})/.exec(said)?.[1] ?? '';
    return { psql, id };
  };
  const digestOf = (text: string) => /^Digest {2}([0-9a-f]{64})$/m.exec(text)?.[1] ?? '';

  it('lists what waits, shows it whole, and releases it on exactly what was shown', async () => {
    const { psql, id } = await held('DROP TABLE t1;');
    await as('bob'); // who has shown a token is known by name
    const list = await as('alice');
    assert.match(list.text, new RegExp(`^${id}  \\S+  PRODUCTION · orders: .*t1`, 'm'));
    const unasked = await as('alice', id);
    assert.equal(unasked.code, 2);
    assert.match(unasked.text, /DROP TABLE t1/);
    assert.match(unasked.text, /from oidc:data-science, .+ \(U0BOB\), U0GUEST/);
    assert.match(unasked.text, /nobody is there to ask: read it, then give --yes/);
    const digest = digestOf(unasked.text);
    const wrong = await as('alice', id, '--yes', '0'.repeat(64));
    assert.deepEqual([wrong.code, /digest is another one now/.test(wrong.text)], [1, true]);
    const done = await as('alice', id, '--yes', digest.slice(0, 12));
    assert.match(done.text, /Counted: 1 of 1 for drops/);
    assert.equal(done.code, 0);
    await psql.until('DROP TABLE');
    await psql.close();
  });

  it('decides what another gateway holds', async () => {
    const { psql, id } = await held('DROP TABLE t2;', world.gateways[1]);
    const shown = await as('alice', id);
    const done = await as(
      'alice',
      id,
      '--deny',
      '--reason',
      'not in the dark',
      '--yes',
      digestOf(shown.text).slice(0, 16),
    );
    assert.match(done.text, /Denied\. Nothing was run\./);
    await psql.until('not in the dark');
    await psql.close();
  });

  it('shows nothing to, and takes nothing from, an agent, the sponsor, and whoever only Slack could vouch for', async () => {
    const { psql, id } = await held('DROP TABLE t3;');
    assert.match((await as('agent')).text, /only people decide/);
    const shown = await as('bob', id);
    const sponsor = await as('bob', id, '--yes', digestOf(shown.text).slice(0, 12));
    assert.match(sponsor.text, /you are the sponsor of report-bot/);
    assert.equal(sponsor.code, 1);
    psql.signal('SIGINT');
    await psql.close();
    const grouped = await held('DROP TABLE grouped;');
    const card = await as('alice', grouped.id);
    const vote = await as('alice', grouped.id, '--yes', digestOf(card.text).slice(0, 12));
    // One of two rules counts her; who is in the Slack group cannot be read any more, or was read a moment ago.
    assert.match(vote.text, /Counted: 1 of 1 for drops/);
    grouped.psql.signal('SIGINT'); // should the group have been read too long ago by then
    await grouped.psql.close();
  });

  it('refuses without a token, with a wrong one, and over a network in the clear', async () => {
    const file = join(world.dir, 'wrong.token');
    await writeFile(file, 'eyJhbGciOiJub25lIn0.e30.');
    tokens.set('wrong', file);
    const wrong = await as('wrong');
    assert.equal(wrong.code, 1);
    const clear = await world
      .command('approve', '--url', 'http://192.0.2.1:1', '--token-file', file)
      .catch((error) => error);
    assert.match(String(clear.stderr), /a token is sent over https, or to this machine/);
    const none = await world.command('approve', '--url', 'http://127.0.0.1:1').catch((error) => error);
    assert.equal(none.code, 2);
    const raw = await fetch(`${world.gateways[0]?.web}/v1/votes`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await world.oidc.personToken('alice')}`, 'content-type': 'application/json' },
      body: '{"hold":"x","extra":1}',
    });
    assert.equal(raw.status, 400);
    assert.equal((await fetch(`${world.gateways[0]?.web}/v1/holds`)).status, 401);
  });

  it('is on the card, once Slack is back', async () => {
    const { psql, id } = await held('DROP TABLE t4;');
    const shown = await as('alice', id);
    assert.match((await as('alice', id, '--yes', digestOf(shown.text).slice(0, 12))).text, /Counted/);
    await psql.until('DROP TABLE');
    await world.startBot();
    const record = await slack.message(
      (text) => text.includes(id) && text.includes('DROP TABLE') && /Approved/.test(text),
    );
    assert.ok(record);
    assert.ok(await eventually(async () => (await slack.messages()).length > 0));
    await psql.close();
  });
});
