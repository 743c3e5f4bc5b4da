/** What ends: tokens, revoked principals, and rule sets that somebody puts back. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, shownBy, Workspace } from './support/workspace.ts';
import { type Config, startWorld, type World } from './support/world.ts';

for (const slackMode of ['socket', 'http'] as const)
  describe(`what ends, over ${slackMode === 'http' ? 'signed HTTP' : 'Socket Mode'}`, { timeout: 120_000 }, () => {
    let world: World;
    let slack: Workspace;

    before(async () => {
      world = await startWorld({ slackMode });
      slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
      await withClient(world.upstreamUrl, (client) =>
        client.query('CREATE TABLE stays (id int); INSERT INTO stays VALUES (1)'),
      );
    });
    after(async () => {
      await Psql.endAll();
      await world?.stop();
    });

    it('a held request ends with its token, says which clock ran out, and ends the session natively', async () => {
      world.oidc.setTokenSeconds(5);
      const url = await world.downstream();
      world.oidc.setTokenSeconds(3_600);
      const psql = new Psql(url, { args: ['--set=VERBOSITY=verbose'] });
      psql.send('DROP TABLE stays;');
      assert.match(await psql.until(/NOTICE: .*\n/), /token/);
      const card = await slack.card('DROP TABLE stays');
      await psql.until(/57P01|42501/);
      const record = await slack.message(
        (shown, message) => message.ts === card.ts && /expired|withdrawn/i.test(shown),
      );
      assert.match(shownBy(record), /nothing was run/i);
      const ended = await eventually(() => {
        psql.send('SELECT 1;');
        return /server closed|terminating|57P01/.test(psql.output);
      });
      assert.ok(ended, psql.output);
      await assert.rejects(
        withClient(url, (client) => client.query('SELECT 1')),
        { code: '28P01' },
      );
    });

    it('a later token of the same principal keeps its sessions alive', async () => {
      world.oidc.setTokenSeconds(4);
      const url = await world.downstream();
      const ends = performance.now() + 4_000;
      world.oidc.setTokenSeconds(3_600);
      await withClient(url, async (client) => {
        await world.token();
        await eventually(() => performance.now() > ends + 1_000); // the first token has ended meanwhile
        assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1);
      });
    });

    it('a principal revoked in the configuration loses its live sessions', async () => {
      const psql = new Psql(await world.downstream({ client: 'deploy-bot' }), { args: ['--set=VERBOSITY=verbose'] });
      psql.send('SELECT 1;');
      await psql.until('1 row');
      await world.reconfigure((config: Config) => ({
        ...config,
        identity: { ...config.identity, revoked: [{ issuer: world.oidc.issuer, subject: 'deploy-bot' }] },
      }));
      const ended = await eventually(() => {
        psql.send('SELECT 1;');
        return /57P01|revoked/.test(psql.output);
      });
      assert.ok(ended, psql.output);
      await assert.rejects(world.token('deploy-bot'), /40[13]/);
    });

    it('a rule set that was rolled back or emptied in Redis is not obeyed', async () => {
      const file = join(world.dir, 'rules.json');
      const rule = (id: string, object: string) => ({
        id,
        source: 'slack',
        match: { object: [object] },
        verdict: 'deny',
        why: `made in Slack: ${id}`,
        approvers: [],
        quorum: 1,
        requireReason: false,
      });
      const put = async (...rules: object[]) => {
        await writeFile(file, JSON.stringify({ rules }));
        await world.command('rules', 'import', file);
      };
      const denied = () =>
        withClient(url, (client) => client.query('DELETE FROM stays WHERE id = 99')).then(
          () => '',
          (error: Error) => error.message,
        );
      const url = await world.downstream();
      const redis = new Redis(world.redis.url);
      try {
        await put(rule('older', 'elsewhere'));
        const older = await redis.get('countersign:rules');
        assert.ok(older);
        await put(rule('older', 'elsewhere'), rule('newer', 'stays'));
        assert.ok(await eventually(async () => /newer/.test(await denied())), 'the rule is in force within a moment');
        for (const attack of [() => redis.set('countersign:rules', older), () => redis.del('countersign:rules')]) {
          await attack();
          await redis.publish('countersign:rules', 'changed');
          for (let n = 0; n < 20; n++) assert.match(await denied(), /newer/);
          const restored = await eventually(
            async () =>
              (await redis.get('countersign:rules')) !== older && (await redis.exists('countersign:rules')) === 1,
          );
          assert.ok(restored, 'the gateway puts the newest set back');
          assert.match(await denied(), /newer/);
        }
      } finally {
        redis.disconnect();
      }
      const log = await readFile(world.gateways[0]?.log ?? '', 'utf8');
      assert.match(log, /rule/i);
    });

    it('leaves a trail that verifies', async () => {
      assert.match(
        await world.command('audit', 'verify', join(world.dir, 'audit-1'), '--key', world.auditKey),
        /\d+ entries/,
      );
    });
  });
