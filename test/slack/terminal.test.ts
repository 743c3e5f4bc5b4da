/** The terminal pane's server side: who may open one, how many, and that nothing is left behind. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Slack } from './server.ts';
import { start } from './test-app.ts';

let slack: Slack | undefined;
afterEach(() => slack?.stop());

const open = (origin?: string): WebSocket => {
  const { url } = slack as Slack;
  const headers = origin === undefined ? {} : { origin };
  return new WebSocket(`${url.replace('http', 'ws')}terminal?cols=99&rows=31`, { headers });
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

it('gives the program a terminal of the page’s size and none of our secrets, and ends it with the page', async () => {
  process.env.COUNTERSIGN_TEST_SECRET = 'leaked';
  const script = 'stty size; echo "<$COUNTERSIGN_TEST_SECRET>"; echo "pid=$$."; exec sleep 600';
  slack = await start({ terminal: { spawn: () => ({ argv: ['sh', '-c', script] }) } });
  const ws = open(slack.url.slice(0, -1));
  let said = '';
  await new Promise<void>((resolve) =>
    ws.on('message', (data) => {
      said += String(data);
      if (said.includes('.')) resolve();
    }),
  );
  assert.match(said, /31 99\r\n<>\r\npid=\d+\./);
  const pid = Number(/pid=(\d+)/.exec(said)?.[1]);
  assert.equal(isAlive(pid), true);
  ws.close();
  while (isAlive(pid)) await delay(10);
});

it('is not there for programs without an origin, foreign pages, a fifth window, or when nobody asked for it', async () => {
  slack = await start({ terminal: { spawn: () => ({ argv: ['cat'] }) } });
  const own = slack.url.slice(0, -1);
  for (const origin of [undefined, 'http://evil.example', 'null', `${own}0`]) {
    await assert.rejects(once(open(origin), 'open'), String(origin));
  }
  for (let index = 0; index < 4; index += 1) await once(open(own), 'open');
  await assert.rejects(once(open(own), 'open'));
  await slack.stop();
  slack = await start();
  await assert.rejects(once(open(slack.url.slice(0, -1)), 'open'));
});
