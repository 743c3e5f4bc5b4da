/** People of the emulated workspace, acting through its control API as they would through Slack's clients. */

export type Message = {
  ts: string;
  thread_ts?: string;
  user: string;
  text: string;
  blocks?: Block[];
  ephemeral?: boolean;
};
export type Block = Record<string, unknown> & { type: string };
export type Acted = { ok: boolean; error?: string; ephemeral: { text: string }[]; views: View[] };
export type View = { id: string; title?: unknown; blocks: Block[] };

export class Workspace {
  readonly control: string;
  readonly channel: string;

  constructor(control: string, channel: string) {
    this.control = control.replace(/\/$/, '');
    this.channel = channel;
  }

  messages(options: { user?: string; channel?: string } = {}): Promise<Message[]> {
    const query = new URLSearchParams({
      channel: options.channel ?? this.channel,
      ...(options.user ? { user: options.user } : {}),
    });
    return this.#get<{ messages: Message[] }>(`/messages?${query}`).then(({ messages }) => messages);
  }

  /** The newest message that fits; waits for it. `fits` sees everything the message shows, as one text. */
  async message(
    fits: string | RegExp | ((shown: string, message: Message) => boolean),
    options: { user?: string; ms?: number } = {},
  ): Promise<Message> {
    const test =
      typeof fits === 'function'
        ? fits
        : (shown: string) => (typeof fits === 'string' ? shown.includes(fits) : fits.test(shown));
    let seen: Message[] = [];
    const found = await eventually(async () => {
      seen = await this.messages(options);
      return seen.findLast((message) => test(shownBy(message), message));
    }, options.ms);
    if (!found) throw new Error(`no message fits ${fits}; there are:\n${seen.map(shownBy).join('\n---\n')}`);
    return found;
  }

  /**
   * What somebody alone is told after doing something. Longer than the control API's own answer waits, which is over soon
   * where the clicked message changes meanwhile for another reason.
   */
  async told(user: string, work: () => Promise<unknown>, channel = this.channel): Promise<Message> {
    const before = new Set((await this.messages({ user, channel })).map(({ ts }) => ts));
    await work();
    const found = await eventually(async () => {
      const all = await this.messages({ user, channel });
      return all.find(({ ts, ephemeral }) => ephemeral === true && !before.has(ts));
    });
    if (!found) throw new Error(`${user} was told nothing`);
    return found;
  }

  /** The open card whose statement or headline contains `text`. */
  card(text: string, options: { ms?: number } = {}): Promise<Message> {
    return this.message(
      (shown, message) => shown.includes(text) && hasButton(message, 'details') && hasButton(message, 'deny'),
      options,
    );
  }

  click(user: string, where: { ts: string } | { view_id: string }, action: string, value?: string): Promise<Acted> {
    return this.#post<Acted>('/click', {
      user,
      channel: this.channel,
      ...where,
      action_id: action,
      ...(value ? { value } : {}),
    });
  }

  submit(user: string, view: string, values: Record<string, Record<string, unknown>>): Promise<Acted> {
    return this.#post<Acted>('/submit', { user, view_id: view, values });
  }

  /** Click Deny, type a reason, submit. */
  async deny(user: string, ts: string, reason?: string): Promise<Acted> {
    const clicked = await this.click(user, { ts }, 'deny');
    const view = clicked.views.at(-1);
    if (!view) return clicked;
    return this.submit(user, view.id, { reason: { reason: { type: 'plain_text_input', value: reason ?? null } } });
  }

  views(user: string): Promise<View[]> {
    return this.#get<{ views: View[] }>(`/views?user=${user}`).then(({ views }) => views);
  }

  fault(fault: Record<string, unknown>): Promise<unknown> {
    return this.#post('/fault', fault);
  }

  post(path: string, body: unknown): Promise<Record<string, unknown>> {
    return this.#post(path, body);
  }

  async #get<T>(path: string): Promise<T> {
    const response = await fetch(this.control + path);
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async #post<T>(path: string, body: unknown): Promise<T> {
    const response = await fetch(this.control + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok && response.status >= 500)
      throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}

/** Everything a reader sees of a message, in order, as one text. */
export function shownBy(message: { text?: string; blocks?: Block[] }): string {
  const texts: string[] = [message.text ?? ''];
  const walk = (value: unknown, key?: string): void => {
    if (typeof value === 'string') {
      if (key === 'text' || key === 'user_id' || key === 'fallback') texts.push(value);
    } else if (Array.isArray(value)) for (const item of value) walk(item);
    else if (value !== null && typeof value === 'object')
      for (const [name, item] of Object.entries(value)) walk(item, name);
  };
  walk(message.blocks ?? []);
  return texts.join('\n');
}

export function hasButton(message: { blocks?: Block[] }, action: string): boolean {
  return JSON.stringify(message.blocks ?? []).includes(`"action_id":"${action}"`);
}

/** Asks again until there is an answer; undefined after `ms`. For conditions in other processes, which push nothing. */
export async function eventually<T>(
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  ms = 20_000,
): Promise<T | undefined> {
  const deadline = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > deadline) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
