/** Parts of the emulator's own tests: a plain API caller, and a bare Socket Mode client. */
import { WebSocket } from 'ws';
import { BOT_SCOPES } from './seed.ts';
import { type Slack, type SlackOptions, startSlack } from './server.ts';
import type { Json } from './workspace.ts';

export const TOKENS = { signingSecret: 'shh-secret', botToken: 'xoxb-test', appToken: 'xapp-test' } as const;
export const CHANNEL = 'C0APPROVALS';

export const start = (
  options: Partial<SlackOptions> & { mode?: 'socket' | 'http'; scopes?: string[] } = {},
): Promise<Slack> => {
  // The emulator knows slash commands, which the gateway's own app does not ask for.
  const { mode = 'socket', scopes = [...BOT_SCOPES, 'commands'], ...rest } = options;
  return startSlack({ app: { ...TOKENS, mode, scopes }, ...rest });
};

/** One Web API call with a JSON body; the parsed answer. */
export async function call(
  slack: Slack,
  method: string,
  body: Json = {},
  token: string = TOKENS.botToken,
): Promise<Json> {
  const response = await fetch(slack.apiUrl + method, {
    method: 'POST',
    headers: { 'content-type': 'application/json; charset=utf-8', authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  return (await response.json()) as Json;
}

export interface Envelope {
  envelope_id: string;
  type: string;
  payload: Json;
  retry_attempt?: number;
}

/** A bare Socket Mode app: keeps what it gets; acknowledges with what `answer` returns, or not at all (`undefined`). */
export class BareApp {
  readonly got: Envelope[] = [];
  readonly socket: WebSocket;
  hello: Json | undefined;
  disconnected: string | undefined;
  readonly #waiting: { test: (envelope: Envelope) => boolean; resolve: (envelope: Envelope) => void }[] = [];

  private constructor(socket: WebSocket, answer: (envelope: Envelope) => Json | undefined | Promise<Json | undefined>) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', async (data) => {
      const frame = JSON.parse(String(data)) as Json & Envelope;
      if (frame.type === 'hello') this.hello = frame;
      else if (frame.type === 'disconnect') this.disconnected = String(frame.reason);
      else {
        this.got.push(frame);
        for (const one of this.#waiting.filter(({ test }) => test(frame))) one.resolve(frame);
        const payload = await answer(frame);
        if (payload !== undefined) socket.send(JSON.stringify({ envelope_id: frame.envelope_id, payload }));
      }
    });
  }

  static async connect(
    slack: Slack,
    answer: (envelope: Envelope) => Json | undefined | Promise<Json | undefined> = () => ({}),
  ): Promise<BareApp> {
    const { url } = await call(slack, 'apps.connections.open', {}, TOKENS.appToken);
    const app = new BareApp(new WebSocket(String(url)), answer);
    await new Promise<void>((resolve, reject) => {
      app.socket.once('message', () => resolve());
      app.socket.once('close', () => reject(new Error('refused')));
    });
    return app;
  }

  /** The first envelope, past or to come, for which `test` holds. */
  next(test: (envelope: Envelope) => boolean): Promise<Envelope> {
    const had = this.got.find(test);
    if (had !== undefined) return Promise.resolve(had);
    return new Promise((resolve) => this.#waiting.push({ test, resolve }));
  }

  close(): void {
    this.socket.terminate();
  }
}

export const button = (action_id: string, more: Json = {}): Json => ({
  type: 'button',
  action_id,
  text: { type: 'plain_text', text: action_id },
  ...more,
});

export const section = (text: string, more: Json = {}): Json => ({
  type: 'section',
  text: { type: 'plain_text', text },
  ...more,
});

export const actions = (...elements: Json[]): Json => ({ type: 'actions', elements });

export const modal = (blocks: Json[], more: Json = {}): Json => ({
  type: 'modal',
  title: { type: 'plain_text', text: 'Title' },
  blocks,
  ...more,
});

export const reasonInput: Json = {
  type: 'input',
  block_id: 'reason',
  label: { type: 'plain_text', text: 'Reason' },
  element: { type: 'plain_text_input', action_id: 'reason', max_length: 200 },
};
