/** When a bot must end rather than go deaf: what it calls fatal, and the exit code a supervisor sees. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { stage, until } from '../test/support/bot-stage.ts';
import { cliArgs } from '../test/support/cli.ts';
import { freePort } from '../test/support/ports.ts';
import { readBotConfig } from './config.ts';
import { startBot } from './main.ts';

describe('a bot that would go deaf', () => {
  it('says so, and ends, when Slack cannot be reached for longer than its patience', async () => {
    const on = await stage({ bots: 0 });
    const fatal: string[] = [];
    const bot = await startBot(readBotConfig(on.env), {
      log: pino({ level: 'silent' }),
      watchdogMs: 1_000,
      onFatal: (why) => fatal.push(why),
    });
    try {
      await until('the bot is ready', () => bot.troubles().length === 0);
      await on.slack.fault({ kind: 'down', ms: 60_000 });
      await until('it is not ready', () => bot.troubles().some((trouble) => /no Socket Mode connection/.test(trouble)));
      await until('it gives up', () => fatal.length > 0);
      assert.match(String(fatal[0]), /Slack could not be reached for 1 s/);
    } finally {
      await bot.stop();
      await on.stop();
    }
  });

  it('exits with 1 on a rejection that nobody handled, and with 0 on SIGTERM', async () => {
    const on = await stage({ bots: 0 });
    const reject = "process.on('SIGUSR2', () => void Promise.reject(new Error('a reconnect failed')))";
    try {
      for (const [signal, expected] of [
        ['SIGUSR2', 1],
        ['SIGTERM', 0],
      ] as const) {
        const health = `127.0.0.1:${await freePort()}`;
        const child = spawn(
          process.execPath,
          ['--import', `data:text/javascript,${encodeURIComponent(reject)}`, ...cliArgs('bot')],
          { env: { ...process.env, ...on.env, BOT_HEALTH: health, LOG_LEVEL: 'silent' }, stdio: 'ignore' },
        );
        const ended = once(child, 'exit');
        try {
          const ready = () =>
            fetch(`http://${health}/readyz`).then(
              ({ ok }) => ok,
              () => false,
            );
          await until('it is ready', ready, 20_000);
          child.kill(signal);
          assert.equal((await ended)[0], expected, signal);
        } finally {
          child.kill('SIGKILL');
        }
      }
    } finally {
      await on.stop();
    }
  });
});
