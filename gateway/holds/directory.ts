/** Who is in the approver groups: asked of the bots, pinned to group ids, watched for changes. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { CardPublisher } from '../../queue/carry.ts';
import type { VoteMessage } from '../../queue/votes.ts';
import type { Audit } from '../audit/entry.ts';
import type { SignedStore } from '../state/signed.ts';
import type { Clock } from './clock.ts';
import { isGroupName } from './quorum.ts';

export const DIRECTORY_KEY = 'countersign:directory';
export const FRESH_MS = 60_000;
const NEW_MEMBER_MS = 3_600_000;
const MOST_ASKED = 200; // names in one job, and asks under way

const member = z.strictObject({ user: z.string().max(32), addedAt: z.number().optional() });
const pinned = z.strictObject({
  id: z.string().max(32),
  handle: z.string().max(64),
  /** Counts the changes seen, so that every gateway announces the same one under the same id. */
  generation: z.number().int(),
  members: z.array(member).max(5_000),
});
type Pinned = z.infer<typeof pinned>;
const directorySchema = z.strictObject({
  v: z.literal(1),
  team: z.string().max(32).optional(),
  groups: z.record(z.string().max(128), pinned),
});

export type DirectoryMessage = Extract<VoteMessage, { kind: 'directory' }>;
type Group = DirectoryMessage['groups'][number];

export type DirectoryDeps = {
  readonly gateway: string;
  readonly store: SignedStore;
  readonly publish: CardPublisher;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Where changes of approver groups are announced. */
  readonly channel: () => string;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
  /** Called whenever an answer has been taken in. */
  readonly onNews: () => void;
};

export class Directory {
  readonly #deps: DirectoryDeps;
  #team: string | undefined;
  readonly #pins = new Map<string, Pinned>();
  /** Members as read, with the monotonic time of reading. A name that Slack does not know has none. */
  readonly #read = new Map<string, { members: readonly string[]; at: number }>();
  /** Names whose group is no longer the one they were pinned to: refused until an operator says which is meant. */
  readonly #moved = new Map<string, string>();
  readonly #missing = new Set<string>();
  readonly #asked = new Map<string, { names: ReadonlySet<string>; at: number }>();
  #waiting: (() => void)[] = [];

  constructor(deps: DirectoryDeps) {
    this.#deps = deps;
  }

  /** Take over what gateways learned before. Forged or unreadable: begin anew and say so. */
  async load(): Promise<void> {
    try {
      const kept = await this.#deps.store.read(DIRECTORY_KEY, directorySchema);
      if (!kept) return;
      this.#team ??= kept.team;
      for (const [name, group] of Object.entries(kept.groups)) {
        const own = this.#pins.get(name);
        if (!own || own.generation < group.generation) this.#pins.set(name, group);
      }
    } catch (error) {
      this.#deps.log('what is kept of approver groups cannot be used', { error: String(error) });
    }
  }

  get team(): string | undefined {
    return this.#team;
  }

