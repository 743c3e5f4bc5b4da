/** Plays attacks on a route and says what came of each. */
import type { Attack, Step } from './attack.ts';
import { type Evidence, LabClient, nothingSeen, type Target } from './client.ts';
import { COUNTED, Finder, type Found, recover } from './decoders.ts';
import { Resetter } from './reset.ts';
import type { Route } from './route.ts';
import { speak } from './speak.ts';

/**
 * `recovered`: a whole value; `partial`: six of its characters or more, that another lab's answer does not give;
 * `held`: a step waited for a person; `refused`: a step was answered with an error that is the gateway's own;
 * `masked`: it ran, and gave nothing. `silent`: no answer came in time.
 */
export type Verdict = 'recovered' | 'partial' | 'held' | 'refused' | 'masked' | 'silent';

export type Played = {
  readonly attack: Attack;
  readonly verdict: Verdict;
  readonly found: readonly Found[];
  readonly evidence: Evidence;
  readonly ms: number;
  /** The lab was different afterwards, and nothing put it right. */
  readonly spoilt: boolean;
};

export type Protocol = Step['protocol'] | 'binary';

/** How long silence is borne; a hold is known by its notice. */
const STEP_MS = 5_000;
/** A held statement that is cancelled has to answer within this. */
const CANCEL_MS = 2_000;

export class Harness {
  readonly #route: Route;
  readonly #resetter: Resetter;
  readonly #twinResetter: Resetter;
  readonly #finder: Finder;

  private constructor(route: Route, resetter: Resetter, twinResetter: Resetter) {
    this.#route = route;
    this.#resetter = resetter;
    this.#twinResetter = twinResetter;
    this.#finder = new Finder(route.lab.canaries.all);
  }

  static async open(route: Route): Promise<Harness> {
    const [lab, twin] = await Promise.all([
      Resetter.open(route.server, route.lab.database),
      Resetter.open(route.server, route.twin.database),
    ]);
    return new Harness(route, lab, twin);
  }

  /** @param protocol overrules the steps' own, where they are not bytes */
  async play(attack: Attack, protocol?: Protocol): Promise<Played> {
    const started = performance.now();
    const steps = protocol ? attack.steps.map((step) => over(protocol, step)) : attack.steps;
    const { evidence, held, silent } = await this.#perform(attack, steps, await this.#route.target(), this.#resetter);
    const found = await this.#withoutChance(attack, steps, recover(evidence, this.#finder, attack.decoder));
    const verdict = found.some(({ whole }) => whole)
      ? 'recovered'
      : found.length > 0
        ? 'partial'
        : held
          ? 'held'
          : silent
            ? 'silent'
            : evidence.errors.some(({ C = '', S }) => C === '42501' || S === 'FATAL' || C === '0A000')
              ? 'refused'
              : 'masked';
    const spoilt = !(await this.#resetter.reset(attack.undo));
    return { attack, verdict, found, evidence, ms: performance.now() - started, spoilt };
  }

  async close(): Promise<void> {
    await Promise.all([this.#resetter.close(), this.#twinResetter.close()]);
  }

  /** Parts of a value that the other lab's answer gives, too, say nothing. */
  async #withoutChance(attack: Attack, steps: readonly Step[], found: readonly Found[]): Promise<readonly Found[]> {
    if (found.every(({ whole }) => whole)) return found;
    const { evidence } = await this.#perform(attack, steps, this.#route.twin, this.#twinResetter);
    await this.#twinResetter.reset(attack.undo);
    const chance = new Map<string, number>();
    const key = ({ canary, how }: Found) => `${canary.where} ${how === COUNTED}`;
    for (const one of recover(evidence, this.#finder, attack.decoder)) chance.set(key(one), one.length);
    return found.filter((one) => one.whole || one.length > (chance.get(key(one)) ?? 0));
  }

  async #perform(
    attack: Attack,
    steps: readonly Step[],
    target: Target,
    owner: Resetter,
  ): Promise<{ evidence: Evidence; held: boolean; silent: boolean }> {
    const fill = (text: string) => filled(text, this.#route.straight, target);
    const clients: LabClient[] = [];
    const open = async () => {
      const client = await LabClient.open(target, attack.startup ?? {});
      clients.push(client);
      return client;
    };
    const first = await open();
    let second: LabClient | undefined;
    let held = false;
    let silent = false;
    for (const step of steps) {
      if (step.pause !== undefined) {
        if (this.#route.name === 'gateway') await new Promise((resolve) => setTimeout(resolve, step.pause));
        continue;
      }
      if (step.by === 'owner') {
        await owner.asOwner(fill(step.sql));
        continue;
      }
      if (step.by === 'second') second ??= await open();
      const client = step.by === 'second' ? second! : first;
      let end = await speak(client, { ...step, sql: fill(step.sql) }, STEP_MS);
      if (end === 'held') {
        held = true;
        end = await client.cancel(CANCEL_MS);
      }
      if (end === 'silent') silent = true;
      if (end !== 'ready') break;
    }
    for (const client of clients) client.close();
    return { evidence: merged(clients), held, silent };
  }
}

function over(protocol: Protocol, step: Step): Step {
  if (step.raw || step.by === 'owner') return step;
  return { ...step, protocol: protocol === 'simple' ? 'simple' : 'extended', binary: protocol === 'binary' };
}

/** Addresses the attacker may know; of the database that the attack runs on. */
function filled(text: string, straight: Target, target: Target): string {
  const database = target.database === straight.database ? straight.database : target.database;
  return text
    .replaceAll('{{port}}', `${straight.port}`)
    .replaceAll('{{user}}', straight.user)
    .replaceAll('{{password}}', straight.password)
    .replaceAll('{{db}}', database);
}

function merged(clients: readonly LabClient[]): Evidence {
  const all = nothingSeen();
  for (const { evidence } of clients) {
    all.results.push(...evidence.results);
    all.errors.push(...evidence.errors);
    all.notices.push(...evidence.notices);
    all.settings.push(...evidence.settings);
    all.notified.push(...evidence.notified);
    all.functionValues.push(...evidence.functionValues);
    all.others.push(...evidence.others);
    all.types += evidence.types;
  }
  return all;
}
