/** The book of this gateway's holds: the one place where a hold changes, is judged again, shown and recorded. */
import type { Card } from '../../queue/cards.ts';
import type { CardPublisher } from '../../queue/carry.ts';
import type { Audit } from '../audit/entry.ts';
import { type Operation, questionOf } from '../operation.ts';
import type { Demand, Policy } from '../policy/policy.ts';
import type { Lease } from '../state/lease.ts';
import type { Reviews } from '../state/reviews.ts';
import type { Revocable } from '../state/revocations.ts';
import type { SignedStore } from '../state/signed.ts';
import { Attestor } from './attestor.ts';
import type { Clock } from './clock.ts';
import { deadlineOf } from './deadline.ts';
import { digestOf } from './digest.ts';
import { Directory } from './directory.ts';
import { Floods } from './floods.ts';
import { type Follower, Followers } from './follower.ts';
import { withGlass } from './glass.ts';
import { cardOf, type Hold } from './hold.ts';
import { Ledger } from './ledger.ts';
import { type HoldEvent, next } from './lifecycle.ts';
import { accountsOf, type LinkedPerson, requesterSlack } from './linked.ts';
import { Outbox } from './outbox.ts';
import { type Authority, covers, groupNames, tally, unmeetable } from './quorum.ts';
import { Waiting } from './waiting.ts';
import { heldText, refusal, rulesOf } from './words.ts';

const REMIND_MS = 15_000; // keeps NAT open and finds dead peers
const REFRESH_MS = 45_000; // approver groups are at most 60 s old
const ASK_AGAIN_MS = 300_000; // an unanswered question about groups is not repeated sooner: no bot is listening
const ASK_FOR_HOLD_MS = 10_000;
const RECENT = 2_000; // ended holds remembered, to explain late clicks

export type HoldsDeps = {
  readonly gateway: string;
  readonly audit: Audit;
  readonly policy: () => Policy;
  readonly publish: CardPublisher;
  readonly store: SignedStore;
  readonly lease: Lease;
  /** `identity.people` of the configuration. */
  readonly people: () => readonly LinkedPerson[];
  /** Slack ids of linked people whom their issuer put into this group when last seen; rejects or answers [] where unknown. */
  readonly oidcMembers: (group: string) => Promise<readonly string[]>;
  /** Names of all approvers that any rule may ask, and of the admins: read at the start and kept fresh. */
  readonly names: () => readonly string[];
  readonly admins: () => readonly string[];
  /** Who may release a hold alone in an emergency; what is remembered of it until another admin signs. */
  readonly breakGlass: () => readonly string[];
  readonly reviews: Pick<Reviews, 'open' | 'drop'>;
  /** Is this person's access revoked, or the one token they showed? */
  readonly isRevoked: (what: Revocable) => boolean;
  /** Who froze what this touches; undefined where nothing of it is frozen. */
  readonly frozen?: (operation: Operation) => string | undefined;
  /** Where changes of approver groups are announced. */
  readonly channel: () => string;
  readonly expiresInTransactionMs: () => number;
  /** Ends a live session with a native error; false when it is not here any more. */
  readonly endSession: (session: string, reason: string) => boolean;
  /** Where an operation can be seen as it was recorded; undefined where nothing is. */
  readonly evidence?: (operation: Operation) => string | undefined;
  /** The built-in detectors: what leaves the gateway passes them. */
  readonly redact: (text: string) => string;
  /** For tests: how long an emptied collecting card takes more. */
  readonly floodLingerMs?: number;
  readonly limits: () => { readonly openPerPrincipal: number; readonly openPerConnection: number };
  readonly clock: Clock;
  readonly newId: () => string; // UUIDs
  readonly log: (message: string, details?: Record<string, unknown>) => void;
  /** Who goes along with holds without deciding about them. */
  readonly followers?: readonly Follower[];
  /** For metrics: how each hold ended, and after how long. */
  readonly onEnd?: (end: { readonly state: string; readonly ms: number }) => void;
};

