/** The page: what its user sees, pushed as it changes, and the browser app itself, bundled from node_modules at first use. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { viewJson } from './views.ts';
import { type Activity, BOT, type Json, type Message, type Workspace } from './workspace.ts';

const SHOWN_MESSAGES = 200; // per channel; a page is no archive
const COALESCE_MS = 25;
const MAX_READERS = 50;

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

const HTML = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Acme chat</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/page/app.css"></head>
<body><div id="root"></div><script type="module" src="/page/app.js"></script></body></html>`;

export class Page {
  readonly #workspace: Workspace;
  readonly #hasTerminal: boolean;
  readonly #readers = new Set<ServerResponse>();
  #bundle: Promise<Map<string, string>> | undefined;

  constructor(workspace: Workspace, hasTerminal: boolean) {
    this.#workspace = workspace;
    this.#hasTerminal = hasTerminal;
  }

  /** Answers a request of the page's; false when it is not one. */
  async handle(request: IncomingMessage, response: ServerResponse, url: URL): Promise<boolean> {
    if (request.method !== 'GET') return false;
    if (url.pathname === '/' || url.pathname.startsWith('/archives/')) {
      response.writeHead(200, { ...HEADERS, 'content-type': 'text/html; charset=utf-8' }).end(HTML);
      return true;
    }
    if (url.pathname === '/page/events') {
      this.#follow(response, url.searchParams.get('user') ?? '');
      return true;
    }
    const file = url.pathname.startsWith('/page/') ? url.pathname.slice('/page/'.length) : undefined;
    if (file !== 'app.js' && file !== 'app.css') return false;
    this.#bundle ??= bundle();
    const text = (await this.#bundle).get(file) ?? '';
    const type = file === 'app.js' ? 'text/javascript' : 'text/css';
    response.writeHead(200, { ...HEADERS, 'content-type': `${type}; charset=utf-8` }).end(text);
    return true;
  }

  #follow(response: ServerResponse, user: string): void {
    if (this.#readers.size >= MAX_READERS || !this.#workspace.people.has(user))
      return void response.writeHead(404).end();
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream' });
    this.#readers.add(response);
    let behind = false; // something happened while the page was still reading
    const send = (): void => {
      behind = response.writableNeedDrain;
      if (!behind) response.write(`data: ${JSON.stringify(this.#seenBy(user))}\n\n`);
    };
    let timer: NodeJS.Timeout | undefined;
    const soon = (_: Activity): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        send();
      }, COALESCE_MS);
    };
    this.#workspace.on('activity', soon);
    response.on('drain', () => behind && send());
    response.on('close', () => {
      clearTimeout(timer);
      this.#workspace.off('activity', soon);
      this.#readers.delete(response);
    });
    send();
  }

  /** Everything one person's window shows. */
  #seenBy(user: string): Json {
    const { people, groups, channels, homes } = this.#workspace;
    const im = this.#workspace.openIm(user).id; // before the list of channels, so that it is in it
    const mine = [...channels.values()].filter((channel) => channel.members.includes(user));
    const home = homes.get(user);
    return {
      team: this.#workspace.team,
      app: { user: BOT.user, name: BOT.name, im },
      me: user,
      terminal: this.#hasTerminal,
      people: [...people.values()].map(({ id, name, real_name, title, deleted, is_bot, is_restricted }) => ({
        id,
        name,
        real_name,
        title,
        deleted,
        is_bot,
        is_restricted,
      })),
      groups: [...groups.values()].map(({ id, handle, users }) => ({ id, handle, users })),
      channels: mine.map(({ id, name, kind, topic, members }) => ({
        id,
        name,
        kind,
        topic,
        members,
        messages: this.#workspace.visible(id, user).slice(-SHOWN_MESSAGES).map(forPage),
      })),
      views: this.#workspace.stack(user).map(viewJson),
      home: home === undefined ? null : viewJson(home),
    };
  }

  stop(): void {
    for (const response of this.#readers) response.end();
  }
}

const forPage = (message: Message): Json => ({
  ts: message.ts,
  thread_ts: message.thread_ts,
  user: message.user,
  ours: message.bot_id === BOT.bot,
  app: message.bot_id !== undefined,
  username: message.username,
  text: message.text,
  blocks: message.blocks,
  edited: message.edited !== undefined,
  ephemeral: message.ephemeral !== undefined,
});

async function bundle(): Promise<Map<string, string>> {
  const here = fileURLToPath(new URL('./page/app.tsx', import.meta.url));
  const result = await build({
    entryPoints: [here],
    outdir: '/page',
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'silent',
  });
  return new Map(result.outputFiles.map((file) => [file.path.endsWith('.css') ? 'app.css' : 'app.js', file.text]));
}
