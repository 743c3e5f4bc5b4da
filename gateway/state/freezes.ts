/** What is frozen, signed and versioned in Redis like the rules: an older or a missing set is refused. */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { moment } from '../holds/clock.ts';
import type { Operation } from '../operation.ts';
import { principalKey } from '../operation.ts';
import { type VersionedDeps, VersionedState } from './versioned.ts';

const FREEZES_KEY = 'countersign:freezes';
const MOST = 500;
const text = (max: number) => z.string().max(max);

const freezeSchema = z.strictObject({
  of: z.enum(['all', 'connection', 'agent']),
  /** The connection's name; the agent's name, subject or `issuer#subject`; empty for all. */
  name: text(400),
  /** Slack user id and name of who did it, when, and why if they said so. */
  by: text(32),
  byName: text(200),
  at: z.number().int().nonnegative(),
  why: text(300).optional(),
});
export type Freeze = Readonly<z.infer<typeof freezeSchema>>;

export type FreezeSet = {
  readonly v: 1;
  readonly version: number;
  readonly frozen: readonly Freeze[];
  readonly by: string;
  readonly at: number;
};

const schema: z.ZodType<FreezeSet> = z.strictObject({
  v: z.literal(1),
  version: z.number().int().min(1),
  frozen: z.array(freezeSchema).max(MOST),
  by: text(64),
  at: z.number(),
});

export type FreezeStoreDeps = Omit<VersionedDeps<FreezeSet>, 'key' | 'noun' | 'schema' | 'empty'>;

const sameFreeze = (a: Pick<Freeze, 'of' | 'name'>, b: Pick<Freeze, 'of' | 'name'>): boolean =>
  a.of === b.of && a.name === b.name;

/** `the connection orders`, `report-bot`, `everything` */
export const frozenName = ({ of, name }: Pick<Freeze, 'of' | 'name'>): string =>
  of === 'all' ? 'everything' : of === 'connection' ? `the connection ${name}` : name;

type Asked = Pick<Operation, 'protocol' | 'connection' | 'principal' | 'effects' | 'headline'>;

/** It only takes back: refused, an open transaction would keep its locks for as long as its session stays. */
const undoes = ({ headline, effects }: Asked): boolean =>
  headline === 'ROLLBACK' && effects.length > 0 && effects.every(({ action }) => action === 'transaction');

const about = (freeze: Freeze): string => {
  return `by ${freeze.byName} at ${moment(freeze.at)}${freeze.why === undefined ? '' : `: ${freeze.why}`}`;
};

/** `the connection orders, by Alice at 2026-11-23 14:02:11 UTC: looks stolen` */
export const frozenSentence = (freeze: Freeze): string => `${frozenName(freeze)}, ${about(freeze)}`;

export class Freezes {
  readonly #state: VersionedState<FreezeSet>;

  constructor(deps: FreezeStoreDeps) {
    const empty: FreezeSet = { v: 1, version: 0, frozen: [], by: '', at: 0 };
    this.#state = new VersionedState({ ...deps, key: FREEZES_KEY, noun: 'the freezes', schema, empty });
  }

  ready(): boolean {
    return this.#state.ready();
  }

  trouble(): string | undefined {
    return this.#state.trouble();
  }

  list(): readonly Freeze[] {
    return this.#state.current().frozen;
  }

  /** @throws GatewayError CONFIG when what is remembered of them cannot be read */
  start(): Promise<void> {
    return this.#state.start();
  }

  stop(): void {
    this.#state.stop();
  }

  look(): Promise<void> {
    return this.#state.look();
  }

  /** What freezes this operation; asked for every one of them. A change of the gateway itself is never frozen. */
  #of(operation: Asked): Freeze | undefined {
    const { frozen } = this.#state.current();
    const { protocol, connection, principal } = operation;
    if (frozen.length === 0 || protocol === 'gate' || undoes(operation)) return undefined;
    const key = principalKey(principal);
    return frozen.find(({ of, name }) => {
      if (of === 'all') return true;
      if (of === 'connection') return name === connection;
      return name === key || name === principal.name || name === principal.subject;
    });
  }

  /** What whoever asks for something frozen is told; undefined where it is not. */
  refusal(operation: Asked): string | undefined {
    const freeze = this.#of(operation);
    return freeze && `${frozenName(freeze)} is frozen, ${about(freeze)}`;
  }

  /** @throws GatewayError UNAVAILABLE | FORGED | LIMIT */
  async add(freeze: Freeze): Promise<void> {
    await this.#state.write(({ frozen }) => {
      const others = frozen.filter((one) => !sameFreeze(one, freeze));
      if (others.length >= MOST) throw new GatewayError('LIMIT', `more than ${MOST} freezes; freeze all instead`);
      return { frozen: [...others, freeze] };
    }, freeze.by);
  }

  /** @throws GatewayError WITHDRAWN when it is not frozen any more, or was frozen anew; UNAVAILABLE | FORGED */
  async lift(freeze: Freeze, by: string): Promise<void> {
    await this.#state.write(({ frozen }) => {
      if (!frozen.some((one) => sameFreeze(one, freeze) && one.at === freeze.at)) {
        throw new GatewayError('WITHDRAWN', 'it was lifted, or frozen anew, while this waited');
      }
      return { frozen: frozen.filter((one) => !sameFreeze(one, freeze)) };
    }, by);
  }
}
