/** The card that tells the truth, end to end: rows, cascades and history arrive below buttons that stay where they are. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { clicked, launchBrowser } from './support/browser.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, type Message, shownBy, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';

const FOREIGN_KEYS = `
  DELETE FROM payments WHERE order_id NOT IN (SELECT id FROM orders);
  ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers ON DELETE CASCADE;
  ALTER TABLE payments ADD FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE;
  CREATE INDEX ON orders (customer_id); CREATE INDEX ON payments (order_id);
  CREATE TABLE audit (what text);
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES ('x'); RETURN old; END $$;
  CREATE TRIGGER order_gone AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
`;

describe('a card of a write', { timeout: 120_000 }, () => {
  let world: World;
  let slack: Workspace;

  before(async () => {
    world = await startWorld();
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    await withClient(world.upstreamUrl, (client) => client.query(FOREIGN_KEYS));
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const buttonsOf = ({ blocks = [] }: Message) => {
    const at = blocks.findIndex(({ type }) => type === 'actions');
    return {
      at,
      above: blocks.slice(0, at).map((block) => JSON.stringify({ ...block, block_id: '' })),
      block: blocks[at],
    };
  };
  /** The same message once what the target said is on it. */
  const filled = async ({ ts }: Message): Promise<Message> => {
    const found = await eventually(async () =>
      (await slack.messages()).find((message) => message.ts === ts && !/not estimated/.test(shownBy(message))),
    );
    assert.ok(found);
    return found;
  };

  it('says what a DELETE takes with it; a click on the card as it was before counts', async () => {
    const psql = new Psql(await world.downstream());
    psql.send('SELECT count(*) FROM orders;');
    await psql.until('12000');
    const began = performance.now();
    psql.send('BEGIN;\nUPDATE orders SET status = status WHERE id = 1;\nDELETE FROM customers;');
    const first = await slack.card('DELETE FROM customers');
    const card = await filled(first);
    const took = performance.now() - began;
    const shown = shownBy(card);
    assert.match(shown, /Rows affected: about 5,000 rows/);
    assert.match(shown, /Touches: public\.customers \(it has about 5,000 rows, [\d.]+ [kM]B\)/);
    assert.match(shown, /Its transaction has been open for \d+ s; nobody waits for it/);
    assert.match(
      shown,
      /Deletes by cascade: public\.orders \(it has about 12,000 rows\) through public\.customers, public\.payments/,
    );
    assert.match(shown, /order_gone on public\.orders \(runs public\.note\)/);
    assert.match(card.text, /^PRODUCTION · orders: DELETE on public\.customers, no WHERE, about 5,000 rows\./);
    assert.deepEqual(buttonsOf(card).above, buttonsOf(first).above, 'nothing above the buttons changed');
    assert.ok(took < 5_000, `${took} ms`);

    const { views } = await slack.click(PEOPLE.carol, { ts: first.ts }, 'details');
    const details = JSON.stringify(views.at(-1)?.blocks);
    assert.match(details, /What it would touch/);
    assert.match(details, /Its transaction holds: ROW EXCLUSIVE on public\.orders/);
    assert.match(details, /Locks public\.customers \(ROW EXCLUSIVE\)/);
    assert.match(details, /What it did here before/);
    assert.match(
      details,
      /allowed, 1 row in \d+ ms: UPDATE on public\.orders.*allowed, 1 row in \d+ ms: SELECT from public\.orders/,
    );
    await slack.click(PEOPLE.alice, { ts: first.ts }, 'approve');
    await psql.until('DELETE 5000');
    psql.send('ROLLBACK;');
    await psql.until('ROLLBACK');
    await psql.close();
  });

  it('does not run a function to learn how many rows it would touch', async () => {
    await withClient(world.upstreamUrl, (client) =>
      client.query(`CREATE TABLE ran (at int);
        CREATE FUNCTION wipe() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran VALUES (1); RETURN true; END $$`),
    );
    const psql = new Psql(await world.downstream());
    psql.send('DELETE FROM payments WHERE wipe();');
    const card = await filled(await slack.card('WHERE wipe()'));
    assert.match(shownBy(card), /Rows affected: no estimate: it runs code, and planning could run it too/);
    assert.match(shownBy(card), /Touches: public\.payments/);
    await slack.deny(PEOPLE.carol, card.ts, 'no');
    await psql.until('denied by');
    const { rows } = await withClient(world.upstreamUrl, (client) =>
      client.query('SELECT count(*)::int AS n FROM ran'),
    );
    assert.equal(rows[0].n, 0);
    psql.send('DELETE FROM orders;');
    const next = await slack.card('DELETE FROM orders');
    const { views } = await slack.click(PEOPLE.carol, { ts: next.ts }, 'details');
    assert.match(
      JSON.stringify(views.at(-1)?.blocks),
      /denied: DELETE on public\.payments.*approved, 5,000 rows in .*: DELETE on public\.customers, no WHERE/,
    );
    await slack.deny(PEOPLE.carol, next.ts, 'no');
    await psql.until('denied by');
    await psql.close();
  });

  it('looks like this', async () => {
    const dir = join(tmpdir(), 'countersign-screenshots');
    await mkdir(dir, { recursive: true });
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage({ viewport: { width: 1180, height: 900 }, colorScheme: 'light' });
      await page.goto(world.slack?.url ?? '');
      const psql = new Psql(await world.downstream());
      psql.send('SELECT 1 AS one;');
      await psql.until('one');
      psql.send('DELETE FROM customers;');
      const approve = page.getByRole('button', { name: /^Approve/ }).last();
      await approve.waitFor();
      await page.getByText('Rows affected: not estimated').waitFor({ state: 'detached' });
      await page.screenshot({ path: join(dir, 'blast.png') });
      const details = page.getByRole('button', { name: /^Details/ }).last();
      await clicked(page, details, page.getByText('What it did here before'));
      await page.getByText('What it did here before').scrollIntoViewIfNeeded();
      await page.screenshot({ path: join(dir, 'blast-details.png') });
    } finally {
      await browser.close();
    }
  });
});
