import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { newKeyPair } from '../queue/sign.ts';
import { BotConfigError, readBotConfig } from './config.ts';

const own = newKeyPair();
const gateways = [newKeyPair(), newKeyPair()];
const env = {
  REDIS_URL: 'redis://127.0.0.1:6379',
  COUNTERSIGN_BOT_KEY: own.secret,
  COUNTERSIGN_GATEWAY_KEYS: gateways.map((pair) => pair.public).join(', '),
  SLACK_BOT_TOKEN: 'xoxb-secret-1',
  SLACK_APP_TOKEN: 'xapp-secret-2',
};
const problemsOf = (changes: Record<string, string | undefined>): readonly string[] => {
  try {
    readBotConfig({ ...env, ...changes });
  } catch (error) {
    assert.ok(error instanceof BotConfigError);
    return error.problems;
  }
  return [];
};

describe('the configuration of a bot', () => {
  it('comes from the environment alone and is frozen', () => {
    const config = readBotConfig({ ...env, BOT_HEALTH: '[::1]:9090', SLACK_API_URL: 'http://127.0.0.1:1/api' });
    assert.equal(config.mode, 'socket');
    assert.equal(config.gateways.length, 2);
    assert.equal(config.key.public, own.public);
    assert.deepEqual(config.health, { host: '::1', port: 9090 });
    assert.equal(config.apiUrl, 'http://127.0.0.1:1/api/');
    assert.ok(Object.isFrozen(config));
  });

  it('reads keys from files', () => {
    const dir = mkdtempSync(join(tmpdir(), 'countersign-bot-'));
    try {
      writeFileSync(join(dir, 'key'), `${own.secret}\n`);
      assert.equal(readBotConfig({ ...env, COUNTERSIGN_BOT_KEY: `@${join(dir, 'key')}` }).key.public, own.public);
      assert.match(
        problemsOf({ COUNTERSIGN_BOT_KEY: `@${join(dir, 'none')}` })[0] ?? '',
        /cannot read the file: ENOENT/,
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('names every variable that is missing or wrong, with what was expected', () => {
    assert.deepEqual(problemsOf({ REDIS_URL: undefined, SLACK_BOT_TOKEN: '' }), [
      'REDIS_URL: is missing',
      'SLACK_BOT_TOKEN: is missing',
    ]);
    assert.match(problemsOf({ REDIS_URL: 'localhost' })[0] ?? '', /^REDIS_URL: expected a URL/);
    assert.match(
      problemsOf({ SLACK_APP_TOKEN: undefined })[0] ?? '',
      /^SLACK_APP_TOKEN: is needed when SLACK_MODE=socket/,
    );
    assert.deepEqual(
      problemsOf({ SLACK_MODE: 'http' }).map((problem) => problem.split(':')[0]),
      ['SLACK_SIGNING_SECRET', 'BOT_HTTP'],
    );
    assert.match(problemsOf({ SLACK_MODE: 'both' })[0] ?? '', /^SLACK_MODE: expected socket or http/);
    assert.match(problemsOf({ BOT_HEALTH: '127.0.0.1:99999' })[0] ?? '', /^BOT_HEALTH: expected host:port/);
    assert.match(
      problemsOf({ COUNTERSIGN_GATEWAY_KEYS: ' , ' })[0] ?? '',
      /^COUNTERSIGN_GATEWAY_KEYS: expected at least one/,
    );
  });

  it('never repeats a secret in what it says', () => {
    const all = JSON.stringify(
      problemsOf({
        SLACK_BOT_TOKEN: 'swapped-secret',
        SLACK_APP_TOKEN: 'xoxb-secret',
        COUNTERSIGN_BOT_KEY: 'ed25519-secret:short',
      }),
    );
    assert.doesNotMatch(all, /swapped-secret|xoxb-secret|:short/);
  });
});
