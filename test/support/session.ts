/** Around a PostgreSQL session: the real door and target, a recorder between them, and a gate that a test decides for. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import pg from 'pg';
import type { Audit, AuditEntry } from '../../gateway/audit/entry.ts';
import { GatewayError } from '../../gateway/errors.ts';
import type { AdmitContext, Excess, Gate, Permit } from '../../gateway/gate.ts';
import { SessionRegistry } from '../../gateway/listeners/listener.ts';
import { password } from '../../gateway/listeners/postgres/builders.ts';
import { CancelKeys } from '../../gateway/listeners/postgres/cancel.ts';
import { parseServerMessage } from '../../gateway/listeners/postgres/messages.ts';
import { createSessions, type Sessions } from '../../gateway/listeners/postgres/serve.ts';
import { createPostgresListener } from '../../gateway/listeners/postgres/server.ts';
import { type Masking, UNMASKED } from '../../gateway/listeners/postgres/session/shield.ts';
import type { SessionLimits } from '../../gateway/listeners/postgres/session.ts';
import type { Inspector } from '../../gateway/listeners/postgres/types.ts';
import { type Frame, FrameDecoder, types } from '../../gateway/listeners/postgres/wire.ts';
import type { Operation, Outcome } from '../../gateway/operation.ts';
import { BudgetMeter, Hours } from '../../gateway/policy/meter.ts';
import type { Budget } from '../../gateway/policy/policy.ts';
import { RawClient, startupOf, TestAuthenticator } from './door.ts';
import type { TestPostgres } from './postgres.ts';
import { TinyInspector } from './tiny-inspector.ts';

export type TestHold = {
  readonly operation: Operation;
  readonly context: AdmitContext;
  approve(): void;
  deny(reason: string): void;
  /** Set when it ended without a person. */
  withdrawn: string | undefined;
};

type Say = 'allow' | 'later' | 'hold' | 'deny';

/** Asks the test: `held` in a text holds it, `denied` refuses it, `later` takes an fsync's time. */
export class ScriptedGate implements Gate {
  readonly admitted: Operation[] = [];
  readonly outcomes: { operation: Operation; outcome: Outcome }[] = [];
  readonly holds: TestHold[] = [];
  decide: (operation: Operation) => Say = ({ text, shown, parameters }) => {
    const all = `${text} ${shown} ${parameters.map(({ value }) => Buffer.from(value ?? []).toString()).join(' ')}`;
    return all.includes('held') ? 'hold' : all.includes('denied') ? 'deny' : all.includes('later') ? 'later' : 'allow';
  };
  /** Of every result that is permitted from here on. */
  budgets: readonly Budget[] = [];
  readonly excesses: (Excess & { readonly rows: number; readonly bytes: number })[] = [];
  readonly #hours = new Hours(() => performance.now());
  settledTwice = 0;
  promises = 0;
  #waiting: (() => void)[] = [];

  preview(operation: Operation): 'allow' | 'hold' | 'deny' {
    const say = this.decide(operation);
    return say === 'later' ? 'allow' : say;
  }

