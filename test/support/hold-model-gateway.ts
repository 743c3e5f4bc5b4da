/** A gateway process of the hold model: the product's own lease, gate and holds over the model's Redis, disk and time. */
import type { AuditEntry } from '../../gateway/audit/entry.ts';
import { createGate, type Gate } from '../../gateway/gate.ts';
import { createHolds, type Holds } from '../../gateway/holds/broker.ts';
import type { Policy } from '../../gateway/policy/policy.ts';
import { createLease, type Lease } from '../../gateway/state/lease.ts';
import { Reviews } from '../../gateway/state/reviews.ts';
import { SignedStore } from '../../gateway/state/signed.ts';
import { type CardJob, cardJobSchema } from '../../queue/cards.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { OIDC, PEOPLE } from './hold-model-people.ts';
import { Connection, type Fault, type Schedule, type Store } from './hold-model-redis.ts';
import { Process, type Time } from './hold-model-time.ts';
import { Trail } from './hold-model-trail.ts';

const key = signingKey(newKeyPair().secret);
/** One pair for all: who may write what is not what is looked at here. */
export const KEYS = { own: key, trusted: [verifyingKey(key.public)] };

export type GatewayOptions = {
  readonly id: string;
  readonly time: Time;
  readonly redis: Store;
  readonly schedule: Schedule;
  readonly policy: () => Policy;
  readonly newId: () => string;
  readonly fault: () => Fault | undefined;
  readonly onAppend: (gateway: string, entry: AuditEntry) => void;
  readonly onRefused: (entry: AuditEntry) => void;
  readonly onCommitted: (entry: AuditEntry) => void;
  /** A hold left the index. */
  readonly onClosed: (hold: string) => void;
  readonly onScript: (card: string, written: boolean) => void;
  readonly onRenewal: () => void;
  /** A card, a question or a notice reached its queue. */
  readonly onJob: (job: CardJob) => void;
  readonly endSession: (session: string, reason: string) => boolean;
};

export class ModelGateway {
  readonly id: string;
  readonly process: Process;
  readonly trail: Trail;
  readonly connection: Connection;
  readonly lease: Lease;
  readonly holds: Holds;
  readonly gate: Gate;
  stopping: Promise<void> | undefined;
  /** The next so many releases cannot be sealed. */
  sealingsFail = 0;
  /** It drained to its end. */
  leftInOrder = false;

  constructor(options: GatewayOptions) {
    const { id, time, redis, schedule, policy, newId } = options;
    this.id = id;
    this.process = new Process(time);
    const { process } = this;
    this.trail = new Trail({
      owner: process,
      schedule,
      onAppend: (entry) => options.onAppend(id, entry),
      onRefused: options.onRefused,
      onCommitted: options.onCommitted,
    });
    const { trail } = this;
    this.connection = new Connection(redis, {
      time,
      owner: process,
      schedule,
      fault: options.fault,
      onScript: options.onScript,
      onClosed: options.onClosed,
      onRenewal: options.onRenewal,
    });
    const { connection } = this;
    const store = new SignedStore(connection.redis, { own: KEYS.own, trusted: () => KEYS.trusted });
    const said = () => {};
    const soon = async <T>(label: string, value: () => T): Promise<T> => {
      await schedule(label);
      return new Promise((resolve) => process.deliver(() => resolve(value())));
    };
    this.lease = createLease({
      store,
      gateway: id,
      clock: process.clock,
      onLost: () => this.holds.withdrawAll('UNAVAILABLE', 'the gateway lost touch with Redis'),
      onBack: () => this.holds.republish(),
      onTrouble: said,
    });
    this.holds = createHolds({
      gateway: id,
      audit: trail,
      policy,
      publish: {
        send: async (job, jobId) => {
          const sent = cardJobSchema.parse(job);
          await connection.call(`send ${sent.kind}`, (held) => held.sadd('jobs', jobId) === 1 && options.onJob(sent));
        },
        close: async () => {},
      },
      store,
      lease: {
        ...this.lease,
        release: (card, term) => {
          if (this.sealingsFail === 0) return this.lease.release(card, term);
          this.sealingsFail -= 1;
          throw new Error('it cannot be sealed');
        },
      },
      people: () => PEOPLE,
      oidcMembers: (group) => soon('members', () => (group === 'dba' ? OIDC.dba : [])),
      names: () => ['@dba', '@security'],
      admins: () => ['U0GRACE'],
      breakGlass: () => [],
      isRevoked: () => false,
      reviews: new Reviews(store),
      channel: () => 'C0APPROVALS',
      expiresInTransactionMs: () => 20_000,
      endSession: options.endSession,
      redact: (text) => text,
      limits: () => ({ openPerPrincipal: 4, openPerConnection: 100 }),
      clock: process.clock,
      newId,
      log: said,
    });
    const closed = () => (this.stopping ? 'the gateway is stopping' : undefined);
    this.gate = createGate({ policy, holds: this.holds, audit: trail, closed, redact: (text) => text, log: said });
  }

  async start(): Promise<void> {
    await this.lease.start().catch(() => {});
    await this.holds.start();
  }

  /** SIGTERM, once its sessions are told to end: in the order of the product's own end. */
  stop(): Promise<void> {
    this.stopping ??= (async () => {
      await this.holds.stop(3_000);
      await this.lease.stop();
      this.process.deliver(() => {
        this.trail.close();
        this.leftInOrder = true;
        this.process.state = 'dead';
      });
    })();
    return this.stopping;
  }

  /** SIGKILL. `written`: what it had queued for Redis and the disk was in the kernel's hands. */
  kill(written: boolean): void {
    this.process.state = 'dead';
    if (!written) this.connection.cut();
    this.trail.crash(written);
  }
}
