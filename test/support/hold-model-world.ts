/** Everything around the holds of the model: clients, clicks, processes that die, and a reference that watches. */
import type { AuditEntry } from '../../gateway/audit/entry.ts';
import { GatewayError } from '../../gateway/errors.ts';
import type { Permit } from '../../gateway/gate.ts';
import { watchDeadGateways } from '../../gateway/holds/heir.ts';
import type { Outcome } from '../../gateway/operation.ts';
import type { Policy } from '../../gateway/policy/policy.ts';
import type { Card } from '../../queue/cards.ts';
import { LeaseWatch } from '../../queue/leases.ts';
import type { VoteMessage } from '../../queue/votes.ts';
import { Reference } from './hold-model.ts';
import { ModelBot } from './hold-model-bot.ts';
import { KEYS, ModelGateway } from './hold-model-gateway.ts';
import { policyOf, REQUESTER, type Rules, Workspace } from './hold-model-people.ts';
import { Connection, type Fault, type Schedule, Store } from './hold-model-redis.ts';
import { Process, Time, turn } from './hold-model-time.ts';
import { Trail } from './hold-model-trail.ts';
import { operation, type VoteOf } from './hold-stage.ts';

export type Client = {
  readonly operation: string;
  readonly session: Session;
  readonly gateway: ModelGateway;
  readonly controller: AbortController;
  permit: Permit | undefined;
  settled: boolean;
  ended: boolean;
};
export type Session = { readonly id: string; alive: boolean };
type Click = { readonly message: VoteOf; readonly gateway: ModelGateway; readonly readAt: number };

