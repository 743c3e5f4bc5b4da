/** The targets of the PostgreSQL listener: who may use which, and one inspector for each, shared by its sessions. */
import type { Config, ConnectionConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { createCatalog } from '../listeners/postgres/catalog/catalog.ts';
import { createInspector } from '../listeners/postgres/inspect.ts';
import { createReacher, type Reacher } from '../listeners/postgres/reach/reach.ts';
import type { Downstream, Inspector, PostgresConnection, Upstream } from '../listeners/postgres/types.ts';
import type { Principal } from '../operation.ts';
import { postgresConnection, sameTarget, vouchedBy } from './connections.ts';
import { admits } from './identity.ts';
import { sideClient } from './side-client.ts';

const CACHED_STATEMENTS = 16_384; // distinct texts of one target; some 20 MB where all are in use
const ESTIMATE_MS = 2_000; // connecting included: an approver decides in seconds
const PARSER_MS = 2_000; // for one text above 8 KB; a real one takes some 50 ms

type Target = {
  config: ConnectionConfig;
  readonly connection: PostgresConnection;
  /** By the server's major version: it may be upgraded while the gateway runs. */
  readonly inspectors: Map<number, Inspector>;
  readonly reach: Reacher;
  sessions: number;
  retired: boolean;
};

export class Targets {
  readonly #maskLiteral: (text: string) => string;
  #byName = new Map<string, Target>();
  readonly #byConnection = new Map<PostgresConnection, Target>();

  constructor(config: Config, maskLiteral: (text: string) => string) {
    this.#maskLiteral = maskLiteral;
    this.update(config);
  }

  /** Take up a new configuration. What leads to the same target in the same way stays as it is. */
  update(config: Config): void {
    const before = this.#byName;
    this.#byName = new Map();
    for (const next of config.connections) {
      let target = before.get(next.name);
      if (target && sameTarget(target.config, next)) {
        before.delete(next.name);
        target.config = next;
      } else {
        const connection = postgresConnection(next);
        target = {
          config: next,
          connection,
          reach: createReacher(() => sideClient(connection, { purpose: 'estimate', connectMs: ESTIMATE_MS })),
          inspectors: new Map(),
          sessions: 0,
          retired: false,
        };
        this.#byConnection.set(target.connection, target);
      }
      this.#byName.set(next.name, target);
    }
    for (const gone of before.values()) this.#retire(gone);
  }

  /** The connection of that name, where this principal may use it. */
  mayUse(name: string, principal: Principal): PostgresConnection | undefined {
    const target = this.#byName.get(name);
    return target && admits(target.config.access, principal) ? target.connection : undefined;
  }

  /** @throws GatewayError CONFIG for a server release whose grammar is not at hand */
  inspectorFor(upstream: Pick<Upstream, 'serverMajor'>, downstream: Pick<Downstream, 'connection'>): Inspector {
    const { connection } = downstream;
    const target = this.#byConnection.get(connection);
    const known = target?.inspectors.get(upstream.serverMajor);
    if (known) return known;
    const inspector = createInspector({
      serverMajor: upstream.serverMajor,
      catalog: createCatalog({
        connect: () => sideClient(connection, { purpose: 'catalogue' }),
        vouched: vouchedBy(target?.config),
      }),
      maskLiteral: this.#maskLiteral,
      cacheEntries: CACHED_STATEMENTS,
      workerDeadlineMs: PARSER_MS,
    });
    target?.inspectors.set(upstream.serverMajor, inspector);
    return inspector;
  }

  /** What its sessions' statements are read with; undefined while nobody was connected yet. */
  liveInspector(name: string): Inspector | undefined {
    return [...(this.#byName.get(name)?.inspectors.values() ?? [])].at(-1);
  }

  /** The same where no session is at hand: the target is asked for its release. @throws GatewayError UPSTREAM | CONFIG */
  async inspectorOf(connection: PostgresConnection): Promise<Inspector> {
    const known = this.liveInspector(connection.name);
    if (known) return known;
    const serverMajor = await releaseOf(connection);
    return this.inspectorFor({ serverMajor }, { connection });
  }

  /** What looks at the reach of operations there, one at a time. */
  reachOf(connection: PostgresConnection): Reacher | undefined {
    return this.#byConnection.get(connection)?.reach;
  }

  /** Seconds since each connection's catalogue was last looked at, where it ever was. */
  *catalogueAges(): Generator<readonly [connection: string, seconds: number]> {
    for (const [name, { inspectors }] of this.#byName) {
      for (const inspector of inspectors.values()) {
        const ms = inspector.catalogueAgeMs();
        if (ms !== undefined) yield [name, ms / 1_000];
      }
    }
  }

  /** Keep a session's target until the session is over. */
  async during(connection: PostgresConnection, stay: () => Promise<void>): Promise<void> {
    const target = this.#byConnection.get(connection);
    if (target) target.sessions += 1;
    try {
      await stay();
    } finally {
      if (target) {
        target.sessions -= 1;
        if (target.retired && target.sessions === 0) void this.#close(target);
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byConnection.values()].map((target) => this.#close(target)));
  }

  #retire(target: Target): void {
    target.retired = true;
    if (target.sessions === 0) void this.#close(target);
  }

  async #close(target: Target): Promise<void> {
    this.#byConnection.delete(target.connection);
    await Promise.allSettled([...target.inspectors.values()].map((inspector) => inspector.close()));
  }
}

async function releaseOf(connection: PostgresConnection): Promise<number> {
  try {
    const client = await sideClient(connection, { purpose: 'plan' });
    try {
      const { rows } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
      return Math.floor(Number(rows[0]?.server_version_num) / 10_000);
    } finally {
      await client.end();
    }
  } catch (cause) {
    throw new GatewayError('UPSTREAM', `${connection.name} cannot be reached to read the plan`, { cause });
  }
}