  admit(operation: Operation, context: AdmitContext): Permit | Promise<Permit> {
    this.admitted.push(operation);
    this.#wake();
    if (this.confirmed && operation.unconfirmable !== undefined) {
      throw new GatewayError('UNSUPPORTED', operation.unconfirmable);
    }
    switch (this.decide(operation)) {
      case 'allow':
        return this.#permit(operation, undefined);
      case 'later':
        this.promises++;
        return new Promise((resolve) => setTimeout(() => resolve(this.#permit(operation, undefined)), 5));
      case 'deny':
        throw new GatewayError('DENIED', 'refused by rule no-such-thing: not today', { hint: 'Ask for less.' });
      case 'hold':
        this.promises++;
        return this.#hold(operation, context);
    }
  }

  async exceed({ operation, budget }: Permit, excess: Excess, context: AdmitContext): Promise<void> {
    if (!budget) throw new Error('it has no budget');
    this.excesses.push({ ...excess, ...budget.passed });
    await this.#hold(operation, context);
    budget.lift(excess.budgets);
  }

  /** What may pass unasked, where the rows of a write are confirmed; its estimate in `confirmed`. */
  confirmed: { readonly estimate: number | undefined; readonly most: number } | undefined;
  readonly touched: (number | undefined)[] = [];

  confirm({ operation }: Permit, rows: number | undefined, context: AdmitContext): Promise<void> | undefined {
    this.touched.push(rows);
    if (rows === 0 || (rows !== undefined && rows <= (this.confirmed?.most ?? 0))) return undefined;
    if (!context.alive()) throw new GatewayError('WITHDRAWN', 'the client left before this was confirmed');
    return this.#hold(operation, context).then(() => undefined);
  }

  #hold(operation: Operation, context: AdmitContext): Promise<Permit> {
    return new Promise((resolve, reject) => {
      const hold: TestHold = {
        operation,
        context,
        withdrawn: undefined,
        approve: () => {
          if (hold.withdrawn !== undefined) return;
          if (context.alive()) resolve(this.#permit(operation, 'hold-1'));
          else reject(new GatewayError('WITHDRAWN', 'the session is gone'));
        },
        deny: (reason) => reject(new GatewayError('DENIED', `denied by Carol: ${reason}`)),
      };
      const withdraw = () => {
        hold.withdrawn = String(context.signal.reason);
        reject(new GatewayError('WITHDRAWN', hold.withdrawn));
        this.#wake();
      };
      if (context.signal.aborted) return withdraw();
      context.signal.addEventListener('abort', withdraw, { once: true });
      this.holds.push(hold);
      context.tell({ kind: 'held', text: 'waiting for Carol until 14:02' });
      this.#wake();
    });
  }

  #permit(operation: Operation, hold: string | undefined): Permit {
    let settled = false;
    return {
      operation,
      hold,
      confirm: this.confirmed && { estimate: this.confirmed.estimate },
      budget: this.budgets.length > 0 ? new BudgetMeter(this.budgets, this.#hours, 'bot') : undefined,
      settle: (outcome) => {
        if (settled) this.settledTwice++;
        settled = true;
        this.outcomes.push({ operation, outcome });
        this.#wake();
      },
    };
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async hold(index = 0): Promise<TestHold> {
    await this.until(() => this.holds.length > index);
    return this.holds[index]!;
  }

  texts(): string[] {
    return this.admitted.map(({ text }) => text);
  }

  ends(): string[] {
    return this.outcomes.map(({ outcome }) =>
      outcome.kind === 'done' ? outcome.tag : outcome.kind === 'failed' ? outcome.sqlstate : 'unknown',
    );
  }
}

/** A TCP proxy in front of the target that remembers what the gateway sent on each connection. */
export class Recorder {
  readonly connections: { sent: Buffer[]; gateway: Socket; target: Socket }[] = [];
  #server: Server | undefined;

  async start(target: number): Promise<number> {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (gateway) => {
      const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
      const connection = { sent: [] as Buffer[], gateway, target: upstream };
      this.connections.push(connection);
      gateway.on('data', (chunk) => connection.sent.push(Buffer.from(chunk)));
      gateway.pipe(upstream);
      upstream.pipe(gateway);
      for (const socket of [gateway, upstream]) {
        socket.on('error', () => {});
        socket.on('close', () => {
          gateway.destroy();
          upstream.destroy();
        });
      }
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as { port: number }).port;
  }

  stop(): void {
    for (const { gateway, target } of this.connections) {
      gateway.destroy();
      target.destroy();
    }
    this.#server?.close();
  }
}

export type SessionWorld = Awaited<ReturnType<typeof sessionWorld>>;

const FRONTEND = types('QPBDCESHXdcfpF');

/** The door, sessions behind it, and a recorder between them and `postgres`. */
export async function sessionWorld(
  postgres: TestPostgres,
  options: { limits?: Partial<SessionLimits>; maxPerPrincipal?: number; inspector?: Inspector; masking?: Masking } = {},
) {
  const recorder = new Recorder();
  const recorded = await recorder.start(postgres.port);
  const gate = new ScriptedGate();
  const inspector = new TinyInspector();
  const registry = new SessionRegistry({ maxPerPrincipal: options.maxPerPrincipal ?? 50 });
  const entries: AuditEntry[] = [];
  const trouble: { audit: boolean } = { audit: false };
  const audit: Audit = {
    append: (entry) => {
      if (trouble.audit) throw new GatewayError('AUDIT', 'the audit trail cannot be written');
      entries.push(entry);
    },
    commit: async () => {},
    flush: async () => {},
    head: () => ({ seq: 0, hash: '' }),
    trouble: () => undefined,
  };
  const limits = { lingerMs: 2_000, ...options.limits };
  const inspectorFor = () => options.inspector ?? inspector;
  const sessions: Sessions = createSessions({
    registry,
    audit,
    gate,
    inspectorFor,
    maskingOf: () => options.masking ?? UNMASKED,
    limits,
  });
  const ended: Promise<void>[] = [];
  const authenticator = new TestAuthenticator();
  const listener = createPostgresListener({
    host: '127.0.0.1',
    port: 0,
    tls: () => undefined,
    authenticator,
    mayUse: () => ({
      name: 'orders',
      environment: 'production',
      searchPath: 'public',
      upstream: {
        host: '127.0.0.1',
        port: recorded,
        database: 'postgres',
        user: 'postgres',
        password: () => postgres.password,
        tls: 'disable',
      },
    }),
    reserve: (principal) => registry.reserve(principal),
    cancelKeys: new CancelKeys({ gatewayId: 'test' }),
    runSession: (parts) => {
      const stay = sessions.runSession(parts);
      ended.push(stay);
      return stay;
    },
    drainSessions: (signal) => sessions.drainSessions(signal),
    record: () => {},
  });
  const { port } = await listener.start();
  const clients: RawClient[] = [];
  const drivers: pg.Client[] = [];
  const world = {
    gate,
    inspector,
    registry,
    audit: entries,
    trouble,
    authenticator,
    listener,
    sessions,
    ended,
    port,
    url: `postgres://agent:token-of-bot@127.0.0.1:${port}/orders`,
    recorder,
    /** A logged-in client that speaks bytes; `sent` are the frames its upstream session got since then. */
    raw: async () => {
      const client = await RawClient.connect(port);
      clients.push(client);
      const before = recorder.connections.length;
      client.send(startupOf({ user: 'agent', database: 'orders' }), password('token-of-bot'));
      await client.until('Z');
      const connection = recorder.connections[before]!;
      const skip = connection.sent.length;
      const sent = (): Frame[] => new FrameDecoder(CODEC).push(Buffer.concat(connection.sent.slice(skip)));
      return Object.assign(client, {
        sent,
        sentBytes: () => Buffer.concat(connection.sent.slice(skip)),
        sentTypes: () =>
          sent()
            .map(({ type }) => String.fromCharCode(type))
            .join(''),
        target: connection,
        /** The gateway has closed its side, and everything it sent was seen. */
        targetClosed: async () => {
          if (!connection.gateway.closed) await once(connection.gateway, 'close');
        },
      });
    },
    driver: async () => {
      const client = new pg.Client({ connectionString: world.url });
      client.on('error', () => {});
      await client.connect();
      drivers.push(client);
      return client;
    },
    close: async () => {
      for (const client of clients) client.socket.destroy();
      await Promise.all(drivers.map((driver) => driver.end().catch(() => {})));
      await listener.stop();
      await Promise.all(ended);
      recorder.stop();
    },
  };
  return world;
}

const CODEC = { maxFrameBytes: 1 << 26, streamed: types(''), streamAboveBytes: 1 << 26, allowed: FRONTEND };

/** `1 2 T D C(SELECT 1) Z(I)`: what came, in short. */
export function brief(frames: readonly Frame[]): string {
  return frames
    .map((frame) => {
      const type = String.fromCharCode(frame.type);
      if (type === 'Z') return `Z(${String.fromCharCode(frame.bytes[5]!)})`;
      if (type === 'C') return `C(${frame.bytes.subarray(5, -1)})`;
      if (type === 'E') return `E(${parseServerMessage(frame).sqlstate})`;
      return type;
    })
    .join(' ');
}
