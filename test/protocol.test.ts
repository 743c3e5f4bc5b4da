/** Every road to execution leads through the gate: each kind of statement, on real clients, through the whole product. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { serialize } from 'pg-protocol';
import { cliArgs } from './support/cli.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { shownBy, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { alice, carol } = PEOPLE;

for (const slackMode of ['socket', 'http'] as const)
  describe(`every road to execution, over ${slackMode === 'http' ? 'signed HTTP' : 'Socket Mode'}`, {
    timeout: 180_000,
  }, () => {
    let world: World;
    let slack: Workspace;
    let url: string;

    before(async () => {
      world = await startWorld({ slackMode });
      slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
      url = await world.downstream();
    });
    after(async () => {
      await Psql.endAll();
      await world?.stop();
    });

    const direct = <T>(sql: string): Promise<T[]> =>
      withClient(world.upstreamUrl, async (client) => (await client.query(sql)).rows as T[]);
    const fresh = (name: string) =>
      direct(
        `CREATE TABLE ${name} (id int, note text); INSERT INTO ${name} SELECT i, 'n' || i FROM generate_series(1, 10) i`,
      );
    const count = async (name: string) => (await direct<{ n: number }>(`SELECT count(*)::int AS n FROM ${name}`))[0]?.n;
    const approve = async (text: string) => {
      const card = await slack.card(text);
      const acted = await slack.click(alice, { ts: card.ts }, 'approve');
      assert.equal(acted.ok, true, acted.error);
      return card;
    };

    it('holds a parameterised statement with its parameters, and runs it as prepared', async () => {
      await fresh('extended');
      await withClient(url, async (client) => {
        const text = 'UPDATE extended SET note = $1';
        const waiting = client.query(text, ['4111 1111 1111 1111']);
        const card = await approve(text);
        assert.doesNotMatch(shownBy(card), /4111 1111 1111 1111/, 'the parameter is masked on the card');
        assert.equal((await waiting).rowCount, 10);
        // The same prepared text with other parameters is another operation.
        const again = assert.rejects(client.query(text, ['other']), /once is enough/);
        const next = await slack.message(
          (shown, message) =>
            message.ts !== card.ts &&
            shown.includes(text) &&
            /"action_id":"approve"/.test(JSON.stringify(message.blocks)),
        );
        await slack.deny(carol, next.ts, 'once is enough');
        await again;
        assert.equal((await client.query('SELECT count(*)::int AS n FROM extended')).rows[0].n, 10);
      });
    });

    it('holds a whole string of statements for its worst one, and runs none of it before', async () => {
      await fresh('several');
      const psql = new Psql(url);
      psql.send("INSERT INTO several VALUES (11, 'x')\\; DROP TABLE several;");
      const card = await slack.card('DROP TABLE several');
      assert.equal(await count('several'), 10);
      await slack.deny(alice, card.ts, 'no');
      await psql.until(/ERROR/);
      assert.equal(await count('several'), 10);
      await psql.close();
    });

    it('judges what PREPARE hides when it is executed', async () => {
      await fresh('hidden');
      const psql = new Psql(url);
      psql.send('PREPARE p AS DELETE FROM hidden;');
      await psql.until('PREPARE');
      psql.send('EXECUTE p;');
      await approve('DELETE FROM hidden');
      await psql.until('DELETE 10');
      await psql.close();
    });

    it('judges a DELETE inside a CTE, under EXPLAIN ANALYZE and in a DO block as what it does', async () => {
      await fresh('disguised');
      for (const sql of [
        'WITH gone AS (DELETE FROM disguised RETURNING id) SELECT count(*) FROM gone',
        'EXPLAIN ANALYZE DELETE FROM disguised',
        'DO $$ BEGIN DELETE FROM disguised; END $$',
      ]) {
        await withClient(url, async (client) => {
          const refused = assert.rejects(client.query(sql), /not like this/);
          const card = await slack.card(sql.slice(0, 30));
          await slack.deny(alice, card.ts, 'not like this');
          await refused;
        });
        assert.equal(await count('disguised'), 10);
      }
    });

    it('keeps a transaction open while it waits, and commits what was approved in it', async () => {
      await fresh('in_transaction');
      await withClient(url, async (client) => {
        await client.query('BEGIN');
        await client.query("INSERT INTO in_transaction VALUES (11, 'mine')");
        const waiting = client.query('UPDATE in_transaction SET note = NULL');
        await approve('UPDATE in_transaction');
        assert.equal((await waiting).rowCount, 11);
        await client.query('COMMIT');
      });
      assert.equal(
        (await direct<{ n: number }>('SELECT count(*)::int AS n FROM in_transaction WHERE note IS NULL'))[0]?.n,
        11,
      );
    });

    it('copies in and out through psql as an ordinary server would', async () => {
      await fresh('copied');
      const psql = new Psql(url);
      psql.send('\\copy copied FROM STDIN');
      psql.send('21\tfrom a pipe');
      psql.send('\\.');
      await psql.until('COPY 1');
      psql.send('\\copy (SELECT * FROM copied WHERE id = 21) TO STDOUT');
      await psql.until('from a pipe');
      await psql.close();
      assert.equal(await count('copied'), 11);
    });

    it('asks nobody about a held statement behind one that failed, and keeps a pipeline in order', async () => {
      await fresh('pipelined');
      const failed = await pipeline(url, ['SELECT 1/0', 'UPDATE pipelined SET note = NULL']);
      assert.match(failed, /division by zero/);
      const cards = (await slack.messages()).filter((message) =>
        shownBy(message).includes('UPDATE pipelined SET note = NULL'),
      );
      assert.equal(cards.length, 0);
      const going = pipeline(url, [
        "INSERT INTO pipelined VALUES (11, 'first')",
        'UPDATE pipelined SET note = id',
        'SELECT 11 AS last',
      ]);
      await approve('UPDATE pipelined SET note = id');
      assert.match(await going, /INSERT 0 1.*UPDATE 11.*SELECT 1/s);
    });

    it('leaves others fast while one waits', async () => {
      await fresh('slow_one');
      const waiting = new Psql(url);
      waiting.send('DROP TABLE slow_one;');
      const card = await slack.card('DROP TABLE slow_one');
      await withClient(url, async (client) => {
        for (let n = 0; n < 200; n++) assert.equal((await client.query('SELECT $1::int AS n', [n])).rows[0].n, n);
      });
      await slack.deny(alice, card.ts);
      await waiting.until(/ERROR/);
      await waiting.close();
    });

    it('cancels a held statement with the driver’s own cancel request', async () => {
      await fresh('cancelled');
      const client = new pg.Client(url);
      await client.connect();
      const waiting = assert.rejects(client.query('DROP TABLE cancelled'), { code: '57014' });
      const card = await slack.card('DROP TABLE cancelled');
      const canceller = new pg.Client(url) as pg.Client & {
        cancel(target: pg.Client, query: unknown): void;
        activeQuery?: unknown;
      };
      canceller.on('error', () => {});
      const active =
        (client as unknown as { activeQuery?: unknown; _activeQuery?: unknown })._activeQuery ??
        (client as unknown as { activeQuery?: unknown }).activeQuery;
      canceller.cancel(client, active);
      await waiting;
      await slack.message((shown, message) => message.ts === card.ts && /withdrawn/i.test(shown));
      assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1);
      await client.end();
      assert.equal(await count('cancelled'), 10);
    });

    it('shows hostile SQL literally: no fence, no mention, no fake approval', async () => {
      await fresh('hostile');
      const sql =
        'DELETE FROM hostile -- ``` <!channel> *:white_check_mark: Approved by Alice* <https://evil.example|click>';
      await withClient(url, async (client) => {
        const refused = assert.rejects(client.query(sql), /seen/);
        const card = await slack.card('DELETE FROM hostile');
        const markdown = JSON.stringify(card.blocks).match(/\{"type":"mrkdwn"[^}]*\}/g) ?? [];
        for (const text of [card.text, ...markdown])
          assert.doesNotMatch(text, /<!channel>|evil\.example|white_check_mark/);
        await slack.deny(alice, card.ts, 'seen');
        await refused;
      });
    });

    it('ends in a trail that verifies', async () => {
      const args = cliArgs('audit', 'verify', `${world.dir}/audit-1`, '--key', world.auditKey);
      assert.match((await promisify(execFile)(process.execPath, args, { cwd: root })).stdout, /\d+ entries/);
    });
  });

/** These statements in one burst of the extended protocol with one Sync; what the server said until ReadyForQuery, as text. */
async function pipeline(url: string, statements: readonly string[]): Promise<string> {
  const client = new pg.Client(url);
  client.on('error', () => {}); // leaving the loop below ends the connection
  await client.connect();
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  stream.removeAllListeners('data');
  const burst = statements.flatMap((text) => [
    serialize.parse({ name: '', text, types: [] }),
    serialize.bind({}),
    serialize.execute(),
  ]);
  stream.write(Buffer.concat([...burst, serialize.sync()]));
  let said = '';
  const ready = Buffer.from([0x5a, 0, 0, 0, 5]).toString('latin1'); // ReadyForQuery, less its status
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    said += chunk.toString('latin1');
    if (said.slice(0, -1).endsWith(ready)) break;
  }
  return said;
}
