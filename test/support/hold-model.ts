/** What must be true of holds whatever happens: facts are told as they occur, and what breaks a promise is kept. Pure. */
import type { AuditEntry } from '../../gateway/audit/entry.ts';
import type { Demand, Verdict } from '../../gateway/policy/policy.ts';
import type { Card } from '../../queue/cards.ts';
import type { Attestation, Receipt } from '../../queue/votes.ts';
import { may } from './hold-model-people.ts';
import type { VoteOf } from './hold-stage.ts';

/** As old as an attestation may be at an approval: the longest wait for an answer (30 s), and its age when it counts. */
const ATTESTED_MS = 36_000;
/** As old as what a click brought along may be when it is first counted. */
const CLICKED_MS = 61_000;
const LEASE_SELF_MS = 20_000;

type Known = {
  readonly id: string;
  readonly operation: string;
  readonly gateway: string;
  demands: readonly Demand[];
  digest: string;
  revision: number;
  /** Approvals that count, by user. */
  readonly votes: Map<string, VoteOf>;
  readonly counted: Set<string>;
  approved: boolean;
  released: boolean;
  onDisk: boolean;
  /** Its own gateway's last word. */
  end: string | undefined;
  denied: boolean;
  /** What somebody else said of it after its gateway was gone. */
  inherited: string | undefined;
  permits: number;
  /** Who was told that nothing was run: with one of these there must never be a permit. */
  nothingRun: string | undefined;
};

/** What the world knows at this moment, for facts that depend on it. */
export type Now = {
  readonly at: number;
  readonly verdict: Verdict;
  /** When this gateway's lease was last written, monotonic ms. */
  readonly renewedAt: number;
};

export class Reference {
  readonly violations: string[] = [];
  readonly holds = new Map<string, Known>();
  readonly #now: () => Now;
  readonly #seen = new Map<string, { person: Attestation; readAt: number }[]>();
  readonly #asked = new Map<string, readonly Demand[]>();
  readonly #unopened = new Set<string>();
  readonly #clicks = new Map<string, VoteOf>();
  readonly #receipts = new Map<string, Receipt>();

  constructor(now: () => Now) {
    this.#now = now;
  }

  must(holds: boolean, claim: string, about: string): void {
    if (!holds) this.violations.push(`${claim} (${about})`);
  }

  ofOperation(operation: string): Known | undefined {
    return [...this.holds.values()].find((known) => known.operation === operation);
  }

  /** This operation asks for approval, and the rules demand this. */
  asked(operation: string, demands: readonly Demand[]): void {
    this.#asked.set(operation, demands);
  }

  /** A click reached the gateway, with what Slack said of the clicker at `readAt` (monotonic ms). */
  arrived(click: VoteOf, readAt: number): void {
    this.#clicks.set(click.id, click);
    this.attested([click.voter], readAt);
  }

  attested(people: readonly Attestation[], readAt: number): void {
    for (const person of people) {
      const seen = this.#seen.get(person.user) ?? [];
      seen.push({ person, readAt });
      this.#seen.set(person.user, seen);
    }
  }

  /** Ids of collecting cards: they stand for holds, and are none. */
  readonly collecting = new Set<string>();

  /** A gateway appended this to its trail. */
  appended(gateway: string, entry: AuditEntry): void {
    const { kind, hold: id } = entry;
    if (id === undefined || this.collecting.has(id)) return;
    if (kind === 'hold.open') {
      this.#opened(gateway, entry);
      return;
    }
    const known = this.holds.get(id);
    if (!known) {
      const excused = kind === 'hold.vote' || entry.inherited === true || this.#unopened.has(id);
      this.must(excused, 'an end without an opening', id);
    } else if (entry.inherited === true) this.#inherited(known, entry);
    else this.#changed(known, entry);
  }