/** What late clicks are answered from. */
export type Remembered = Pick<Hold, 'phase' | 'releasedAt' | 'receipts'> & Pick<Operation, 'stopped'>;

export class Book {
  readonly deps: HoldsDeps;
  readonly directory: Directory;
  readonly attestor: Attestor;
  readonly waiting = new Waiting();
  readonly floods: Floods;
  readonly ledger: Ledger;
  readonly followers: Followers;
  readonly #outbox: Outbox;
  readonly #holds = new Map<string, Hold>();
  readonly #recent = new Map<string, Remembered>();
  #cancelRefresh = () => {};

  constructor(deps: HoldsDeps) {
    this.deps = deps;
    this.directory = new Directory({ ...deps, onNews: () => this.judgeApprovers() });
    this.attestor = new Attestor(deps);
    this.#outbox = new Outbox(deps);
    const push = (hold: string, make: () => Card, last: boolean) => this.#outbox.push(hold, make, last);
    this.floods = new Floods({ ...deps, push });
    this.ledger = new Ledger(deps);
    this.followers = new Followers(deps.followers ?? [], deps.log);
  }

  add(hold: Hold): void {
    this.#holds.set(hold.id, hold);
    this.waiting.add(hold);
  }

  find(id: string): Hold | undefined {
    return this.#holds.get(id);
  }

  /** What is left of an ended hold, as long as it is remembered. */
  remembered(id: string): Remembered | undefined {
    return this.#recent.get(id);
  }

