/** Asks bots about voters afresh, and waits for the answer to that very question. */
import type { CardPublisher } from '../../queue/carry.ts';
import type { Attestation, VoteMessage } from '../../queue/votes.ts';
import type { Clock } from './clock.ts';

const MOST_UNDER_WAY = 10_000; // far above all holds of a gateway; a bound all the same

export type AttestationMessage = Extract<VoteMessage, { kind: 'attestation' }>;

export class Attestor {
  readonly #deps: { gateway: string; publish: CardPublisher; clock: Clock; newId: () => string };
  readonly #underWay = new Map<
    string,
    { hold: string; answer: (people: readonly Attestation[] | undefined) => void }
  >();

  constructor(deps: { gateway: string; publish: CardPublisher; clock: Clock; newId: () => string }) {
    this.#deps = deps;
  }

  /**
   * What Slack says of these users now. The answer carries this question's id, so it cannot be older than the question.
   * Undefined when none came within `ms`. @throws Error while Redis is gone.
   */
  async ask(
    hold: string,
    users: readonly string[],
    names: readonly string[],
    ms: number,
  ): Promise<readonly Attestation[] | undefined> {
    const { gateway, publish, clock, newId } = this.#deps;
    if (this.#underWay.size >= MOST_UNDER_WAY) return undefined;
    const id = newId();
    const answered = new Promise<readonly Attestation[] | undefined>((resolve) => {
      const cancel = clock.after(ms, () => settle(undefined));
      const settle = (people: readonly Attestation[] | undefined) => {
        cancel();
        this.#underWay.delete(id);
        resolve(people);
      };
      this.#underWay.set(id, { hold, answer: settle });
    });
    try {
      await publish.send(
        { kind: 'attest', v: 1, id, gateway, hold, users: [...users], names: [...names], at: clock.now() },
        `attest-${id}`,
      );
    } catch (error) {
      this.#underWay.get(id)?.answer(undefined);
      throw error;
    }
    return answered;
  }

  /** Nobody waits for an answer any more. */
  close(): void {
    for (const { answer } of [...this.#underWay.values()]) answer(undefined);
  }

  receive(message: AttestationMessage): void {
    const waiting = this.#underWay.get(message.id);
    if (waiting?.hold === message.hold) waiting.answer(message.people);
  }
}
