/** The emulated workspace's memory: people, groups, channels, messages, views. Knows no transport and no rules of form. */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';

export type Json = Record<string, unknown>;

/** A member as Slack's `users.info` tells it, flat. */
export interface Person {
  id: string;
  name: string;
  real_name: string;
  email: string;
  team_id: string;
  tz: string;
  tz_offset: number;
  title: string;
  deleted: boolean;
  is_admin: boolean;
  is_bot: boolean;
  is_app_user: boolean;
  is_restricted: boolean;
  is_ultra_restricted: boolean;
  is_stranger: boolean;
  is_invited_user: boolean;
  is_workflow_bot: boolean;
  is_connector_bot: boolean;
  is_email_confirmed: boolean;
  updated: number;
}

export interface Group {
  id: string;
  handle: string;
  name: string;
  users: string[];
  disabled: boolean;
  updated: number;
}

export interface Channel {
  id: string;
  name: string;
  kind: 'public' | 'private' | 'im';
  members: string[];
  is_archived: boolean;
  is_ext_shared: boolean;
  created: number;
  topic: string;
}

export interface Message {
  ts: string;
  channel: string;
  thread_ts?: string;
  user: string;
  bot_id?: string;
  app_id?: string;
  username?: string;
  text: string;
  blocks?: Json[];
  metadata?: Json;
  edited?: { user: string; ts: string };
  /** Only this user sees it; it is in no history and no API reads or edits it. */
  ephemeral?: string;
}

export interface View extends Json {
  id: string;
  type: 'modal' | 'home';
  user: string;
  blocks: Json[];
  hash: string;
  root_view_id: string;
  previous_view_id: string | null;
  external_id: string;
  state: { values: Record<string, Record<string, Json>> };
}

export interface AppSpec {
  signingSecret: string;
  botToken: string;
  appToken: string;
  mode: 'socket' | 'http';
  requestUrl?: string;
  /** Bot scopes granted at installation. */
  scopes: string[];
  shouldEscape: boolean;
}

/** What just happened, for the page and for whoever waits for a click's consequences. */
export interface Activity {
  kind: 'message' | 'edit' | 'delete' | 'ephemeral' | 'view' | 'home' | 'directory';
  user?: string;
  channel?: string;
  ts?: string;
  id?: string;
}

export const BOT = { user: 'U0GATEBOT', bot: 'B0GATEBOT', app: 'A0COUNTERSIGN', name: 'Countersign' } as const;
const KEPT_MESSAGES = 20_000; // per channel; a soak must not grow without end

export interface WorkspaceSpec {
  team: { id: string; name: string; domain: string };
  people: (Partial<Person> & { id: string; name: string })[];
  groups: { id: string; handle: string; name?: string; users: string[] }[];
  channels: { id: string; name: string; members: string[]; private?: boolean; ext_shared?: boolean; topic?: string }[];
  app: AppSpec;
  now: () => number;
}

export class Workspace extends EventEmitter<{ activity: [Activity] }> {
  readonly team: WorkspaceSpec['team'];
  readonly app: AppSpec;
  readonly now: () => number;
  readonly people = new Map<string, Person>();
  readonly groups = new Map<string, Group>();
  readonly channels = new Map<string, Channel>();
  readonly messages = new Map<string, Message[]>();
  /** Open modals per user, topmost last. */
  readonly modals = new Map<string, View[]>();
  readonly homes = new Map<string, View>();
  readonly #spec: WorkspaceSpec;
  #lastTs = 0;

  constructor(spec: WorkspaceSpec) {
    super();
    this.setMaxListeners(0);
    this.#spec = spec;
    this.team = spec.team;
    this.app = spec.app;
    this.now = spec.now;
    this.reset();
  }

