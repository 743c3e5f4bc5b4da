/** `/control`: does what a person would do through Slack's clients, and what befalls a workspace. All JSON. */
import { performance } from 'node:perf_hooks';
import { z } from 'zod';
import type { Api } from './api.ts';
import { type Request, schemas } from './control-schema.ts';
import type { Delivery } from './delivery.ts';
import type { Events } from './events.ts';
import type { Fault, Faults } from './faults.ts';
import { NoSuchChoice } from './find.ts';
import { type Interactions, NotPossible, type Reply } from './interact.ts';
import { viewJson } from './views.ts';
import { type Activity, BOT, type Channel, type Json, type Message, type View, type Workspace } from './workspace.ts';

const FOLLOW_MS = 3_000; // how long a person would look whether something comes
const SETTLED_MS = 300; // quiet after something came

export type ControlAnswer = {
  ok: boolean;
  error?: string;
  errors?: Record<string, string>;
  ephemeral: Json[];
  views: Json[];
};

export interface ControlParts {
  workspace: Workspace;
  interactions: Interactions;
  events: Events;
  delivery: Delivery;
  faults: Faults;
  api: Api;
}

const shown = (message: Message): Json => ({
  ts: message.ts,
  thread_ts: message.thread_ts,
  user: message.user,
  text: message.text,
  blocks: message.blocks ?? [],
  ephemeral: message.ephemeral !== undefined,
  ...(message.bot_id === undefined ? {} : { bot_id: message.bot_id }),
  ...(message.username === undefined ? {} : { username: message.username }),
  ...(message.edited === undefined ? {} : { edited: message.edited }),
  ...(message.metadata === undefined ? {} : { metadata: message.metadata }),
});

const shownView = (view: View): Json => ({ ...viewJson(view), title: (view.title as Json | undefined)?.text ?? '' });

export class Control {
  readonly #parts: ControlParts;

  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  /** Answers one request; `undefined` when there is no such path. */
  async handle(verb: string, name: string, query: URLSearchParams, body: unknown): Promise<Json | undefined> {
    if (verb === 'GET') return name === 'home' ? this.#home(query) : this.#read(name, query);
    if (verb !== 'POST' || !Object.hasOwn(schemas, name)) return undefined;
    const parsed = schemas[name as keyof typeof schemas].safeParse(withoutNulls(body));
    if (!parsed.success) return refusal(z.prettifyError(parsed.error));
    try {
      return await this.#act({ name, input: parsed.data } as Request);
    } catch (error) {
      if (error instanceof NotPossible || error instanceof NoSuchChoice) return refusal(error.message);
      throw error;
    }
  }

