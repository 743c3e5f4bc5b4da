/** A new configuration in all workers or in none: each says what it would amount to, then all take it up, or refuse. */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Written } from './contract.ts';
import type { Member } from './member.ts';

const TOLD_MS = 10_000; // silent for so long, a worker is ended anyway
const LOOK_AGAIN_MS = 100; // for a worker that serves
const TRIES = 3; // files that it refers to may be changing just now

/** In force: what a worker starts with. */
export class Renewal {
  readonly #members: () => readonly Member[];
  #written: Written;
  #running: Promise<void> = Promise.resolve();

  constructor(written: Written, members: () => readonly Member[]) {
    this.#written = written;
    this.#members = members;
  }

  get written(): Written {
    return this.#written;
  }

  /** Never rejects. One after the other. */
  take(read: () => Written): Promise<void> {
    this.#running = this.#running.then(() => this.#take(read)).catch(() => {});
    return this.#running;
  }

  async #take(read: () => Written): Promise<void> {
    let members: readonly Member[];
    let why: Written | string | undefined;
    do {
      members = await this.#serving();
      why = await this.#considered(read, members);
    } while (why === undefined);
    if (typeof why === 'string') {
      const refused = { why };
      await Promise.all(members.map(({ channel }) => channel.ask('refuse', refused, { ms: TOLD_MS }).catch(() => {})));
      return;
    }
    this.#written = why;
    const took = await Promise.all(
      members.map((member) =>
        member.channel.ask('take', {}, { ms: TOLD_MS }).then(
          () => member,
          () => undefined,
        ),
      ),
    );
    // Started with the one before, or never heard of this one: that must not go on beside it.
    for (const member of this.#members()) if (member.started !== why && !took.includes(member)) member.kill();
  }

  /** Those who can read it, or have to take it up; waits until somebody can. */
  async #serving(): Promise<readonly Member[]> {
    for (;;) {
      const there = this.#members().filter(({ state }) => state === 'serving' || state === 'leaving');
      if (there.some(({ state }) => state === 'serving')) return there;
      await pause(LOOK_AGAIN_MS, undefined, { ref: false });
    }
  }

  /** What all of them read alike and found good, else why not; undefined where nobody answered. */
  async #considered(read: () => Written, members: readonly Member[]): Promise<Written | string | undefined> {
    for (let tried = 0; tried < TRIES; tried++) {
      let written: Written;
      try {
        written = read();
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
      const salt = randomBytes(32).toString('hex'); // what is compared says nothing of the secrets in it
      const said = await Promise.all(
        members.map(({ channel }) =>
          channel.ask('consider', { ...written, salt }, { ms: TOLD_MS }).catch(() => undefined),
        ),
      );
      const answers = said.filter((answer) => answer !== undefined);
      if (answers.length === 0) return undefined;
      const refused = answers.find((answer) => 'refused' in answer);
      if (refused && 'refused' in refused) return refused.refused;
      if (new Set(answers.map((answer) => ('digest' in answer ? answer.digest : ''))).size === 1) return written;
    }
    return 'what it refers to keeps changing: every worker read something else';
  }
}
