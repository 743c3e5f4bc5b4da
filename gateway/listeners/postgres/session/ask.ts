/** The wait at the gate: a permit at once where nobody must be asked, else one that cancel, leaving and overflow end. */
import { End } from '../../../ending.ts';
import { asGatewayError, GatewayError } from '../../../errors.ts';
import type { AdmitContext, Excess, Gate, Permit } from '../../../gate.ts';
import type { Operation } from '../../../operation.ts';
import { Run } from './run.ts';

export type AskDeps = {
  readonly gate: Gate;
  readonly tell: AdmitContext['tell'];
  readonly credentialEndsAt: () => number;
  readonly alive: () => boolean;
  readonly reach?: AdmitContext['reach'];
};

export class Ask {
  readonly #deps: AskDeps;
  #ending = new End();
  #context: AdmitContext;
  #withdrawn: GatewayError | undefined;
  /** Something is being decided, or made ready to be: `withdraw` has something to act on. */
  waiting = false;
  /** People are asked. */
  held = false;

  constructor(deps: AskDeps) {
    this.#deps = deps;
    this.#context = this.#newContext();
  }

  preview(operation: Operation): 'allow' | 'hold' | 'deny' {
    return this.#deps.gate.preview(operation);
  }

  /** @throws GatewayError as the gate does, or what the operation was withdrawn with; also as a rejection. */
  admit(operation: Operation): Run | Promise<Run> {
    // Its client may have left while earlier statements ran: nobody is asked for it then.
    if (!this.#deps.alive() && this.preview(operation) === 'hold') {
      this.begin();
      this.withdraw(new GatewayError('WITHDRAWN', 'the client left before this was asked'));
    }
    let answer: Permit | Promise<Permit>;
    try {
      answer = this.#deps.gate.admit(operation, this.#context);
    } catch (error) {
      throw this.end() ?? error;
    }
    return answer instanceof Promise ? this.#run(answer) : new Run(answer);
  }

  /** Resolves when the rest of a result may flow on. @throws GatewayError as `admit` */
  async exceed(permit: Permit, excess: Excess): Promise<void> {
    if (!this.#deps.alive()) throw new GatewayError('WITHDRAWN', 'the client left before this was asked');
    return this.#await(this.#deps.gate.exceed(permit, excess, this.#context), () => undefined);
  }

  /**
   * A write touched so many rows, undefined: nobody counted. Undefined where they were to be expected, else it resolves
   * when it may commit. @throws GatewayError as `admit`
   */
  confirm(permit: Permit, rows: number | undefined): Promise<void> | undefined {
    const answer = this.#deps.gate.confirm(permit, rows, this.#context);
    return answer && this.#await(answer, () => undefined);
  }

  /** End what waits now, with the error its client is to see. False when nothing waits. */
  withdraw(error: GatewayError): boolean {
    if (!this.waiting || this.#withdrawn) return false;
    this.#withdrawn = error;
    this.#ending.abort(error.message);
    return true;
  }

  /** From now on a cancel concerns this operation, though it is not asked about yet. */
  begin(): void {
    this.waiting = true;
  }

  /** What it was withdrawn with, if it was; the next operation starts afresh. */
  end(): GatewayError | undefined {
    this.waiting = false;
    this.held = false;
    const withdrawn = this.#withdrawn;
    if (withdrawn) {
      this.#withdrawn = undefined;
      this.#ending = new End();
      this.#context = this.#newContext();
    }
    return withdrawn;
  }

  async #run(answer: Promise<Permit>): Promise<Run> {
    return new Run(
      // The gate may have permitted it at the same moment: it goes nowhere, and the trail says so.
      await this.#await(answer, (late, { message }) =>
        new Run(late).failedHere('57014', `not sent to the target: ${message}`),
      ),
    );
  }

  /** What the gate answers, unless it is withdrawn first: then an answer that comes all the same is handed to `late`. */
  async #await<T>(answer: Promise<T>, late: (value: T, withdrawn: GatewayError) => void): Promise<T> {
    const signal = this.#ending;
    this.waiting = true;
    let left: (() => void) | undefined;
    let said: { readonly value: T } | undefined;
    let refused: unknown;
    try {
      said = await new Promise<{ readonly value: T } | undefined>((resolve, reject) => {
        left = () => resolve(undefined);
        if (signal.aborted) left();
        else signal.addEventListener('abort', left, { once: true });
        answer.then((value) => resolve({ value }), reject);
      });
    } catch (error) {
      refused = error;
    }
    if (left) signal.removeEventListener('abort', left);
    const withdrawn = this.end();
    if (withdrawn) {
      if (said) late(said.value, withdrawn);
      else if (refused === undefined)
        answer.then(
          (value) => late(value, withdrawn),
          () => undefined,
        );
      throw withdrawn;
    }
    if (!said) throw asGatewayError(refused);
    return said.value;
  }

  #newContext(): AdmitContext {
    const { tell, credentialEndsAt, alive, reach } = this.#deps;
    return {
      signal: this.#ending,
      credentialEndsAt,
      alive,
      reach,
      tell: (news) => {
        this.held = true;
        tell(news);
      },
    };
  }
}