  /** Looks at the app's Home as a person does, by opening it; with `open=false`, at what was published before. */
  async #home(query: URLSearchParams): Promise<Json> {
    const { workspace, events } = this.#parts;
    const user = query.get('user') ?? '';
    if (!workspace.people.has(user)) return { ok: false, error: 'no such person', view: null, blocks: [] };
    if (query.get('open') !== 'false') {
      await this.#followed({ user, follow: true }, undefined, async () => {
        events.homeOpened(user, 'home');
        return { ok: true };
      });
    }
    const view = workspace.homes.get(user);
    return { ok: true, view: view === undefined ? null : shownView(view), blocks: view?.blocks ?? [] };
  }

  #read(name: string, query: URLSearchParams): Json | undefined {
    const { workspace, delivery } = this.#parts;
    const user = query.get('user') ?? undefined;
    const mine = (): Channel[] => [...workspace.channels.values()].filter((one) => one.members.includes(user ?? ''));
    switch (name) {
      case 'messages': {
        const channel = query.get('channel') ?? '';
        if (!workspace.channels.has(channel)) return { ok: false, error: 'channel_not_found', messages: [] };
        if (user !== undefined && !workspace.isMember(channel, user))
          return { ok: false, error: 'not_in_channel', messages: [] };
        return { ok: true, messages: workspace.visible(channel, user).map(shown) };
      }
      case 'channels':
        return {
          ok: true,
          channels: mine().map(({ id, name, kind, members }) => ({ id, name, is_im: kind === 'im', members })),
        };
      case 'views':
        return { ok: true, views: workspace.stack(user ?? '').map(shownView) };
      case 'people':
        return { ok: true, people: [...workspace.people.values()], groups: [...workspace.groups.values()] };
      case 'status':
        return { ok: true, connections: delivery.connections, mode: workspace.app.mode };
      default:
        return undefined;
    }
  }

  async #act(request: Request): Promise<Json> {
    const { workspace, interactions, events } = this.#parts;
    switch (request.name) {
      case 'click':
        return this.#followed(request.input, request.input.ts, () => interactions.click(request.input));
      case 'command':
        return this.#followed(request.input, undefined, () => interactions.command(request.input));
      case 'submit':
        return this.#followed(request.input, undefined, () => interactions.submit(request.input));
      case 'close':
        return { ...(await interactions.close(request.input)) };
      case 'home':
        return this.#followed(request.input, undefined, async () => {
          events.homeOpened(request.input.user, request.input.tab);
          return { ok: true };
        });
      case 'post':
        return this.#post(request.input);
      case 'delete': {
        const message = workspace.message(request.input.channel, request.input.ts);
        if (message === undefined) return refusal('message_not_found');
        workspace.remove(message);
        return { ok: true };
      }
      case 'deactivate':
        return this.#person({ user: request.input.user, deleted: true });
      case 'person':
        return this.#person(request.input);
      case 'group':
        return this.#group(request.input);
      case 'channel':
        return this.#channel(request.input);
      case 'fault':
        return this.#fault(request.input);
      case 'reset':
        this.#parts.faults.clear();
        workspace.reset();
        return { ok: true };
    }
  }

  /** Does something and gathers what comes of it: ephemerals to the person, views opened or changed for them. */
  async #followed(
    { user, follow }: { user: string; follow: boolean },
    ts: string | undefined,
    act: () => Promise<Reply>,
  ): Promise<Json> {
    const { workspace } = this.#parts;
    const seen: Activity[] = [];
    let changed = (): void => undefined;
    const onActivity = (activity: Activity): void => {
      const theirs = activity.user === user && ['ephemeral', 'view', 'home'].includes(activity.kind);
      const clicked = ts !== undefined && activity.ts === ts;
      if (!theirs && !clicked) return;
      seen.push(activity);
      changed();
    };
    workspace.on('activity', onActivity);
    try {
      const reply = await act();
      if (reply.ok && follow)
        await settled(
          () => seen.length,
          (wake) => {
            changed = wake;
          },
        );
      const ids = new Set(seen.map((activity) => activity.id));
      const ephemeral = [...workspace.messages.values()]
        .flat()
        .filter((one) => one.ephemeral === user && ids.has(one.ts));
      const views = workspace.stack(user).filter((view) => ids.has(view.id));
      return { ...reply, ephemeral: ephemeral.map(shown), views: views.map(shownView) };
    } finally {
      workspace.off('activity', onActivity);
    }
  }

  #post(input: z.infer<typeof schemas.post>): Json {
    const { workspace } = this.#parts;
    const person = workspace.people.get(input.user);
    if (input.bot_id === BOT.bot) return refusal('that is this app');
    if (input.bot_id === undefined && (person === undefined || person.deleted)) return refusal('no such person');
    if (!workspace.channels.has(input.channel)) return refusal('channel_not_found');
    if (input.bot_id === undefined && !workspace.isMember(input.channel, input.user)) return refusal('not_in_channel');
    const { user, channel, text, blocks, bot_id, username } = input;
    const message = workspace.add({
      ts: workspace.nextTs(),
      user,
      channel,
      text,
      ...(blocks === undefined ? {} : { blocks }),
      ...(bot_id === undefined ? {} : { bot_id, app_id: 'A0OTHER' }),
      ...(username === undefined ? {} : { username }),
    });
    return { ok: true, ts: message.ts };
  }

  #person({ user, channels, ...changes }: z.infer<typeof schemas.person>): Json {
    const { workspace, events } = this.#parts;
    const known = workspace.people.get(user);
    const set = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    const updated = workspace.seconds();
    if (known === undefined) {
      if (changes.name === undefined) return refusal('no such person; a new one needs a name');
      workspace.addPerson({ ...set, id: user, name: changes.name, updated });
    } else Object.assign(known, set, { updated });
    if (changes.deleted === true) {
      // A deactivated account leaves its channels, groups and open views, as Slack has it.
      for (const channel of workspace.channels.values()) remove(channel.members, user);
      workspace.stack(user).length = 0;
      for (const group of workspace.groups.values()) {
        if (remove(group.users, user)) events.groupChanged(group.id, [], [user]);
      }
    }
    for (const name of channels ?? []) add(workspace.channels.get(name)?.members ?? [], user);
    workspace.emit('activity', { kind: 'directory' });
    events.userChanged(user, known === undefined ? 'team_join' : 'user_change');
    return { ok: true };
  }

  #group(input: z.infer<typeof schemas.group>): Json {
    const { workspace, events } = this.#parts;
    const handle = input.handle.replace(/^@/, '');
    const group = [...workspace.groups.values()].find((one) => one.handle === handle || one.id === handle);
    if (group === undefined) return refusal('no such group');
    const strangers = (input.add ?? []).filter((user) => !workspace.people.has(user));
    if (strangers.length > 0) return refusal(`no such person: ${strangers.join(', ')}`);
    const added = (input.add ?? []).filter((user) => add(group.users, user));
    const removed = (input.remove ?? []).filter((user) => remove(group.users, user));
    if (input.disabled !== undefined) group.disabled = input.disabled;
    group.updated = workspace.seconds();
    workspace.emit('activity', { kind: 'directory' });
    events.groupChanged(group.id, added, removed);
    return { ok: true, users: group.users };
  }

  #channel(input: z.infer<typeof schemas.channel>): Json {
    const channel = this.#parts.workspace.channels.get(input.channel);
    if (channel === undefined) return refusal('channel_not_found');
    if (input.archived !== undefined) channel.is_archived = input.archived;
    if (input.ext_shared !== undefined) channel.is_ext_shared = input.ext_shared;
    for (const user of input.add ?? []) add(channel.members, user);
    for (const user of input.remove ?? []) remove(channel.members, user);
    this.#parts.workspace.emit('activity', { kind: 'directory' });
    return { ok: true };
  }

  #fault(fault: Fault): Json {
    const { faults, delivery, api } = this.#parts;
    switch (fault.kind) {
      case 'drop_socket':
        delivery.drop(fault.count, fault.reason);
        break;
      case 'redeliver':
        faults.redeliver(fault.count);
        break;
      case 'cut_delivery':
        faults.cutDelivery(fault.count);
        break;
      case 'down':
        faults.down(fault.ms);
        delivery.drop(10);
        break;
      case 'clear':
        faults.clear();
        break;
      case 'rate_mode':
        api.limiter.mode = fault.mode;
        break;
      case 'delay':
        if ((fault.method === undefined) === (fault.delivery === undefined))
          return refusal('name a method or a delivery');
        faults.add(fault);
        break;
      default:
        faults.add(fault);
    }
    return { ok: true };
  }
}

/** `null` and absent mean the same to whoever writes JSON by hand. */
const withoutNulls = (body: unknown): unknown =>
  typeof body === 'object' && body !== null && !Array.isArray(body)
    ? Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
    : body;

const refusal = (error: string): Json => ({ ok: false, error, ephemeral: [], views: [] });

function add(list: string[], item: string): boolean {
  if (list.includes(item)) return false;
  list.push(item);
  return true;
}

function remove(list: string[], item: string): boolean {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}

/** Resolves once something was seen and it has been quiet for a moment, or when nothing came in time. */
function settled(seen: () => number, onWake: (wake: () => void) => void): Promise<void> {
  const until = performance.now() + FOLLOW_MS;
  return new Promise((resolve) => {
    const arm = (): NodeJS.Timeout => {
      const left = Math.max(0, until - performance.now());
      return setTimeout(resolve, seen() > 0 ? Math.min(SETTLED_MS, left) : left);
    };
    let timer = arm();
    onWake(() => {
      clearTimeout(timer);
      timer = arm();
    });
  });
}
