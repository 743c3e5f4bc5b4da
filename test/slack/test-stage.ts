/** The stage of the emulator's own tests: workspaces, apps and cards, all gone after each test. */
import { afterEach } from 'node:test';
import type { Slack } from './server.ts';
import { actions, BareApp, CHANNEL, call, type Envelope, section, start } from './test-app.ts';
import type { Json } from './workspace.ts';

/** Run in reverse after each test. */
export const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

export async function workspace(...options: Parameters<typeof start>): Promise<Slack> {
  const slack = await start(...options);
  stops.push(() => slack.stop());
  return slack;
}

export async function connect(
  slack: Slack,
  ...answer: [((envelope: Envelope) => Json | undefined | Promise<Json | undefined>)?]
): Promise<BareApp> {
  const app = await BareApp.connect(slack, ...answer);
  stops.push(() => app.close());
  return app;
}

export const post = async (slack: Slack, ...elements: Json[]): Promise<string> => {
  const posted = await call(slack, 'chat.postMessage', {
    channel: CHANNEL,
    text: 'card',
    blocks: [section('card'), actions(...elements)],
  });
  return String(posted.ts);
};

export const texts = async (slack: Slack, user?: string): Promise<unknown[]> => {
  const { messages } = await slack.read('messages', { channel: CHANNEL, ...(user === undefined ? {} : { user }) });
  return (messages as Json[]).map((message) => message.text);
};
