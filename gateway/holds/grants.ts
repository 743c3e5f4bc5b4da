/** Grants: an approval of one shape that lets its like pass for a while. Made at release; each use is judged anew. */
import { createHash, randomBytes } from 'node:crypto';
import type { CardJob } from '../../queue/cards.ts';
import type { CardPublisher } from '../../queue/carry.ts';
import { amount } from '../amount.ts';
import type { AdmitContext, Permit } from '../gate.ts';
import { type Operation, principalKey } from '../operation.ts';
import type { Demand, Verdict } from '../policy/policy.ts';
import type { Grant, GrantStore } from '../state/grants.ts';
import type { Found } from '../state/passes.ts';
import { type Clock, moment, utc } from './clock.ts';
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';
import { covers } from './quorum.ts';
import { reachedBy } from './reached.ts';
import { letThrough, type Standing, type StandingDeps } from './standing.ts';
import { oneLine } from './words.ts';

/** What is offered beside Approve, minutes. */
const GRANT_MINUTES = [15, 60];
const USES = 20;
const TIMES_APPROVED = 2; // what a use may be estimated at, as a multiple of what its approvers were told

export type GrantsDeps = StandingDeps & {
  readonly store: GrantStore;
  readonly publish: CardPublisher;
  readonly clock: Pick<Clock, 'now'>;
  /** Send the hold's card as it is now. */
  readonly show: (hold: Hold) => void;
};

type Shaped = { readonly key: string; readonly rows: number };
type Claimed = { readonly key: string; readonly found: Found<Grant>; readonly count: number; readonly rows: number };

