/** Who a person is to Slack right now, and who is in a group. Gathers and attests; judges nobody. */
import { z } from 'zod';
import type { Attestation, VoteMessage } from '../queue/votes.ts';
import { isGroupId, isUserId } from './blocks.ts';
import { patiently, refusal, type Slack } from './slack.ts';
import { cut, oneLine } from './text.ts';
import { within } from './wait.ts';

const PROFILE_MS = 5_000; // how old a profile may be for a click
const LIST_MS = 60_000; // handles rarely change, and events say so
const MEMBERS_MS = 30_000; // gateways take what was read at most 60 s ago: leave room for the way
const MEMBERS_LIMIT_MS = 55_000; // used when Slack does not answer now, as long as a gateway would still take it
const PATIENCE_MS = 20_000;
const NAME_MS = 600_000; // how old a name may be: it is only read
const NAMES_PATIENCE_MS = 1_000; // a card waits no longer for them
const MAX_MEMBERS = 5_000;
const MOST_NAMES = 30; // more than a card lists; Slack answers some hundred a minute

const userSchema = z.object({
  id: z.string().max(32),
  team_id: z.string().max(32).optional(),
  name: z.string().optional(),
  deleted: z.boolean().optional(),
  is_bot: z.boolean().optional(),
  is_app_user: z.boolean().optional(),
  is_workflow_bot: z.boolean().optional(),
  is_connector_bot: z.boolean().optional(),
  is_restricted: z.boolean().optional(),
  is_ultra_restricted: z.boolean().optional(),
  is_stranger: z.boolean().optional(),
  is_invited_user: z.boolean().optional(),
  is_email_confirmed: z.boolean().optional(),
  real_name: z.string().optional(),
  profile: z
    .object({
      email: z.string().max(320).optional(),
      real_name: z.string().optional(),
      display_name: z.string().optional(),
    })
    .optional(),
});
type SlackUser = z.infer<typeof userSchema>;

const groupSchema = z.object({
  id: z.string().regex(/^S[A-Z0-9]{2,30}$/),
  handle: z.string().max(64),
  date_delete: z.literal(0).optional(), // a disabled group has nobody in it
});
type Group = Pick<z.infer<typeof groupSchema>, 'id' | 'handle'>;
type Read<T> = { readonly value: T; readonly readAt: number };

export type Directory = Pick<
  Extract<VoteMessage, { kind: 'directory' }>,
  'team' | 'groups' | 'missing' | 'unreadable' | 'at'
>;

export class People {
  readonly #slack: Slack;
  readonly team: string;
  readonly #now: () => number;
  readonly #users = new Cache<SlackUser | undefined>(500);
  readonly #members = new Cache<readonly string[] | undefined>(500);
  readonly #list = new Cache<readonly Group[]>(1);

  constructor(options: { slack: Slack; team: string; now?: () => number }) {
    this.#slack = options.slack;
    this.team = options.team;
    this.#now = options.now ?? Date.now;
  }

  /** Slack told us that someone's profile changed. */
  userChanged(id: string): void {
    this.#users.drop(id);
  }

  /** Slack told us that a group or its members changed; without an id, that the list did. */
  groupChanged(id?: string): void {
    this.#list.drop('all');
    if (id) this.#members.drop(id);
  }