  /** Holds that wait for people. */
  open(): Hold[] {
    return [...this.#holds.values()].filter(({ phase }) => phase.kind === 'open' || phase.kind === 'approved');
  }

  /**
   * The one place where a hold changes its phase. False when the event came too late. An end is audited, told to the
   * client and put on the card, where there is one.
   */
  apply(hold: Hold, event: HoldEvent): boolean {
    const phase = next(hold.phase, event);
    if (!phase) return false;
    hold.phase = phase;
    if (phase.kind !== 'open' && phase.kind !== 'approved') this.waiting.leave(hold);
    switch (phase.kind) {
      case 'open':
      case 'approved':
        return true;
      case 'released':
        hold.releasedAt = phase.at;
        this.#stopClocks(hold);
        return true;
      case 'denied':
      case 'expired':
      case 'withdrawn':
        this.#stopClocks(hold);
        this.ledger.neverOpened(hold);
        this.ledger.record(hold, 'hold.settled', {
          state: phase.kind,
          ...('reason' in phase ? { reason: this.deps.redact(phase.reason) } : {}),
          ...('by' in phase ? { by: phase.by } : {}),
        });
        hold.reject(refusal(hold));
        this.#bury(hold);
        return true;
      case 'done':
      case 'unknown':
        this.#bury(hold);
        return true;
    }
  }

  /** Judge once more under the rules of now. `same`: what people are asked still covers it. */
  judgeAgain(hold: Hold): 'same' | 'anew' | 'denied' {
    const { clock, policy } = this.deps;
    const current = policy();
    if (current.version === hold.policyVersion) return 'same';
    const verdict = hold.context.judge?.() ?? current.evaluate(questionOf(hold.operation));
    switch (verdict.kind) {
      case 'allow':
        return 'same'; // whoever was asked may still say no
      case 'deny':
        this.apply(hold, { kind: 'deny', at: clock.now(), by: `rule ${verdict.rule}`, reason: verdict.why });
        return 'denied';
      case 'hold': {
        if (verdict.demands.every((demand) => hold.demands.some((asked) => covers(asked, demand)))) return 'same';
        this.#askAnew(hold, verdict.demands, current.version);
        return 'anew';
      }
    }
  }

  /** Count again, and show it. */
  recount(hold: Hold): ReturnType<typeof tally> {
    const result = tally(
      [...hold.votes.values()]
        .filter(({ breaks }) => !breaks)
        .map(({ voter, reason }) => ({ decision: 'approve' as const, voter, reason })),
      hold.operation.principal,
      hold.demands,
      this.authority(hold),
    );
    hold.counted = result.counted;
    return withGlass(this.deps.breakGlass(), hold, result, () => this.authority(hold));
  }

  authority(hold: Hold): Authority {
    const { principal } = hold.operation;
    const people = this.deps.people();
    const own = requesterSlack(people, hold);
    return {
      team: this.directory.team,
      groupId: (name) => this.directory.groupId(name),
      oidcMembers: (group) => hold.oidc.get(group) ?? [],
      requesterSlack: own,
      accountsOf: (user) => accountsOf(people, user),
      sponsorEmail: principal.sponsor === undefined ? undefined : hold.partialEmails?.get(principal.sponsor),
      requesterEmails: own.flatMap((user) => hold.partialEmails?.get(user) ?? []),
    };
  }

  /** Read the `oidc:` groups that the demands name. Does not wait where none is named. */
  async loadOidc(hold: Hold): Promise<void> {
    const groups = hold.demands.flatMap(({ approvers }) => approvers.filter((name) => name.startsWith('oidc:')));
    if (groups.length === 0) return;
    const members = new Map<string, readonly string[]>();
    for (const name of new Set(groups)) {
      const group = name.slice('oidc:'.length);
      members.set(group, await this.deps.oidcMembers(group).catch(() => []));
    }
    hold.oidc = members;
  }

  card(hold: Hold): Card {
    const evidence = hold.phase.kind === 'open' ? undefined : this.deps.evidence?.(hold.operation);
    const card = cardOf(hold, this.deps.gateway, this.deps.redact);
    return evidence === undefined ? card : { ...card, evidence };
  }

  /** The card as it will look once it is released, at this time; for an approved hold. */
  releasedCard(hold: Hold, at: number): Card {
    hold.sequence += 1;
    const sequence = hold.sequence - 1; // the card raises it itself, on the copy
    return this.card({ ...hold, sequence, phase: { kind: 'released', at }, releasedAt: at });
  }

  /** Send the card as it is when its turn comes. */
  show(hold: Hold, { last = false } = {}): void {
    hold.reached = 'queue';
    this.#outbox.push(hold.id, () => this.card(hold), last);
  }

  tell(hold: Hold, kind: 'held' | 'waiting' | 'changed', text: string): void {
    try {
      hold.context.tell({ kind, text });
    } catch (error) {
      this.deps.log('a waiting client could not be told', { hold: hold.id, error: String(error) });
    }
  }

  /** The rules became stricter: new revision, no votes. */
  #askAnew(hold: Hold, demands: readonly Demand[], policyVersion: string): void {
    const { id, salt, operation } = hold;
    hold.demands = demands;
    hold.policyVersion = policyVersion;
    hold.revision += 1;
    hold.votes.clear();
    hold.counted = demands.map(() => 0);
    hold.digest = digestOf({ hold: id, salt, operation, demands, policyVersion });
    const recorded = this.ledger.record(hold, 'hold.vote', {
      counted: false,
      why: 'the rules changed: all votes are void',
      revision: hold.revision,
      rules: rulesOf(hold),
      digest: hold.digest,
    });
    if (!recorded) {
      const reason = 'the rules changed and the audit trail cannot be written';
      this.apply(hold, { kind: 'withdraw', at: this.deps.clock.now(), code: 'AUDIT', reason });
      return;
    }
    this.armDeadline(hold);
    if (hold.phase.kind !== 'open') return;
    this.followers.tell('changed', hold);
    this.show(hold);
    this.tell(hold, 'changed', heldText(hold, 'the rules changed; asking anew'));
    this.keepFresh(hold);
    this.judgeApprovers();
  }

