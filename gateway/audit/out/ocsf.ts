/**
 * An entry as an event of the Open Cybersecurity Schema Framework (schema.ocsf.io), version 1.6.0. Pure but for the
 * addresses of live sessions, which only a session's first entry says.
 *
 * | entries                                                   | class (class_uid)            | activity_id                     |
 * |-----------------------------------------------------------|------------------------------|---------------------------------|
 * | operation                                                 | Datastore Activity (6005)    | 4 Query, 1 Read (copy-out), 2 Update, 5 Write (insert, copy-in), 7 Delete, 99 others: the gravest effect |
 * | hold.released, outcome, grant.used, plan.used             | Datastore Activity (6005)    | 99 with the kind                |
 * | session.start, token.issued, auth.refused, web.signed-in, | Authentication (3002)        | 1 Logon                         |
 * | web.refused                                               |                              |                                 |
 * | session.end, revoked, web.signed-out                      | Authentication (3002)        | 2 Logoff                        |
 * | hold.open / hold.vote, hold.settled / kill / ask          | API Activity (6003)          | 1 Create / 3 Update / 4 Delete / 99 |
 * | recording.viewed / recording.removed / .sealed, .failed   | API Activity (6003)          | 2 Read / 4 Delete / 3 Update    |
 * | rules.*, frozen, reload, group.changed, review.signed     | Entity Management (3004)     | 3 Update                        |
 * | grant.made, plan.asked / grant.ended                      | Entity Management (3004)     | 1 Create / 4 Delete             |
 * | start / stop                                              | Application Lifecycle (6002) | 3 Start / 4 Stop                |
 * | audit.*, sink.*, and what this table does not know        | Base Event (0)               | 99 with the kind                |
 *
 * `status_id`: 1 where it was let through or done, 2 where it was refused or failed, 99 while it is held, 0 unknown.
 * `severity_id`: 1; 2 held; 3 refused, failed sign-ins, changed rules; 4 kills, freezes, a receiver that refuses, lost files.
 * `metadata.uid` is `chain:seq`; what has no attribute is under `unmapped` by the trail's own names.
 */
import { isIP } from 'node:net';
import type { Line } from '../chain.ts';

type Fields = Record<string, unknown>;
type Activity = readonly [id: number, name: string];
type Mapped = { readonly classUid: number; readonly activity: Activity; readonly fields: Fields };

const VERSION = '1.6.0';
const DATASTORE = 6005;
const API = 6003;
const LIFECYCLE = 6002;
const AUTHENTICATION = 3002;
const ENTITY = 3004;
const BASE = 0;

const CLASS_NAMES: Readonly<Record<number, string>> = {
  [DATASTORE]: 'Datastore Activity',
  [API]: 'API Activity',
  [LIFECYCLE]: 'Application Lifecycle',
  [AUTHENTICATION]: 'Authentication',
  [ENTITY]: 'Entity Management',
  [BASE]: 'Base Event',
};
const CATEGORY_NAMES: Readonly<Record<number, string>> = {
  0: 'Uncategorized',
  3: 'Identity & Access Management',
  6: 'Application Activity',
};

const CREATE: Activity = [1, 'Create'];
const READ: Activity = [2, 'Read'];
const UPDATE: Activity = [3, 'Update'];
const DELETE: Activity = [4, 'Delete'];

/** The gravest first. */
const DEEDS: readonly (readonly [actions: readonly string[], activity: Activity])[] = [
  [['delete'], [7, 'Delete']],
  [['update'], [2, 'Update']],
  [
    ['insert', 'copy-in'],
    [5, 'Write'],
  ],
  [['copy-out'], [1, 'Read']],
];
const HARMLESS = new Set(['read', 'session', 'transaction']);

const ON_API: Readonly<Record<string, Activity>> = {
  'hold.open': CREATE,
  'hold.vote': UPDATE,
  'hold.settled': UPDATE,
  kill: DELETE,
  ask: [99, 'ask'],
  'recording.viewed': READ,
  'recording.held': UPDATE,
  'recording.removed': DELETE,
  'recording.sealed': UPDATE,
  'recording.failed': UPDATE,
};
const ON_ENTITIES: Readonly<Record<string, readonly [activity: Activity, type: string, uid: string]>> = {
  'rules.changed': [UPDATE, 'rule set', 'version'],
  'rules.edited': [UPDATE, 'rule set', 'ask'],
  frozen: [UPDATE, 'freeze', 'version'],
  reload: [UPDATE, 'configuration', 'policy'],
  'group.changed': [UPDATE, 'group', 'group'],
  'review.signed': [UPDATE, 'review', 'hold'],
  'grant.made': [CREATE, 'grant', 'grant'],
  'grant.ended': [DELETE, 'grant', 'grant'],
  'plan.asked': [CREATE, 'plan', 'plan'],
};
const GRAVE = new Set(['kill', 'frozen', 'sink.stuck', 'sink.missed', 'recording.failed']);

const MOST_SESSIONS = 50_000; // remembered with their addresses; of more, the oldest are forgotten