  groupId(name: string): string | undefined {
    if (this.#moved.has(name) || this.#missing.has(name)) return undefined;
    return this.#pins.get(name)?.id;
  }

  /** Members as read within the last 60 s; undefined where that is not known. */
  members(name: string): readonly string[] | undefined {
    const read = this.#read.get(name);
    if (!read || this.#moved.has(name)) return undefined;
    return this.#deps.clock.monotonic() - read.at <= FRESH_MS ? read.members : undefined;
  }

  /** `joined @dba-oncall 12 minutes ago`, for who was added to one of these groups within the last hour. */
  remark(user: string, names: readonly string[]): string | undefined {
    for (const name of names) {
      const addedAt = this.#pins.get(name)?.members.find((known) => known.user === user)?.addedAt;
      if (addedAt === undefined) continue;
      const age = this.#deps.clock.now() - addedAt;
      if (age > NEW_MEMBER_MS) continue;
      const minutes = Math.max(0, Math.floor(age / 60_000));
      return `joined ${name} ${minutes === 1 ? 'a minute' : `${minutes} minutes`} ago`;
    }
    return undefined;
  }

  /** Ask any bot about these names. @throws Error while Redis is gone. */
  async ask(names: readonly string[]): Promise<void> {
    const { clock, newId, publish, gateway } = this.#deps;
    const groups = [...new Set(names.filter(isGroupName))].slice(0, MOST_ASKED);
    const id = newId();
    for (const [old, { at }] of this.#asked) {
      if (clock.monotonic() - at > 6 * FRESH_MS || this.#asked.size >= MOST_ASKED) this.#asked.delete(old);
    }
    this.#asked.set(id, { names: new Set(groups), at: clock.monotonic() });
    await publish.send({ kind: 'directory', v: 1, id, gateway, names: groups, at: clock.now() }, `directory-${id}`);
  }

  /** Is a question about all of these under way, at most `ms` old? */
  isAsking(names: readonly string[], ms: number): boolean {
    const since = this.#deps.clock.monotonic() - ms;
    return [...this.#asked.values()].some(
      ({ names: asked, at }) => at >= since && names.every((name) => !isGroupName(name) || asked.has(name)),
    );
  }

  /** Is the workspace known and every group of these pinned or known to be missing? */
  knows(names: readonly string[]): boolean {
    if (this.#team === undefined) return false;
    return names.every((name) => !isGroupName(name) || this.#pins.has(name) || this.#missing.has(name));
  }

  /** Resolves when the next answer came, or after `ms`. */
  next(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(ms, resolve);
      this.#waiting.push(() => {
        cancel();
        resolve();
      });
    });
  }

  /** A bot's answer. Only one to a question of this gateway's counts, and only about what was asked. */
  async receive(message: DirectoryMessage): Promise<void> {
    const { clock, log, store } = this.#deps;
    const asked = this.#asked.get(message.id);
    if (!asked) return log('an answer about groups that nobody asked for was ignored');
    this.#asked.delete(message.id);
    await this.load();
    if (this.#team !== undefined && this.#team !== message.team) {
      log(
        'a bot of another workspace answered and was ignored; if this installation moved, delete countersign:directory in Redis and restart the gateways',
        { installed: this.#team, answered: message.team },
      );
      return;
    }
    let changed = this.#team === undefined;
    this.#team = message.team;
    for (const name of message.missing) {
      if (!asked.names.has(name)) continue;
      this.#missing.add(name);
      this.#read.set(name, { members: [], at: clock.monotonic() });
    }
    for (const name of message.unreadable) this.#read.delete(name);
    for (const group of message.groups) {
      if (!asked.names.has(group.name)) continue;
      const age = clock.now() - group.readAt;
      if (Math.abs(age) > FRESH_MS) {
        this.#read.delete(group.name);
        continue;
      }
      this.#missing.delete(group.name);
      if (!this.#stillPinned(group)) continue;
      this.#read.set(group.name, { members: [...group.members], at: clock.monotonic() - Math.max(0, age) });
      if (this.#update(group)) changed = true;
    }
    if (changed) {
      const groups = Object.fromEntries(this.#pins);
      await store
        .write(DIRECTORY_KEY, { v: 1, team: this.#team, groups })
        .catch((error) => log('approver groups could not be kept', { error: String(error) }));
    }
    for (const wake of this.#waiting.splice(0)) wake();
    this.#deps.onNews();
  }

  /** False when the name now stands for another group than the one it was pinned to. */
  #stillPinned(group: Group): boolean {
    const pin = this.#pins.get(group.name);
    if (!pin || pin.id === group.id) {
      this.#moved.delete(group.name);
      return true;
    }
    if (this.#moved.get(group.name) !== group.id) {
      this.#moved.set(group.name, group.id);
      const text = `${group.name} now stands for another group in Slack (${group.id}, before: ${pin.id}). Votes through it do not count. Name the group that is meant by its id in the configuration.`;
      this.#record(group, { was: pin.id, now: group.id });
      this.#announce(`group-${pin.id}-moved-${group.id}`, text);
    }
    this.#read.delete(group.name);
    return false;
  }

  /** True when the members differ from those known. The first reading of a group is its baseline. */
  #update(group: Group): boolean {
    const { clock } = this.#deps;
    const pin = this.#pins.get(group.name);
    const current = new Set(group.members);
    if (!pin) {
      const members = [...current].map((user) => ({ user }));
      this.#pins.set(group.name, { id: group.id, handle: group.handle, generation: 1, members });
      return true;
    }
    const known = new Set(pin.members.map(({ user }) => user));
    const added = [...current].filter((user) => !known.has(user)).sort();
    const removed = [...known].filter((user) => !current.has(user)).sort();
    if (added.length === 0 && removed.length === 0) return false;
    const generation = pin.generation + 1;
    const stay = pin.members.filter(({ user }) => current.has(user));
    const joined = added.map((user) => ({ user, addedAt: clock.now() }));
    this.#pins.set(group.name, { ...pin, handle: group.handle, generation, members: [...stay, ...joined] });
    this.#record(group, { added, removed });
    const parts = [
      ...(added.length > 0 ? [`added ${list(added)}`] : []),
      ...(removed.length > 0 ? [`removed ${list(removed)}`] : []),
    ];
    const mark = createHash('sha256')
      .update([...current].sort().join(' '))
      .digest('hex')
      .slice(0, 12);
    this.#announce(
      `group-${group.id}-${generation}-${mark}`,
      `Who may approve has changed: ${group.name}: ${parts.join('; ')}.`,
    );
    return true;
  }

  #record(group: Group, what: Record<string, unknown>): void {
    try {
      this.#deps.audit.append({ kind: 'group.changed', name: group.name, group: group.id, ...what });
    } catch (error) {
      this.#deps.log('a change of an approver group could not be audited', { error: String(error) });
    }
  }

  #announce(id: string, text: string): void {
    const { publish, channel, clock, log } = this.#deps;
    publish
      .send({ kind: 'notice', v: 1, id, channel: channel(), text: text.slice(0, 3000), at: clock.now() }, id)
      .catch((error) => log('a change of an approver group could not be announced', { error: String(error) }));
  }
}

const list = (users: readonly string[]): string =>
  users.length <= 20 ? users.join(', ') : `${users.slice(0, 20).join(', ')} and ${users.length - 20} more`;