export class World {
  readonly time = new Time();
  readonly redis = new Store(this.time);
  readonly workspace = new Workspace();
  readonly reference: Reference;
  readonly bot: ModelBot;
  readonly clients: Client[] = [];
  readonly clicks: Click[] = [];
  readonly sessions: Session[] = [];
  readonly gateways: ModelGateway[] = [];
  readonly faults: Fault[] = [];
  readonly heir: { readonly trail: Trail; look: () => void };
  /** Redis came back empty: what died before it was written again has left no trace. */
  forgetful = false;
  /** A trail failed: what follows could not be recorded. */
  unrecorded = false;
  readonly #schedule: Schedule;
  readonly #inStore = new Set<string>();
  #renewedAt = Number.NEGATIVE_INFINITY;
  #policy: Policy = policyOf('one', 0);
  #version = 0;
  #ids = 0;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
    this.reference = new Reference(() => ({
      at: this.time.now,
      renewedAt: this.#renewedAt,
      verdict: this.#policy.evaluate(QUESTION),
    }));
    this.bot = new ModelBot({
      time: this.time,
      redis: this.redis,
      schedule,
      workspace: this.workspace,
      tell: (gateway, message, readAt) => this.#tell(gateway, message, readAt),
      onShown: (card) => this.reference.shown(card),
      onLost: (hold, state) => state === 'lost' && this.reference.nothingRun(hold, 'a bot declared it lost'),
    });
    this.heir = this.#newHeir();
  }

  /** The gateway that takes new sessions. */
  get gateway(): ModelGateway {
    const newest = this.gateways.at(-1);
    if (!newest) throw new Error('no gateway was started');
    return newest;
  }

  async startGateway(): Promise<void> {
    const gateway = new ModelGateway({
      id: `gw-${this.gateways.length + 1}`,
      time: this.time,
      redis: this.redis,
      schedule: this.#schedule,
      policy: () => this.#policy,
      newId: () => `00000000-0000-4000-8000-${String(++this.#ids).padStart(12, '0')}`,
      fault: () => this.faults.shift(),
      onAppend: (id, entry) => this.reference.appended(id, entry),
      onRefused: (entry) => this.reference.unrecorded(entry),
      onCommitted: (entry) => this.reference.committed(entry),
      onClosed: (hold) => {
        if (this.reference.collecting.has(hold)) return; // it stood for holds that have ends of their own
        const onDisk = gateway.trail.disk.some((entry) => entry.hold === hold && isEnd(entry));
        this.reference.must(onDisk || this.unrecorded, 'out of the index before its end was on disk', hold);
      },
      onScript: (card, written) => this.#wrote(card, written),
      onRenewal: () => {
        if (gateway === this.gateway) this.#renewedAt = this.time.now;
      },
      onJob: (job) => {
        if (job.kind === 'card' && job.card.collects) this.reference.collecting.add(job.card.hold);
        void this.bot.handle(job);
      },
      endSession: (id) => this.endSession(this.sessions.find((session) => session.id === id)),
    });
    this.gateways.push(gateway);
    this.#renewedAt = Number.NEGATIVE_INFINITY;
    void gateway.start().catch(() => {});
    await turn();
  }

  /** A client asks for something. */
  open(which: number, inTransaction: boolean, tokenMs: number): void {
    const { gateway } = this;
    if (gateway.process.state !== 'live') return;
    const session = this.#session(which, gateway);
    const controller = new AbortController();
    const op = operation({ principal: REQUESTER, session: session.id, inTransaction });
    const client: Client = {
      operation: op.id,
      session,
      gateway,
      controller,
      permit: undefined,
      settled: false,
      ended: false,
    };
    this.clients.push(client);
    const endsAt = gateway.process.clock.now() + tokenMs;
    const verdict = this.#policy.evaluate(QUESTION);
    if (verdict.kind === 'hold') this.reference.asked(op.id, verdict.demands);
    const refused = (error: unknown) => {
      client.ended = true;
      if (gateway.process.state === 'dead' && !gateway.stopping) return;
      if (error instanceof GatewayError) this.reference.refused(op.id, error);
      else this.reference.must(false, `an error of no kind: ${String(error)}`, op.id);
    };
    try {
      const answer = gateway.gate.admit(op, {
        signal: controller.signal,
        tell: () => {},
        credentialEndsAt: () => endsAt,
        alive: () => session.alive,
      });
      Promise.resolve(answer).then((permit) => this.#permitted(client, permit), refused);
    } catch (error) {
      refused(error);
    }
  }

  /** Somebody clicks on what hangs in the channel (or hung there). */
  click(user: string, card: Card, change: Partial<VoteOf>): void {
    const gateway = this.gateways.find(({ id }) => id === card.gateway);
    if (!gateway) return;
    const now = this.bot.process.clock.now();
    const message: VoteOf = {
      kind: 'vote',
      v: 1,
      id: `click-${this.clicks.length + 1}`,
      hold: card.hold,
      digest: card.digest,
      revision: card.revision,
      decision: 'approve',
      voter: this.workspace.attest(user, now),
      clickedAt: now,
      channel: card.channel,
      ...change,
    };
    const click = { message, gateway, readAt: this.time.now };
    this.clicks.push(click);
    this.deliver(click);
  }

  deliver({ message, gateway, readAt }: Click): void {
    void this.#schedule(`${message.decision} arrives`).then(() => {
      if (gateway.stopping) return;
      gateway.process.deliver(() => {
        this.reference.arrived(message, readAt);
        void gateway.holds.receive(message).then((receipt) => {
          if (receipt) this.reference.receipt(message, receipt);
        });
      });
    });
  }

  /** Somebody presses `end session`. */
  kill(user: string, card: Card): void {
    const now = this.bot.process.clock.now();
    const id = `kill-${++this.#ids}`;
    const voter = this.workspace.attest(user, now);
    const { hold, gateway, channel } = card;
    this.#tell(gateway, { kind: 'kill', v: 1, id, hold, voter, clickedAt: now, channel }, this.time.now);
  }

  rules(rules: Rules): void {
    this.#policy = policyOf(rules, ++this.#version);
    for (const { holds, process } of this.gateways) if (process.state === 'live') holds.rulesChanged();
  }

  /** The client cancels, or (`leave`) is gone with its session. */
  abort(client: Client, why: string): void {
    client.gateway.process.deliver(() => client.controller.abort(why));
  }

  endSession(session: Session | undefined): boolean {
    if (!session?.alive) return false;
    session.alive = false;
    for (const client of this.clients) {
      if (client.session !== session) continue;
      this.abort(client, 'the session was ended');
      this.settle(client, { kind: 'unknown', reason: 'the session ended', ms: 1 });
    }
    return true;
  }

  /** The target is gone; the client learns of it a moment later. */
  loseUpstream(session: Session): void {
    session.alive = false;
    void this.#schedule('the session notices').then(() => {
      session.alive = true;
      this.endSession(session);
    });
  }

  settle(client: Client, outcome: Outcome): void {
    const { permit, gateway } = client;
    if (!permit || client.settled || gateway.process.state !== 'live') return;
    client.settled = true;
    permit.settle(outcome);
    permit.settle({ kind: 'unknown', reason: 'twice', ms: 0 });
  }

  /** SIGTERM: no more votes, sessions end, holds are withdrawn, the lease goes back, the trail is closed. */
  drain(gateway: ModelGateway, { sessionsStay = false } = {}): void {
    if (gateway.process.state !== 'live' || gateway.stopping) return;
    const stopping = () => {
      for (const client of this.clients) if (client.gateway === gateway) this.endSession(client.session);
    };
    if (!sessionsStay) stopping();
    void gateway.stop();
  }

  check(): void {
    const [first] = this.reference.violations;
    if (first !== undefined) throw new Error(first);
  }

  #permitted(client: Client, permit: Permit): void {
    client.permit = permit;
    client.ended = true;
    if (permit.hold === undefined) return;
    const { trail } = client.gateway;
    this.reference.permitted(permit.hold, {
      audit: trail.disk.some(({ kind, hold }) => kind === 'hold.released' && hold === permit.hold),
      store: this.#inStore.has(permit.hold),
      alive: client.session.alive && !client.controller.signal.aborted,
    });
  }

  #wrote(sealed: string, written: boolean): void {
    const card = JSON.parse(JSON.parse(sealed).body) as Card;
    if (written && card.state === 'released') this.#inStore.add(card.hold);
  }

  #tell(id: string, message: VoteMessage, readAt: number): void {
    const gateway = this.gateways.find((one) => one.id === id);
    if (!gateway) return;
    void this.#schedule(`${message.kind} arrives`).then(() => {
      if (gateway.stopping) return;
      gateway.process.deliver(() => {
        if (message.kind === 'attestation') this.reference.attested(message.people, readAt);
        if (message.kind === 'kill') this.reference.attested([message.voter], readAt);
        void gateway.holds.receive(message);
      });
    });
  }

  #session(which: number, gateway: ModelGateway): Session {
    const live = this.sessions.filter(
      (session) =>
        session.alive && this.clients.some((client) => client.session === session && client.gateway === gateway),
    );
    const old = live[which];
    if (old) return old;
    const session = { id: `session-${this.sessions.length + 1}`, alive: true };
    this.sessions.push(session);
    return session;
  }

  #newHeir(): World['heir'] {
    const process = new Process(this.time);
    const schedule = this.#schedule;
    const onAppend = (entry: AuditEntry) => this.reference.appended('heir', entry);
    const trail = new Trail({ owner: process, schedule, onAppend });
    const connection = new Connection(this.redis, {
      time: this.time,
      owner: process,
      schedule,
      fault: () => undefined,
    });
    const heir = { trail, look: () => {} };
    watchDeadGateways({
      gateway: 'heir',
      leases: new LeaseWatch(connection.redis, () => KEYS.trusted, process.clock.monotonic),
      audit: trail,
      inherit: async () => {},
      onTrouble: () => {},
      clock: {
        ...process.clock,
        after: (_, run) => {
          heir.look = () => {
            heir.look = () => {};
            run();
          };
          return () => {};
        },
      },
    });
    return heir;
  }
}

/** Does this entry say how a hold ended? */
export const isEnd = ({ kind, state }: AuditEntry): boolean =>
  kind === 'outcome' || (kind === 'hold.settled' && state !== 'approved');

const QUESTION = { connection: 'orders', principal: REQUESTER, effects: [], inTransaction: false };