  /** Back to the people, groups and channels of the start; no messages, no views. */
  reset(): void {
    for (const map of [this.people, this.groups, this.channels, this.messages, this.modals, this.homes]) map.clear();
    for (const person of this.#spec.people) this.addPerson(person);
    this.addPerson({ id: BOT.user, name: 'countersign', real_name: BOT.name, is_bot: true, email: '' });
    const updated = this.seconds();
    for (const group of this.#spec.groups) {
      this.groups.set(group.id, {
        ...group,
        name: group.name ?? group.handle,
        users: [...group.users],
        disabled: false,
        updated,
      });
    }
    for (const channel of this.#spec.channels) {
      this.channels.set(channel.id, {
        id: channel.id,
        name: channel.name,
        kind: channel.private === true ? 'private' : 'public',
        members: [...channel.members],
        is_archived: false,
        is_ext_shared: channel.ext_shared === true,
        created: updated,
        topic: channel.topic ?? '',
      });
      this.messages.set(channel.id, []);
    }
    this.emit('activity', { kind: 'directory' });
  }

  addPerson(person: Partial<Person> & { id: string; name: string }): Person {
    const made: Person = {
      real_name: person.name.replace(/^./, (first) => first.toUpperCase()),
      email: `${person.name}@example.com`,
      team_id: this.team.id,
      tz: 'Europe/Berlin',
      tz_offset: 3600,
      title: '',
      deleted: false,
      is_admin: false,
      is_bot: false,
      is_app_user: false,
      is_restricted: false,
      is_ultra_restricted: false,
      is_stranger: false,
      is_invited_user: false,
      is_workflow_bot: false,
      is_connector_bot: false,
      is_email_confirmed: true,
      updated: this.seconds(),
      ...person,
    };
    this.people.set(made.id, made);
    return made;
  }

  seconds(): number {
    return Math.floor(this.now() / 1000);
  }

  /** A message id: the time in seconds with six decimals, never twice the same. */
  nextTs(): string {
    this.#lastTs = Math.max(Math.floor(this.now() * 1000), this.#lastTs + 1);
    return `${Math.floor(this.#lastTs / 1e6)}.${String(this.#lastTs % 1e6).padStart(6, '0')}`;
  }

  newId(prefix: string): string {
    return `${prefix}0${randomBytes(5).toString('hex').toUpperCase()}`;
  }

  /** The direct-message channel of a person and the app, made when first asked for. */
  openIm(user: string): Channel {
    const id = `D${user.slice(1)}`;
    const known = this.channels.get(id);
    if (known !== undefined) return known;
    const channel: Channel = {
      id,
      name: user,
      kind: 'im',
      members: [user, BOT.user],
      is_archived: false,
      is_ext_shared: false,
      created: this.seconds(),
      topic: '',
    };
    this.channels.set(id, channel);
    this.messages.set(id, []);
    return channel;
  }

  isMember(channel: string, user: string): boolean {
    return this.channels.get(channel)?.members.includes(user) ?? false;
  }

  message(channel: string, ts: string): Message | undefined {
    return this.messages.get(channel)?.findLast((message) => message.ts === ts);
  }

  /** What `user` sees in a channel, oldest first; without a user, what everyone there sees. */
  visible(channel: string, user?: string): Message[] {
    const all = this.messages.get(channel) ?? [];
    return all.filter((message) => message.ephemeral === undefined || message.ephemeral === user);
  }

  add(message: Message): Message {
    const list = this.messages.get(message.channel);
    if (list === undefined) throw new Error(`no channel ${message.channel}`);
    list.push(message);
    if (list.length > KEPT_MESSAGES) list.shift();
    const kind = message.ephemeral === undefined ? 'message' : 'ephemeral';
    this.emit('activity', {
      kind,
      channel: message.channel,
      ts: message.thread_ts ?? message.ts,
      ...(message.ephemeral === undefined ? {} : { user: message.ephemeral }),
      id: message.ts,
    });
    return message;
  }

  edited(message: Message): void {
    this.emit('activity', { kind: 'edit', channel: message.channel, ts: message.ts, id: message.ts });
  }

  remove(message: Message): void {
    const list = this.messages.get(message.channel) ?? [];
    const at = list.indexOf(message);
    if (at >= 0) list.splice(at, 1);
    this.emit('activity', { kind: 'delete', channel: message.channel, ts: message.ts });
  }

  modal(viewId: string): View | undefined {
    for (const stack of this.modals.values()) {
      const found = stack.find((view) => view.id === viewId);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  stack(user: string): View[] {
    const known = this.modals.get(user);
    if (known !== undefined) return known;
    const made: View[] = [];
    this.modals.set(user, made);
    return made;
  }

  touchedView(view: View): void {
    this.emit('activity', { kind: view.type === 'home' ? 'home' : 'view', user: view.user, id: view.id });
  }
}