  #changed(known: Known, entry: AuditEntry): void {
    const { kind } = entry;
    const { id } = known;
    switch (kind) {
      case 'hold.vote':
        this.#voted(known, entry);
        return;
      case 'hold.settled':
        if (entry.state === 'approved') {
          this.#approved(known);
          return;
        }
        this.must(!['denied', 'expired', 'withdrawn'].includes(known.end ?? ''), 'ended twice', id);
        this.must(known.permits === 0 && !known.onDisk, `${String(entry.state)} after it was released`, id);
        this.#end(known, String(entry.state));
        return;
      case 'hold.released':
        this.must(known.approved && !known.released, 'released without an approval, or twice', id);
        this.must(entry.digest === known.digest && entry.revision === known.revision, 'another digest', id);
        known.released = true;
        return;
      case 'outcome':
        this.must(known.released, 'an outcome without a release', id);
        this.#end(known, String(entry.outcome));
        return;
    }
  }

  /** A gateway wanted to append this, and its trail refused: what happened happened all the same. */
  unrecorded({ kind, hold, state, outcome }: AuditEntry): void {
    const known = hold === undefined ? undefined : this.holds.get(hold);
    if (kind === 'hold.open' && hold !== undefined) this.#unopened.add(hold);
    if (!known || known.end !== undefined) return;
    if (kind === 'outcome') known.end = String(outcome);
    if (kind === 'hold.settled' && state !== 'approved') known.end = String(state);
  }

  /** A gateway knows that this is on disk. */
  committed({ kind, hold }: AuditEntry): void {
    const known = hold === undefined ? undefined : this.holds.get(hold);
    if (known && kind === 'hold.released') known.onDisk = true;
  }

  /** The client holds the permit: the statement goes upstream. */
  permitted(id: string, durable: { readonly audit: boolean; readonly store: boolean; readonly alive: boolean }): void {
    const known = this.holds.get(id);
    if (!known) {
      this.must(false, 'a permit of nothing', id);
      return;
    }
    known.permits += 1;
    this.must(known.permits === 1, 'sent twice', id);
    this.must(known.approved && known.released, 'sent without a release', id);
    this.must(durable.audit, 'sent before the release was on disk', id);
    this.must(durable.store, 'sent before the release was in Redis', id);
    this.must(durable.alive, 'sent although its session or client was gone', id);
    this.must(known.end === undefined, `sent after it was ${known.end}`, id);
    this.must(known.inherited === undefined, `sent after it was declared ${known.inherited}`, id);
    this.must(known.nothingRun === undefined, `sent after ${known.nothingRun}`, id);
  }

  /** Somebody was told that nothing was run. */
  nothingRun(id: string, by: string): void {
    const known = this.holds.get(id);
    if (!known) return;
    known.nothingRun ??= by;
    this.must(known.permits === 0, `${by} although it was sent`, id);
  }

  refused(operation: string, error: { readonly message: string; readonly hint: string | undefined }): void {
    const known = this.ofOperation(operation);
    if (!known) return;
    if (/nothing was run/i.test(`${error.message} ${error.hint ?? ''}`))
      this.nothingRun(known.id, 'the client was told nothing was run');
    else this.must(known.released, 'a refusal that does not say that nothing was run', known.id);
    this.must(known.permits === 0, 'refused although it was sent', known.id);
  }

  receipt(click: VoteOf, receipt: Receipt): void {
    const known = this.holds.get(click.hold);
    const before = this.#receipts.get(click.id);
    this.#receipts.set(click.id, receipt);
    if (!known) return;
    const { id } = known;
    this.must(receipt.id === click.id && receipt.hold === click.hold, 'a receipt for another click', id);
    const again = before !== undefined && (before.counted !== receipt.counted || before.text !== receipt.text);
    this.must(!again, `a second receipt that says something else: ${before?.text} / ${receipt.text}`, id);
    this.must(
      receipt.counted === known.counted.has(click.id),
      `a receipt that is not what the trail says: ${receipt.text}`,
      id,
    );
    if (receipt.counted && click.decision === 'deny')
      this.must(known.end === 'denied', 'a denial that did not deny', id);
    const claims = [
      [/approved and released/, () => known.released],
      [/was denied at/, () => known.end === 'denied'],
      [/expired at/, () => known.end === 'expired'],
      [/was withdrawn at/, () => known.end === 'withdrawn'],
      [/approved a moment ago/, () => known.approved],
    ] as const;
    for (const [claim, isTrue] of claims)
      if (claim.test(receipt.text)) this.must(isTrue(), `a receipt that is not true: ${receipt.text}`, id);
    if (/nothing was run/i.test(receipt.text)) this.nothingRun(id, 'a clicker was told nothing was run');
  }

  /** A bot shows this. */
  shown(card: Card): void {
    const known = this.holds.get(card.hold);
    if (!known) return;
    const { state, settled } = card;
    this.must(card.expiresAt > 0, 'a card that says no time', card.hold);
    if (settled?.executed === 'no' && state !== 'approved') this.nothingRun(card.hold, `the card said ${state}`);
    if (state === 'denied' || state === 'expired' || state === 'withdrawn')
      this.must(known.end === state, `a card that says ${state}, a trail that says ${known.end}`, card.hold);
    if (state === 'released' || state === 'done')
      this.must(known.released, `a card that says ${state} of what was not released`, card.hold);
  }

  #opened(gateway: string, { hold: id = '', operation = '', digest }: AuditEntry): void {
    this.must(!this.holds.has(id), 'opened twice', id);
    this.holds.set(id, {
      id,
      operation,
      gateway,
      demands: this.#asked.get(operation) ?? [],
      digest: String(digest),
      revision: 1,
      votes: new Map(),
      counted: new Set(),
      approved: false,
      released: false,
      onDisk: false,
      end: undefined,
      denied: false,
      inherited: undefined,
      permits: 0,
      nothingRun: undefined,
    });
  }

  #voted(known: Known, entry: AuditEntry): void {
    const { id } = known;
    if (typeof entry.digest === 'string') {
      const { verdict } = this.#now();
      this.must(verdict.kind === 'hold' && !known.approved, 'asked anew out of turn', id);
      known.demands = verdict.kind === 'hold' ? verdict.demands : [];
      known.digest = entry.digest;
      known.revision = Number(entry.revision);
      known.votes.clear();
      return;
    }
    if (entry.counted !== true) {
      if (typeof entry.user === 'string' && entry.vote === undefined) {
        if (/^void/.test(String(entry.why))) known.votes.delete(entry.user);
      }
      return;
    }
    const click = this.#clicks.get(String(entry.vote));
    if (!click) {
      this.must(false, 'counted a click that nobody made', id);
      return;
    }
    this.must(!known.counted.has(click.id), 'counted one click twice', id);
    known.counted.add(click.id);
    this.must(click.hold === id, 'counted for another hold', id);
    this.must(click.digest === known.digest, 'counted for another digest', id);
    this.must(click.revision === known.revision, 'counted for another revision', id);
    this.must(known.end === undefined && !known.approved, 'counted after the end', id);
    const who = click.voter.user;
    this.must(
      known.demands.some((demand) => this.#mayNow(who, demand, 'at first')),
      `counted ${who}, who may not decide`,
      id,
    );
    if (click.decision === 'deny') {
      known.denied = true;
      return;
    }
    const before = known.votes.get(who);
    this.must(!before || before.reason !== click.reason, `counted ${who} twice`, id);
    const other = [...known.votes.values()].some(
      ({ voter }) => voter.user !== who && voter.email === click.voter.email,
    );
    this.must(!other, `counted ${who} from a second account`, id);
    known.votes.set(who, click);
  }

  /** Was this person seen, lately enough, as one who may decide? */
  #mayNow(user: string, demand: Demand, when: 'at first' | 'finally'): boolean {
    const since = this.#now().at - (when === 'finally' ? ATTESTED_MS : CLICKED_MS);
    return (this.#seen.get(user) ?? []).some(({ person, readAt }) => readAt >= since && may(person, demand, when));
  }

  #approved(known: Known): void {
    const { id } = known;
    const { at, renewedAt, verdict } = this.#now();
    this.must(!known.approved && known.end === undefined, 'approved twice, or after its end', id);
    known.approved = true;
    this.must(!known.denied, 'approved although somebody denied it', id);
    this.must(at - renewedAt < LEASE_SELF_MS, 'approved by a gateway whose lease was lost', id);
    this.must(verdict.kind !== 'deny', 'approved although the rules deny it', id);
    const asked = [...known.demands, ...(verdict.kind === 'hold' ? verdict.demands : [])];
    for (const demand of asked) {
      const people = new Set(
        [...known.votes.values()]
          .filter(
            ({ reason, voter }) => (!demand.requireReason || reason) && this.#mayNow(voter.user, demand, 'finally'),
          )
          .map(({ voter }) => voter.email),
      );
      this.must(people.size >= demand.quorum, `approved by ${people.size} of ${demand.quorum} for ${demand.rule}`, id);
    }
  }

  #inherited(known: Known, entry: AuditEntry): void {
    const end = entry.kind === 'outcome' ? 'unknown' : String(entry.state);
    // An heir whose disk was too slow says it again, rather than never; it never says something else.
    this.must(known.inherited === undefined || known.inherited === end, 'inherited as two things', known.id);
    known.inherited = end;
    if (known.inherited === 'lost') this.nothingRun(known.id, 'an heir recorded lost');
  }

  #end(known: Known, end: string): void {
    this.must(known.end === undefined, `ended as ${known.end}, then as ${end}`, known.id);
    known.end = end;
  }
}
