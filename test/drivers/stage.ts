/** One whole product for every client, with short waits where nobody is to decide; plays one scenario at a time. */
import { withClient } from '../support/seed.ts';
import { eventually, hasButton, shownBy, Workspace } from '../support/workspace.ts';
import { startWorld, type World } from '../support/world.ts';
import type { Expected, Scenario } from './scenarios.ts';
import { type Program, Story } from './story.ts';

/** Longer than any scenario takes on a loaded machine: what is left after it hangs. */
const PATIENCE_MS = 60_000;

/** A click is answered within this of its effect: a client may have ended meanwhile. */
const CLICK_MS = 8_000;

export type Played = { readonly story: Story; readonly failure?: string };

export class Stage {
  readonly #world: World;
  readonly #slack: Workspace;

  private constructor(world: World) {
    this.#world = world;
    this.#slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  }

  static async start(): Promise<Stage> {
    return new Stage(
      await startWorld({
        ownGroups: true,
        config: (config) => ({
          ...config,
          rules: [
            ...config.rules,
            {
              id: 'soon',
              match: { connection: 'orders', object: ['*_expire'], action: ['delete'], where: 'absent' },
              verdict: 'hold',
              why: 'Nobody is there to decide',
              expires: '2s',
            },
          ],
        }),
      }),
    );
  }

  stop(): Promise<void> {
    return this.#world.stop();
  }

  /** Resolves whatever happened; `failure` says what did not hold. */
  async play(name: string, program: Program, client: Expected, scenario: Scenario): Promise<Played> {
    const table = `d_${name}_${scenario.name}`.replace(/\W/g, '_');
    const target = <T>(use: Parameters<typeof withClient<T>>[1]) => withClient(this.#world.upstreamUrl, use);
    await target((to) =>
      to.query(
        `DROP TABLE IF EXISTS ${table}; CREATE TABLE ${table} (id int, v int); INSERT INTO ${table} VALUES (1, 0), (2, 0), (3, 0)`,
      ),
    );
    const story = new Story(program, [scenario.name, table], await this.#world.downstream());
    const scene = {
      story,
      client,
      table,
      slack: this.#slack,
      rows: () => target((to) => to.query(`SELECT id, v FROM ${table} ORDER BY id`)).then(({ rows }) => rows),
    };
    try {
      await Promise.race([this.#whole(scene, scenario), this.#hung(story)]);
      return { story };
    } catch (error) {
      const said = [...story.steps].map(([step, seen]) => `${step}: ${JSON.stringify(seen)}`).join('; ');
      const why = `${(error as Error).message}\n  it saw: ${said || 'nothing'}\n  ${story.stray.trim()}`;
      return { story, failure: why };
    } finally {
      story.kill();
      await story.ended.catch(() => {});
      await this.#cleared();
    }
  }

  async #whole(scene: Parameters<Scenario['check']>[0], scenario: Scenario): Promise<void> {
    const driven = scenario.drive(scene);
    const early = scene.story.ended.then(async (code) => {
      await new Promise((resolve) => setTimeout(resolve, CLICK_MS).unref());
      throw new Error(`the client ended (${code}) before anyone could decide`);
    });
    early.catch(() => {});
    driven.catch(() => {});
    await Promise.race([driven, early]);
    await scene.story.ended;
    await scenario.check(scene);
  }

  /** Rejects when the program has no end, with whatever it is held on. */
  async #hung(story: Story): Promise<never> {
    const done = story.ended.then(
      () => true,
      () => true,
    );
    const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), PATIENCE_MS).unref());
    if (await Promise.race([done, late])) return new Promise<never>(() => {}); // its checks have their own limits
    const open = (await this.#open()).map(shownBy);
    throw new Error(`no end after ${PATIENCE_MS / 1_000} s${open.length > 0 ? `; held: ${open.join('\n')}` : ''}`);
  }

  #open(): ReturnType<Workspace['messages']> {
    return this.#slack.messages().then((all) => all.filter((message) => hasButton(message, 'deny')));
  }

  /** No request is left waiting: the next scenario's cards are its own. */
  async #cleared(): Promise<void> {
    if (!(await eventually(async () => (await this.#open()).length === 0, 30_000)))
      throw new Error('a request is still waiting although its client is gone');
  }
}