export class Grants implements Standing {
  readonly #deps: GrantsDeps;
  /** What each hold, approved with its like, would be a grant of. */
  readonly #shaped = new WeakMap<Hold, Shaped>();
  /** Goes along with holds: says what can be granted, and grants it once it is released. */
  readonly follower: Follower = {
    opened: (hold) => {
      this.#offer(hold).catch((error) => this.#deps.log('no grant could be offered', about(hold, error)));
    },
    released: (hold) => {
      const minutes = minutesOf(hold);
      const shaped = this.#shaped.get(hold);
      if (minutes === undefined || !shaped || !mayBeGranted(hold.operation, hold.demands)) return;
      this.#make(hold, shaped, minutes).catch((error) => {
        this.#deps.log('a grant could not be made', about(hold, error));
        this.#say(
          hold.id,
          channelOf(hold),
          `grant-none-${hold.id}`,
          'Approved this once alone: the grant could not be kept.',
        );
      });
    },
  };

  constructor(deps: GrantsDeps) {
    this.#deps = deps;
  }

  async use(operation: Operation, verdict: Verdict & { kind: 'hold' }, context: AdmitContext) {
    let claimed: Claimed | undefined;
    try {
      claimed = await this.#claim(operation, verdict, context);
    } catch (error) {
      this.#deps.log('no grant could be used', { operation: operation.id, error: String(error) });
    }
    return claimed && this.#pass(operation, context, claimed);
  }

  async #claim(
    operation: Operation,
    { demands }: Verdict & { kind: 'hold' },
    { signal, alive, reach }: AdmitContext,
  ): Promise<Claimed | undefined> {
    const { store, policy, frozen } = this.#deps;
    if (!mayBeGranted(operation, demands)) return undefined;
    const { version } = policy();
    const shape = await operation.shape?.();
    const key = shape === undefined ? undefined : keyOf(operation, shape);
    const found = key === undefined ? undefined : await store.find(key);
    if (key === undefined || !found) return undefined;
    const { record: grant } = found;
    if (!coveredBy(grant, demands)) {
      await this.end(key, found, 'the rules changed');
      return undefined;
    }
    const rows = (await reach?.(operation))?.rows;
    if (rows === undefined || rows > TIMES_APPROVED * Math.max(1, grant.rows)) return undefined;
    const changed = policy().version !== version || frozen(operation) !== undefined;
    if (changed || signal.aborted || !alive()) return undefined; // judged again by whoever asks people
    const count = await store.claim(key, found, grant.uses);
    return count === undefined ? undefined : { key, found, count, rows };
  }

  async #pass(operation: Operation, context: AdmitContext, { key, found, count, rows }: Claimed): Promise<Permit> {
    const { record: grant } = found;
    const permit = await letThrough(
      this.#deps,
      operation,
      context,
      {
        kind: 'grant.used',
        hold: grant.hold,
        grant: grant.id,
        use: count,
        of: grant.uses,
        rows,
        by: grant.by.map(({ user }) => user),
      },
      (demands) => coveredBy(grant, demands),
    );
    const { redact } = this.#deps;
    const parameters = operation.shownParameters.length === 0 ? '' : ` with ${operation.shownParameters.join(', ')}`;
    const what = oneLine(`${operation.shown}${parameters}`).slice(0, 600);
    const isLast = count === grant.uses;
    const left = isLast ? 'the last one' : `until ${utc(grant.expiresAt)}`;
    const text = `Passed by grant ${grant.id}, use ${count} of ${grant.uses}, ${left}. ${operation.headline}, ${aboutRows(rows)}: ${what}`;
    this.#say(grant.hold, grant.channel, `grant-${grant.id}-${count}`, redact(text), isLast ? undefined : grant);
    if (isLast)
      this.end(key, found, `all its ${grant.uses} uses are spent`).catch((error) => {
        this.#deps.log('a grant that is used up stays listed until its time is up', {
          grant: grant.id,
          error: String(error),
        });
      });
    return permit;
  }

  /** Ended before its time: on record and said in its thread, by the one caller whose doing it is. */
  async end(key: string, found: Found<Grant>, why: string): Promise<boolean> {
    if (!(await this.#deps.store.drop(key, found))) return false;
    this.#ended(found.record, why);
    return true;
  }

  /** On record, in its thread, and in the place of every button that would end it. */
  #ended({ id, hold, channel, principal, connection }: Grant, why: string): void {
    const { audit, publish, clock, log } = this.#deps;
    audit.append({ kind: 'grant.ended', grant: id, hold, principal, connection, why });
    const said = `Grant ${id} has ended: ${oneLine(why)}`;
    this.#say(hold, channel, `grant-${id}-ended`, `${said}.`);
    const at = clock.now();
    const over = { kind: 'over', v: 2, id: `grant-${id}-over`, line: revokeLine(id), at } as const;
    publish
      .send({ ...over, text: `${said.slice(0, 250)}, ${moment(at)}.` }, over.id)
      .catch((error) => log('a grant that has ended stays offered for revocation', { hold, error: String(error) }));
  }

  /** Offered only where it could be used: its shape is sure, and the target says how many rows it would touch. */
  async #offer(hold: Hold): Promise<void> {
    const { operation, demands } = hold;
    if (!mayBeGranted(operation, demands) || hold.extra?.collectedBy !== undefined) return;
    const shape = await operation.shape?.();
    const open = () => hold.phase.kind === 'open';
    const rows = shape === undefined ? undefined : (await reachedBy(hold))?.rows;
    if (shape === undefined || rows === undefined || !open()) return;
    this.#shaped.set(hold, { key: keyOf(operation, shape), rows });
    hold.extra = { ...hold.extra, grants: [...GRANT_MINUTES] };
    this.#deps.show(hold);
  }

  async #make(hold: Hold, { key, rows }: Shaped, minutes: number): Promise<void> {
    const { store, audit, clock, show, redact } = this.#deps;
    const { operation } = hold;
    const { principal } = operation;
    const at = clock.now();
    const grant: Grant = {
      v: 1,
      id: randomBytes(5).toString('hex'),
      principal: principalKey(principal),
      name: principal.name.slice(0, 200),
      ...(principal.sponsor === undefined ? {} : { sponsor: principal.sponsor }),
      connection: operation.connection,
      headline: redact(operation.headline).slice(0, 500),
      rows,
      demands: hold.demands.map(({ rule, approvers, quorum, requireReason, expiresMs }) => {
        return { rule, approvers: [...approvers], quorum, requireReason, expiresMs };
      }),
      hold: hold.id,
      channel: channelOf(hold),
      by: [...hold.votes.values()].map(({ user, voter }) => ({ user, name: voter.name })),
      minutes,
      uses: USES,
      at,
      expiresAt: at + minutes * 60_000,
    };
    const { id, uses, by, connection } = grant;
    // On record first: what nobody could show later lets nothing through.
    await audit.commit({
      kind: 'grant.made',
      grant: id,
      hold: hold.id,
      operation: operation.id,
      principal: grant.principal,
      connection,
      by: by.map(({ user }) => user),
      minutes,
      uses,
      rows,
    });
    const replaced = await store.put(key, grant);
    if (replaced) this.#replaced(replaced, id);
    const terms = `${uses} uses until ${utc(grant.expiresAt)}`;
    hold.extra = {
      ...hold.extra,
      granted: `its shape for ${minutes} min: grant ${id}, ${terms}`,
      offers: [...(hold.extra?.offers ?? []), revokeOffer(grant)].slice(-4),
    };
    show(hold);
    const text = `Grant ${id}: ${principal.name} may run the like on ${connection} without asking, ${terms}. The same statement but for the key it names and the values it inserts, up to ${aboutRows(TIMES_APPROVED * Math.max(1, rows))} each.`;
    this.#say(hold.id, grant.channel, `grant-${id}-made`, redact(text), grant);
  }

  /** The newer one counts, whatever becomes of the word about the older. */
  #replaced(older: Grant, by: string): void {
    try {
      this.#ended(older, `replaced by grant ${by}`);
    } catch (error) {
      this.#deps.log('a grant that was replaced is not on record as ended', { grant: older.id, error: String(error) });
    }
  }

  #say(hold: string, channel: string, id: string, text: string, grant?: Grant): void {
    const { publish, clock, log } = this.#deps;
    const notice: CardJob = {
      kind: 'notice',
      v: 2,
      id,
      channel,
      text: text.slice(0, 3_000),
      at: clock.now(),
      hold,
      ...(grant ? { offers: [revokeOffer(grant)] } : {}),
    };
    publish.send(notice, id).catch((error) => log('a grant could not be reported', { hold, error: String(error) }));
  }
}

