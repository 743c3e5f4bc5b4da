/** A new configuration in all workers or in none: each says what it would amount to, then all take it up, or refuse. */
import { randomBytes } from 'node:crypto';
import type { Written } from './contract.ts';
import type { Member } from './member.ts';

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
    const members = this.#members().filter(({ state }) => state === 'serving');
    const why = await this.#considered(read, members);
    // Whoever ends meanwhile comes back with what is in force then.
    const each = (act: (member: Member) => Promise<unknown>) =>
      Promise.all(members.map((member) => act(member).catch(() => {})));
    if (typeof why === 'string') {
      await each(({ channel }) => channel.ask('refuse', { why }));
      return;
    }
    this.#written = why;
    await each(({ channel }) => channel.ask('take', {}));
    for (const member of this.#members()) {
      // It was started with the one before: that must not go on beside this one.
      if (member.state === 'starting') member.kill();
    }
  }

  /** What all of them read alike and found good, else why not. */
  async #considered(read: () => Written, members: readonly Member[]): Promise<Written | string> {
    for (let tried = 0; tried < TRIES; tried++) {
      let written: Written;
      try {
        written = read();
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
      const salt = randomBytes(32).toString('hex'); // what is compared says nothing of the secrets in it
      const said = await Promise.all(
        members.map(({ channel }) => channel.ask('consider', { ...written, salt }).catch(() => undefined)),
      );
      const answers = said.filter((answer) => answer !== undefined);
      const refused = answers.find((answer) => 'refused' in answer);
      if (refused && 'refused' in refused) return refused.refused;
      if (new Set(answers.map((answer) => ('digest' in answer ? answer.digest : ''))).size <= 1) return written;
    }
    return 'what it refers to keeps changing: every worker read something else';
  }
}