  /**
   * Who this person is, and in which of the named groups. Names that cannot be resolved are `unknown`. With `afresh`
   * nothing remembered is used: everything is read after this call began, once for all who ask meanwhile.
   * @throws SlackError when the profile cannot be read within 20 s.
   */
  async attest(
    user: string,
    names: readonly string[],
    click: { team?: string | undefined; afresh?: boolean } = {},
  ): Promise<Attestation> {
    const since = click.afresh ? this.#now() : undefined;
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const asked = [...new Set(names)].slice(0, 200);
    const [profile, ...memberships] = await Promise.all([
      this.#profile(user, signal, since),
      ...asked
        .filter((name) => !isUserId(name) && !name.startsWith('oidc:'))
        .map((name) => this.#group(name, signal, since)),
    ]);
    const groups: Attestation['groups'] = [];
    const unknown: string[] = [];
    for (const it of memberships) {
      if (it.kind !== 'known') unknown.push(cut(it.name, 128));
      else if (it.members.includes(user) && !groups.some(({ id }) => id === it.id))
        groups.push({ id: it.id, handle: it.handle, readAt: it.readAt });
    }
    const of = profile.value;
    const team = of?.team_id ?? '';
    const email = of?.profile?.email;
    return {
      team: this.team,
      user,
      name: cut(of?.profile?.real_name ?? of?.real_name ?? of?.name ?? user, 200),
      ...(email ? { email } : {}),
      emailConfirmed: of?.is_email_confirmed === true,
      deleted: of?.deleted === true,
      bot: [of?.is_bot, of?.is_app_user, of?.is_workflow_bot, of?.is_connector_bot].includes(true),
      guest: of?.is_restricted === true || of?.is_ultra_restricted === true,
      // Somebody Slack does not show us, or of another workspace, is a stranger whatever else is said of them.
      stranger:
        of === undefined ||
        of.is_stranger === true ||
        team !== this.team ||
        (click.team !== undefined && click.team !== this.team),
      invited: of?.is_invited_user === true,
      groups,
      readAt: profile.readAt,
      unknown,
    };
  }

  /** Names → groups with their members, for a gateway. `U…` and `oidc:` names need no answer. */
  async directory(names: readonly string[]): Promise<Directory> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const asked = [...new Set(names)].filter((name) => !isUserId(name) && !name.startsWith('oidc:')).slice(0, 200);
    const found = await Promise.all(asked.map((name) => this.#group(name, signal)));
    const result: Directory = { team: this.team, groups: [], missing: [], unreadable: [], at: this.#now() };
    for (const it of found) {
      if (it.kind === 'missing') result.missing.push(it.name);
      else if (it.kind === 'unreadable') result.unreadable.push(it.name);
      else {
        const { name, id, handle, readAt } = it;
        // A group too large to list whole is not a group we know.
        if (it.members.length > MAX_MEMBERS) result.unreadable.push(name);
        else result.groups.push({ name, id, handle, readAt, members: [...it.members] });
      }
    }
    return result;
  }

  /** Slack ids to mention for these names; what cannot be resolved in two seconds is left out. */
  async mentions(names: readonly string[]): Promise<string[]> {
    const direct = names.filter(isUserId);
    const signal = AbortSignal.timeout(2_000);
    const groups = await Promise.all(
      [...new Set(names)]
        .filter((name) => name.startsWith('@'))
        .map((name) => this.#idOf(name, signal).catch(() => undefined)),
    );
    return [...new Set([...names.filter(isGroupId), ...groups.flatMap((group) => group?.id ?? []), ...direct])];
  }

  /** What these people and groups are called, of Slack ids among the names; who is not found in a second is left out. */
  async names(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const signal = AbortSignal.timeout(NAMES_PATIENCE_MS);
    const read = async (user: string) => {
      const { value } = await this.#profile(user, signal, undefined, NAME_MS);
      const name = value?.profile?.real_name ?? value?.real_name ?? value?.name;
      // Nobody passes for a group by what they call themselves.
      const said = cut(oneLine(name ?? '', 100).replace(/^[\s@]+/, ''), 80);
      if (said !== '') found.set(user, said);
    };
    const ids = [...new Set(names)];
    const users = ids.filter(isUserId).slice(0, MOST_NAMES);
    const group = async (id: string) => {
      const known = await this.#idOf(id, signal);
      if (known) found.set(id, `@${known.handle}`);
    };
    const all = Promise.allSettled([...users.map(read), ...ids.filter(isGroupId).slice(0, MOST_NAMES).map(group)]);
    await within(NAMES_PATIENCE_MS, all);
    return new Map(found); // what comes later is for the next who ask
  }

  async #profile(
    user: string,
    signal: AbortSignal,
    since?: number,
    maxAge = PROFILE_MS,
  ): Promise<Read<SlackUser | undefined>> {
    const read = async () => {
      try {
        const { user: raw } = await patiently(this.#slack, 'users.info', { user }, signal);
        const parsed = userSchema.safeParse(raw);
        return parsed.success && parsed.data.id === user ? parsed.data : undefined;
      } catch (error) {
        if (['user_not_found', 'user_not_visible'].includes(refusal(error) ?? '')) return undefined;
        throw error;
      }
    };
    return this.#users.get(user, maxAge, this.#now, read, since);
  }

  async #group(name: string, signal: AbortSignal, since?: number) {
    try {
      const group = await this.#idOf(name, signal);
      if (!group) return { kind: 'missing', name } as const;
      const members = await this.#membersOf(group.id, signal, since);
      if (!members.value) return { kind: 'missing', name } as const;
      return { kind: 'known', name, ...group, members: members.value, readAt: members.readAt } as const;
    } catch {
      return { kind: 'unreadable', name } as const;
    }
  }

  async #idOf(name: string, signal: AbortSignal): Promise<Group | undefined> {
    const handle = name.startsWith('@') ? name.slice(1) : undefined;
    if (handle === undefined && !isGroupId(name)) return undefined;
    const find = async (maxAge: number) => {
      const list = await this.#list.get('all', maxAge, this.#now, () => this.#readList(signal));
      return list.value.find((group) => (handle === undefined ? group.id === name : group.handle === handle));
    };
    // A name not in the list may be newer than the list.
    return (await find(LIST_MS)) ?? (await find(PROFILE_MS));
  }

  async #readList(signal: AbortSignal): Promise<Group[]> {
    const { usergroups } = await patiently(this.#slack, 'usergroups.list', {}, signal);
    return z
      .array(z.unknown())
      .parse(usergroups)
      .flatMap((raw) => groupSchema.safeParse(raw).data ?? []);
  }

  async #membersOf(id: string, signal: AbortSignal, since?: number): Promise<Read<readonly string[] | undefined>> {
    const read = async () => {
      try {
        const { users } = await patiently(this.#slack, 'usergroups.users.list', { usergroup: id }, signal);
        return z.array(z.string().max(32)).parse(users);
      } catch (error) {
        if (refusal(error) === 'no_such_subteam') return undefined;
        throw error;
      }
    };
    try {
      return await this.#members.get(id, MEMBERS_MS, this.#now, read, since);
    } catch (error) {
      const old = since === undefined ? this.#members.peek(id) : undefined;
      if (old && this.#now() - old.readAt < MEMBERS_LIMIT_MS) return old;
      throw error;
    }
  }
}

/** The newest answer per key and the question under way; `readAt` is when the question was asked. */
class Cache<T> {
  readonly #known = new Map<string, Read<T>>();
  readonly #asking = new Map<string, Promise<Read<T>>>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  peek(key: string): Read<T> | undefined {
    return this.#known.get(key);
  }

  drop(key: string): void {
    this.#known.delete(key);
    this.#asking.delete(key); // an answer already under way may be from before the change
  }

  /** `since`: nothing read before then will do. */
  async get(
    key: string,
    maxAge: number,
    now: () => number,
    read: () => Promise<T>,
    since = Number.NEGATIVE_INFINITY,
  ): Promise<Read<T>> {
    for (;;) {
      const known = this.#known.get(key);
      if (known && now() - known.readAt <= maxAge && known.readAt >= since) return known;
      const under = this.#asking.get(key);
      if (!under) break;
      const shared = await under.catch(() => undefined); // its asker may have been less patient than we are
      if (shared && shared.readAt >= since) return shared;
    }
    const readAt = now();
    const asking = read().then((value) => ({ value, readAt }));
    this.#asking.set(key, asking);
    try {
      const fresh = await asking;
      if (this.#asking.get(key) === asking) {
        this.#known.delete(key);
        this.#known.set(key, fresh);
        for (const oldest of this.#known.keys()) {
          if (this.#known.size <= this.#max) break;
          this.#known.delete(oldest);
        }
      }
      return fresh;
    } finally {
      if (this.#asking.get(key) === asking) this.#asking.delete(key);
    }
  }
}