/** Never what changes privileges or is not known, nor what shows or may show masked values, nor what nobody reviews. */
function mayBeGranted(operation: Operation, demands: readonly Demand[]): boolean {
  const { protocol, effects, stopped, caps, reveal, guard, shape } = operation;
  if (protocol !== 'postgres' || !shape || stopped || caps || reveal || (guard?.length ?? 0) > 0) return false;
  // A call of nothing by name: the schema was changed in its session, and its names may stand for something else.
  const sure = effects.every(({ action, object }) => !NEVER.has(action) && !(action === 'call' && object === ''));
  return sure && demands.every(({ rule, confirm }) => !rule.startsWith('masking:') && confirm === undefined);
}

const NEVER: ReadonlySet<string> = new Set(['dcl', 'unknown', 'copy-in']);

const coveredBy = ({ demands: approved }: Grant, demands: readonly Demand[]): boolean =>
  demands.every((demand) => approved.some((asked) => covers(asked, demand)));

/** Everything a use must have in common with what was approved. */
function keyOf(operation: Operation, shape: string): string {
  const { principal, connection, environment, frame, inTransaction, effects } = operation;
  const does = effects.map(({ action, object, where }) => [action, object, where ?? '']);
  const all = [principalKey(principal), connection, environment, frame, inTransaction, does, shape];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}

/** The least of what its votes say; undefined where one of them is for this alone. */
function minutesOf({ votes }: Hold): number | undefined {
  const minutes = [...votes.values()].map(({ grantMinutes, breaks }) => (breaks ? undefined : grantMinutes));
  const least = Math.min(...minutes.map((one) => one ?? 0));
  return minutes.length > 0 && least > 0 ? least : undefined;
}

const revokeLine = (id: string): string => `revoke ${id}`;
export const revokeOffer = ({ id, name, expiresAt }: Grant) => ({
  label: `Revoke grant ${id}`,
  line: revokeLine(id),
  confirm: `From now on ${oneLine(name).slice(0, 60)} is asked about again.`,
  ends: { at: expiresAt, text: `Grant ${id} has ended: its time was up, ${moment(expiresAt)}.` },
});

const channelOf = ({ demands }: Hold): string => demands[0]?.channel ?? '';
const aboutRows = (rows: number): string => `about ${amount('rows', Math.round(rows))}`;
const about = ({ id }: Hold, error: unknown) => ({ hold: id, error: String(error) });