/** Made for one stream of entries: where a session comes from is taken from its first one. */
export class OcsfWriter {
  readonly #product: Fields;
  readonly #peers = new Map<string, string>();

  constructor(productVersion: string) {
    this.#product = { name: 'Countersign', vendor_name: 'Countersign', version: productVersion };
  }

  /** One line of JSON, with its line feed. */
  write(chain: string, line: Line, verified: boolean): string {
    return `${JSON.stringify(this.#event(chain, line, verified))}\n`;
  }

  /** A line that is none of the trail's any more: an event without a time of its own. */
  unreadable(chain: string, text: string | undefined): string {
    const message = 'a line that does not fit';
    const mapped = { classUid: BASE, activity: [99, 'unreadable'] as const, fields: { message } };
    const metadata = { ...this.#metadata(), labels: ['unverified'] };
    const status = { status_id: 0, severity_id: 3 };
    return `${JSON.stringify({ ...classified(mapped), time: 0, ...status, metadata, ...mapped.fields, unmapped: { chain, text } })}\n`;
  }

  #metadata(): Fields {
    return { version: VERSION, product: this.#product, log_name: 'audit', log_provider: 'countersign' };
  }

  #event(chain: string, { link, at, prev, entry }: Line, verified: boolean): Fields {
    const kind = String(entry.kind);
    const { seq: _seq, at: _at, prev: _prev, kind: _kind, ...rest } = entry;
    const mapped = this.#mapped(kind, entry);
    return {
      ...classified(mapped),
      time: Date.parse(at),
      ...statusOf(kind, entry),
      severity_id: severityOf(kind, entry),
      message: text(entry.headline) ?? kind,
      metadata: {
        ...this.#metadata(),
        uid: `${chain}:${link.seq}`,
        sequence: link.seq,
        event_code: kind,
        original_time: at,
        ...(text(entry.operation) ? { correlation_uid: entry.operation } : {}),
        ...(verified ? {} : { labels: ['unverified'] }),
      },
      ...mapped.fields,
      unmapped: { chain, prev, hash: link.hash, ...rest },
    };
  }

  #mapped(kind: string, entry: Fields): Mapped {
    const source = this.#source(kind, entry);
    const actor = actorOf(kind, entry);
    const api = ON_API[kind];
    if (api) {
      const uid = text(entry.hold) ?? text(entry.session) ?? text(entry.ask);
      const fields = {
        actor,
        api: { operation: kind, service: { name: 'countersign' } },
        src_endpoint: source,
        ...(uid ? { resources: [{ uid, type: kind.split('.')[0] }] } : {}),
      };
      return { classUid: API, activity: api, fields };
    }
    const entity = ON_ENTITIES[kind];
    if (entity) {
      const [activity, type, member] = entity;
      const uid = text(entry[member]) ?? text(entry.name);
      const fields = { actor, entity: { type, name: text(entry.name) ?? type, ...(uid ? { uid } : {}) } };
      return { classUid: ENTITY, activity, fields: { ...fields, src_endpoint: source } };
    }
    switch (kind) {
      case 'operation':
        return { classUid: DATASTORE, activity: deedOf(entry.effects), fields: datastore(entry, actor, source) };
      case 'hold.released':
      case 'outcome':
      case 'grant.used':
      case 'plan.used':
        return { classUid: DATASTORE, activity: [99, kind], fields: datastore(entry, actor, source) };
      case 'session.start':
      case 'token.issued':
      case 'auth.refused':
      case 'web.signed-in':
      case 'web.refused':
      case 'session.end':
      case 'web.signed-out':
      case 'revoked': {
        const ends = kind === 'session.end' || kind === 'web.signed-out' || kind === 'revoked';
        const door = text(entry.door) ?? (kind.startsWith('web.') ? 'web' : 'token');
        const user = userOf(entry) ?? { name: text(entry.user) ?? 'unknown' };
        const service = { name: text(entry.connection) ?? `countersign ${door}` };
        const session = text(entry.session) ? { session: { uid: entry.session } } : {};
        const fields = { user, service, src_endpoint: source, is_remote: true, ...session };
        return { classUid: AUTHENTICATION, activity: ends ? [2, 'Logoff'] : [1, 'Logon'], fields };
      }
      case 'start':
      case 'stop': {
        const app = { ...this.#product, uid: text(entry.gateway) ?? 'unknown' };
        return { classUid: LIFECYCLE, activity: kind === 'start' ? [3, 'Start'] : [4, 'Stop'], fields: { app } };
      }
      default:
        return { classUid: BASE, activity: [99, kind], fields: {} };
    }
  }

