/** The front door as a newcomer finds it: `npm run demo`, psql in one hand, Slack in the other. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cliArgs } from './support/cli.ts';
import { freePort } from './support/ports.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, hasButton, shownBy, Workspace } from './support/workspace.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

type Description = {
  web: string;
  slack: { page: string; api: string; control: string };
  channel: string;
  people: Record<'alice' | 'bob' | 'carol' | 'guest', string>;
  connections: { orders: { downstream: string; upstream: string } };
  audit: { dir: string; key: string };
};

describe('npm run demo', { timeout: 120_000 }, () => {
  let demo: ReturnType<typeof spawn>;
  let said = '';
  let dir: string;
  let all: Description;
  let slack: Workspace;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-demo-test-'));
    const json = join(dir, 'demo.json');
    const base = await freePort(16);
    demo = spawn(process.execPath, ['--import', 'tsx', 'test/demo.ts', '--json', json, '--port-base', `${base}`], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [demo.stdout, demo.stderr]) stream?.on('data', (chunk) => (said += chunk));
    const text = await eventually(() => {
      if (demo.exitCode !== null) throw new Error(`the demo ended: ${said}`);
      return readFile(json, 'utf8').catch(() => undefined);
    }, 60_000);
    assert.ok(text, `the demo wrote no description: ${said}`);
    all = JSON.parse(text) as Description;
    slack = new Workspace(all.slack.control, all.channel);
    for (const url of [all.web, all.slack.page, all.connections.orders.downstream, all.connections.orders.upstream]) {
      const port = Number(new URL(url).port);
      assert.ok(port >= base && port <= base + 15, `${url} lies outside of ports ${base} to ${base + 15}`);
    }
  });

  after(async () => {
    await Psql.endAll();
    if (demo.exitCode === null) {
      const gone = new Promise((resolve) => demo.once('close', resolve));
      demo.kill('SIGINT');
      await gone;
    }
    await rm(dir, { recursive: true, force: true });
  });

  it('shows a waiting card for report-bot’s DELETE before anyone did anything', async () => {
    const card = await slack.card('DELETE FROM customers');
    const shown = shownBy(card);
    assert.match(shown, /PRODUCTION · orders: DELETE on public\.customers, no WHERE/);
    assert.match(shown, /report-bot/);
    assert.ok(hasButton(card, 'approve'));
  });

  it('prints five lines to try', () => {
    for (const n of [1, 2, 3, 4, 5]) assert.match(said, new RegExp(`^ {2}${n} {2}\\S`, 'm'));
  });

  it('holds DROP TABLE on a live psql, says who is asked and until when, and lets it run on a click', async () => {
    await withClient(all.connections.orders.upstream, (client) => client.query('CREATE TABLE wanted_gone (id int)'));
    const psql = new Psql(all.connections.orders.downstream);
    psql.send('DROP TABLE wanted_gone;');
    const notice = await psql.until(/NOTICE: .*\n/);
    assert.match(notice, /@dba-oncall/);
    assert.match(notice, /\d\d:\d\d:\d\d/);
    const card = await slack.card('DROP TABLE wanted_gone');
    const before = await withClient(all.connections.orders.upstream, (c) =>
      c.query("SELECT to_regclass('wanted_gone') AS t"),
    );
    assert.equal(before.rows[0].t, 'wanted_gone', 'nothing runs before the click');
    const clicked = await slack.click(all.people.alice, { ts: card.ts }, 'approve');
    assert.equal(clicked.ok, true, clicked.error);
    await psql.until('DROP TABLE');
    await slack.message((shown) => shown.includes('wanted_gone') && /DROP TABLE in/.test(shown));
    psql.send('SELECT 40 + 2 AS answer;');
    await psql.until('42');
    assert.equal(await psql.close(), 0);
  });

  it('turns a denial with a reason into a native error that carries it, and the session goes on', async () => {
    const psql = new Psql(all.connections.orders.downstream, { args: ['--set=VERBOSITY=verbose'] });
    psql.send('BEGIN;');
    await psql.until('BEGIN');
    psql.send('DROP TABLE orders;');
    const card = await slack.card('DROP TABLE orders');
    const denied = await slack.deny(all.people.carol, card.ts, 'not during the audit');
    assert.equal(denied.ok, true, denied.error);
    const error = await psql.until(/ERROR: .*\n/);
    assert.match(error, /42501/);
    assert.match(error, /not during the audit/);
    psql.send('SELECT 1;');
    await psql.until('25P02'); // the transaction is really aborted
    psql.send('ROLLBACK;');
    await psql.until('ROLLBACK');
    psql.send('SELECT count(*) FROM orders;');
    await psql.until('12000');
    await psql.close();
    await slack.message((shown) => shown.includes('DROP TABLE orders') && shown.includes('not during the audit'));
  });

  it('withdraws the request when psql leaves, and a later click executes nothing', async () => {
    const psql = new Psql(all.connections.orders.downstream);
    psql.send('DROP TABLE payments;');
    const card = await slack.card('DROP TABLE payments');
    psql.signal('SIGKILL');
    await psql.exited;
    const record = await slack.message(
      (shown, message) => message.ts === card.ts && !hasButton(message, 'approve') && /withdrawn/i.test(shown),
    );
    assert.match(shownBy(record), /nothing was run/i);
    const late = await slack.click(all.people.alice, { ts: card.ts }, 'approve');
    assert.equal(late.ok, false, 'a settled card has no button to click');
    const still = await withClient(all.connections.orders.upstream, (c) =>
      c.query('SELECT count(*)::int AS n FROM payments'),
    );
    assert.equal(still.rows[0].n, 8000);
  });

  it('refuses privilege changes at once, naming the rule', async () => {
    const psql = new Psql(all.connections.orders.downstream);
    psql.send('GRANT ALL ON customers TO PUBLIC;');
    const error = await psql.until(/ERROR: .*\n/);
    assert.match(error, /privileges/);
    assert.match(error, /Terraform/);
    await psql.close();
  });

  it('leaves an audit trail that verifies, and names what was decided', async () => {
    const verify = await run(process.execPath, cliArgs('audit', 'verify', all.audit.dir, '--key', all.audit.key), {
      cwd: root,
    });
    assert.match(verify.stdout, /\d+ entries/);
    const trail = await run(process.execPath, cliArgs('audit', 'show', all.audit.dir), {
      cwd: root,
    });
    assert.match(trail.stdout, /not during the audit/);
  });

  it('stops cleanly on Ctrl-C', async () => {
    const gone = new Promise<number | null>((resolve) => demo.once('close', resolve));
    demo.kill('SIGINT');
    assert.equal(await gone, 0, said);
    for (const url of [all.web, all.slack.page]) await assert.rejects(fetch(url));
  });
});
