/** The register: every principal that ever connected, when, where, and who answers for it. Signed, one field each. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Principal, principalKey } from '../operation.ts';
import type { SignedStore } from './signed.ts';

const KEY = 'countersign:agents';
const MAX_CONNECTIONS = 1_000;
/** A working day: whoever has shown no token for longer may have left the group meanwhile. */
const GROUPS_MS = 12 * 3_600_000;

const entrySchema = z.strictObject({
  v: z.literal(1),
  issuer: z.string().max(2_000),
  subject: z.string().max(255),
  kind: z.enum(['agent', 'human']),
  name: z.string().max(400),
  sponsor: z.string().max(100).optional(),
  purpose: z.string().max(500).optional(),
  /** Epoch ms. */
  firstSeen: z.number().int(),
  lastSeen: z.number().int(),
  connections: z.array(z.string().max(100)).max(MAX_CONNECTIONS),
  /** Of people who may approve: what their last verified token said, and when (epoch ms). */
  groups: z.array(z.string().max(256)).max(1_000).optional(),
  groupsAt: z.number().int().optional(),
});
export type RegisterEntry = Omit<z.infer<typeof entrySchema>, 'v'>;

/** Sets the field only when it is still what was read: two gateways may see the same agent at once. */
const SWAP = `if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`;

export class AgentRegister {
  readonly #store: SignedStore;
  readonly #now: () => number;
  readonly #everyMs: number;
  readonly #onTrouble: (reason: string) => void;
  /** When each principal was last written from here, by connection. */
  readonly #written = new Map<string, number>();
  /** The groups that were written last of each. */
  readonly #groups = new Map<string, string>();

  constructor(options: {
    store: SignedStore;
    now?: () => number;
    /** How exact `lastSeen` is, ms. */
    everyMs?: number;
    onTrouble?: (reason: string) => void;
  }) {
    this.#store = options.store;
    this.#now = options.now ?? Date.now;
    this.#everyMs = options.everyMs ?? 60_000;
    this.#onTrouble = options.onTrouble ?? (() => {});
  }

  /**
   * Note that it connected, or only showed a token. Never throws and is not waited for: the audit trail is the
   * evidence, this is the view.
   */
  async seen(principal: Principal, connection?: string): Promise<void> {
    return this.#note(principal, connection, principal.slack === undefined ? [] : principal.groups);
  }

  /** As `seen`, of a browser's sign-in: that asks for other scopes, so groups stay as the last token shown said. */
  async signedIn(principal: Principal): Promise<void> {
    return this.#note(principal, undefined, undefined);
  }

  async #note(principal: Principal, connection?: string, groups?: readonly string[]): Promise<void> {
    const field = fieldOf(principal);
    const recent = JSON.stringify([field, connection, groups === undefined]);
    const said = groups && JSON.stringify(groups);
    const now = this.#now();
    const same = said === undefined || this.#groups.get(field) === said; // whatever was written in between
    if (same && now - (this.#written.get(recent) ?? Number.NEGATIVE_INFINITY) < this.#everyMs) return;
    if (this.#written.size >= 10_000) {
      this.#written.clear();
      this.#groups.clear();
    }
    this.#written.set(recent, now);
    if (said !== undefined) this.#groups.set(field, said);
    try {
      for (let attempt = 0; attempt < 5; attempt++) {
        const raw = await this.#store.redis.hget(KEY, field);
        const known = raw === null ? undefined : this.#open(raw, field);
        const sealed = this.#store.sealed(this.#entry(principal, connection, groups, known), `${KEY}:${field}`);
        if ((await this.#store.redis.eval(SWAP, 1, KEY, field, raw ?? '', sealed)) === 1) return;
      }
      this.#written.delete(recent);
    } catch (error) {
      this.#written.delete(recent);
      this.#onTrouble(error instanceof Error ? error.message : String(error));
    }
  }

  /** Everyone known, newest first; entries that do not verify are left out and reported. @throws when Redis is gone. */
  async list(): Promise<RegisterEntry[]> {
    const all = await this.#store.redis.hgetall(KEY);
    return Object.entries(all)
      .flatMap(([field, raw]) => this.#open(raw, field) ?? [])
      .sort((a, b) => b.lastSeen - a.lastSeen);
  }

  /** Slack ids of those whose last token, at most 12 h ago, put them into this group. @throws when Redis is gone. */
  async membersOf(
    group: string,
    people: readonly { readonly slack: string; readonly issuer: string; readonly subject: string }[],
  ): Promise<string[]> {
    if (people.length === 0) return [];
    const found = await this.#store.redis.hmget(KEY, ...people.map(fieldOf));
    return people.flatMap((person, i) => {
      const raw = found[i];
      const entry = raw ? this.#open(raw, fieldOf(person)) : undefined;
      const age = this.#now() - (entry?.groupsAt ?? Number.NEGATIVE_INFINITY);
      return entry?.groups?.includes(group) && age <= GROUPS_MS ? [person.slack] : [];
    });
  }

  /** Their names as their last verified tokens had them, by Slack id. @throws when Redis is gone. */
  async namesOf(
    people: readonly { readonly slack: string; readonly issuer: string; readonly subject: string }[],
  ): Promise<Map<string, string>> {
    if (people.length === 0) return new Map();
    const found = await this.#store.redis.hmget(KEY, ...people.map(fieldOf));
    return new Map(
      people.flatMap((person, i) => {
        const raw = found[i];
        const name = raw ? this.#open(raw, fieldOf(person))?.name : undefined;
        return name === undefined ? [] : [[person.slack, name] as const];
      }),
    );
  }

  #entry(
    principal: Principal,
    connection: string | undefined,
    groups: readonly string[] | undefined,
    known: RegisterEntry | undefined,
  ): z.infer<typeof entrySchema> {
    const { issuer, subject, kind, name, sponsor, purpose } = principal;
    const now = this.#now();
    const used = connection === undefined ? [] : [connection];
    const before = known?.groups && { groups: known.groups, groupsAt: known.groupsAt };
    const connections = [...new Set([...(known?.connections ?? []), ...used])].slice(-MAX_CONNECTIONS);
    return {
      v: 1,
      issuer,
      subject,
      kind,
      name,
      ...(sponsor === undefined ? {} : { sponsor }),
      ...(purpose === undefined ? {} : { purpose }),
      firstSeen: Math.min(known?.firstSeen ?? now, now),
      lastSeen: Math.max(known?.lastSeen ?? now, now),
      connections,
      ...(principal.slack === undefined ? {} : groups ? { groups: [...groups], groupsAt: now } : before),
    };
  }

  #open(raw: string, field: string): RegisterEntry | undefined {
    try {
      const { v: _, ...entry } = this.#store.open(raw, `${KEY}:${field}`, entrySchema);
      return entry;
    } catch (error) {
      this.#onTrouble(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }
}

const fieldOf = (principal: Pick<Principal, 'issuer' | 'subject'>): string =>
  createHash('sha256').update(principalKey(principal)).digest('base64url');