  /** Where it came from: its own word, its session's first entry, or at least which session. */
  #source(kind: string, entry: Fields): Fields {
    const session = text(entry.session);
    const said = text(entry.peer) ?? text(entry.address);
    const peer = said ?? (session === undefined ? undefined : this.#peers.get(session));
    if (session !== undefined && kind === 'session.start' && said !== undefined) {
      this.#peers.set(session, said);
      const [oldest] = this.#peers.keys();
      if (this.#peers.size > MOST_SESSIONS && oldest !== undefined) this.#peers.delete(oldest);
    }
    if (session !== undefined && kind === 'session.end') this.#peers.delete(session);
    if (peer !== undefined) return endpointOf(peer);
    if (session !== undefined) return { name: 'session', uid: session };
    return text(entry.user) ? { svc_name: 'slack' } : { svc_name: 'countersign' };
  }
}

function classified({ classUid, activity: [id, name] }: Mapped): Fields {
  const category = Math.floor(classUid / 1_000);
  return {
    class_uid: classUid,
    class_name: CLASS_NAMES[classUid],
    category_uid: category,
    category_name: CATEGORY_NAMES[category],
    activity_id: id,
    activity_name: name,
    type_uid: classUid * 100 + id,
    type_name: `${CLASS_NAMES[classUid]}: ${id === 99 ? 'Other' : name}`,
  };
}

function datastore(entry: Fields, actor: Fields, source: Fields): Fields {
  const name = text(entry.connection) ?? 'unknown';
  const statement = text(entry.statement);
  return {
    actor,
    src_endpoint: source,
    dst_endpoint: { svc_name: name },
    database: { name, type: 'Relational', type_id: 1 },
    type_id: 1,
    ...(statement ? { query_info: { query_string: statement, uid: text(entry.operation) ?? 'unknown' } } : {}),
  };
}

/** Who did it: in Slack whoever clicked or asked, else the principal, else the gateway itself. */
function actorOf(kind: string, entry: Fields): Fields {
  const person = text(entry.user) ?? (kind === 'rules.edited' || kind === 'review.signed' ? text(entry.by) : undefined);
  const user = person ? { uid: person, domain: 'slack' } : userOf(entry);
  const session = text(entry.session) ? { session: { uid: entry.session } } : {};
  return user ? { user, ...session } : { app_name: 'countersign', ...session };
}

function userOf(entry: Fields): Fields | undefined {
  const principal = text(entry.principal);
  if (principal === undefined) return undefined;
  const at = principal.indexOf('#');
  const name = text(entry.name) ?? principal.slice(at + 1);
  return { uid: principal, name, ...(at > 0 ? { domain: principal.slice(0, at) } : {}) };
}

/** `203.0.113.7:50412`, `[2001:db8::1]:50412`, `203.0.113.7`, or whatever else it is called. */
function endpointOf(peer: string): Fields {
  if (isIP(peer)) return { ip: peer };
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(peer) ?? [];
  const ip = bracketed ?? plain ?? '';
  return isIP(ip) ? { ip, port: Number(port) } : { name: peer };
}

function deedOf(effects: unknown): Activity {
  const actions: unknown[] = Array.isArray(effects) ? effects.map((effect) => (effect as Fields | null)?.action) : [];
  const other = actions.find(
    (action) => !HARMLESS.has(String(action)) && !DEEDS.some(([of]) => of.includes(String(action))),
  );
  if (other !== undefined) return [99, String(other)]; // ddl, dcl, call: graver than any of those, and none of the schema's
  const found = DEEDS.find(([of]) => actions.some((action) => of.includes(String(action))));
  if (found) return found[1];
  if (actions.includes('read')) return [4, 'Query'];
  return actions.length === 0 ? [0, 'Unknown'] : [99, String(actions[0])];
}

const STATUSES: Readonly<Record<string, readonly [id: number, name: string]>> = {
  allow: [1, 'Success'],
  done: [1, 'Success'],
  approved: [1, 'Success'],
  hold: [99, 'held'],
  deny: [2, 'Failure'],
  refused: [2, 'Failure'],
  failed: [2, 'Failure'],
  denied: [2, 'Failure'],
  expired: [2, 'Failure'],
  withdrawn: [2, 'Failure'],
  lost: [2, 'Failure'],
};

const REFUSED: ReadonlySet<string> = new Set(['auth.refused', 'web.refused']);

function statusOf(kind: string, entry: Fields): Fields {
  const refused = REFUSED.has(kind) || entry.counted === false || entry.accepted === false;
  const said = text(entry.verdict) ?? text(entry.outcome) ?? text(entry.state);
  const unsaid = said === undefined ? ([1, 'Success'] as const) : ([0, 'Unknown'] as const);
  const [id, name] = refused ? ([2, 'Failure'] as const) : (STATUSES[said ?? ''] ?? unsaid);
  const code = text(entry.code) ?? text(entry.sqlstate);
  const detail = text(entry.reason) ?? text(entry.why) ?? text(entry.message);
  return {
    status_id: id,
    status: name,
    ...(code ? { status_code: code } : {}),
    ...(detail ? { status_detail: detail } : {}),
  };
}

function severityOf(kind: string, entry: Fields): number {
  if (GRAVE.has(kind)) return 4;
  if (REFUSED.has(kind) || kind === 'rules.edited' || kind === 'sink.restarted') return 3;
  if (entry.verdict === 'deny' || entry.verdict === 'refused') return 3;
  return entry.verdict === 'hold' || kind === 'hold.open' ? 2 : 1;
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined;