  /** (Re)compute when it expires and wake up then. */
  armDeadline(hold: Hold): void {
    const { clock } = this.deps;
    hold.cancelDeadline();
    const { deadline, remaining } = deadlineOf(hold, clock, this.deps.expiresInTransactionMs());
    hold.deadline = deadline;
    if (remaining <= 0) {
      this.apply(hold, { kind: 'expire', at: clock.now(), clock: deadline.by });
      return;
    }
    // The token may have been extended meanwhile: look again when the time has come.
    hold.cancelDeadline = clock.after(remaining, () => this.#rearm(hold));
  }

  #rearm(hold: Hold): void {
    if (hold.phase.kind !== 'open') return;
    const before = hold.deadline.at;
    this.armDeadline(hold);
    if (hold.phase.kind === 'open' && Math.abs(hold.deadline.at - before) > 1_000) this.show(hold);
  }

  /** Tell the waiting client every 15 s, and look at the deadline anew. */
  remind(hold: Hold): void {
    hold.cancelReminder = this.deps.clock.after(REMIND_MS, () => {
      if (hold.phase.kind !== 'open') return;
      this.#rearm(hold);
      if (hold.phase.kind !== 'open') return;
      this.tell(hold, 'waiting', heldText(hold, 'still waiting for approval'));
      this.remind(hold);
    });
  }

  #stopClocks(hold: Hold): void {
    hold.cancelDeadline();
    hold.cancelReminder();
    hold.stopListening();
  }

  #bury(hold: Hold): void {
    this.#holds.delete(hold.id);
    const { phase, releasedAt, receipts, operation } = hold;
    this.#recent.set(hold.id, { phase, releasedAt, receipts, stopped: operation.stopped });
    const oldest = this.#recent.keys().next().value;
    if (this.#recent.size > RECENT && oldest !== undefined) this.#recent.delete(oldest);
    if (hold.reached === 'queue') this.show(hold, { last: true });
    else if (hold.reached === 'index') this.#outbox.drop(hold.id);
    this.floods.ended(hold);
    this.followers.tell('ended', hold);
    this.deps.onEnd?.({ state: hold.phase.kind, ms: this.deps.clock.monotonic() - hold.openedMonotonic });
  }

  /** Why nobody can approve this any more; undefined where that is not certain. */
  unmeetable(hold: Hold): string | undefined {
    // Of an `oidc:` group only those are known who showed a token lately: others may still come.
    const members = (name: string) => (name.startsWith('oidc:') ? undefined : this.directory.members(name));
    return unmeetable(hold.operation.principal, hold.demands, this.authority(hold), members);
  }

  /** End the holds that nobody can approve any more. */
  judgeApprovers(): void {
    const at = this.deps.clock.now();
    for (const hold of this.open()) {
      const why = hold.phase.kind === 'open' ? this.unmeetable(hold) : undefined;
      if (why !== undefined) {
        this.apply(hold, { kind: 'withdraw', at, code: 'NO_APPROVER', reason: `nobody can approve this: ${why}` });
      }
    }
  }

  #askDirectory(names: readonly string[]): void {
    this.directory
      .ask(names)
      .catch((error) => this.deps.log('approver groups could not be asked for', { error: String(error) }));
  }

  /** Ask about the groups this hold depends on, unless they are known or asked about already. */
  keepFresh(hold: Hold): void {
    const names = groupNames(hold.demands);
    const fresh = this.directory.team !== undefined && names.every((name) => this.directory.members(name));
    if (!fresh && !this.directory.isAsking(names, ASK_FOR_HOLD_MS)) this.#askDirectory(names);
  }

  /** Read approver groups now and every 45 s, as long as somebody answers. */
  refresh(): void {
    const names = this.deps.names();
    if (!this.directory.isAsking(names, ASK_AGAIN_MS)) this.#askDirectory(names);
    this.#cancelRefresh = this.deps.clock.after(REFRESH_MS, () => this.refresh());
  }

  /** No more questions; resolves when every card is in Redis, or after `ms`. */
  async close(ms: number): Promise<void> {
    this.#cancelRefresh();
    this.attestor.close();
    this.floods.close();
    await this.#outbox.close(ms);
  }
}
