/** The client's messages, one after another: understood, asked about, forwarded. The only writer of operations upstream. */
import { asGatewayError, GatewayError } from '../../../errors.ts';
import type { BindMessage, ParseMessage } from '../messages.ts';
import { parseBind, parseClose, parseDescribe, parseEmpty, parseExecute, parseParse, parseQuery } from '../messages.ts';
import type { StatementFacts } from '../types.ts';
import type { Frame } from '../wire.ts';
import type { Ask } from './ask.ts';
import { inOwnTransaction } from './commit.ts';
import { copyStep } from './copy-step.ts';
import { EMPTY, forward, forwardBind, forwardDescribe, forwardExecute, forwardQuery } from './forward.ts';
import { Judge, type JudgeDeps, type Style, type Wait } from './judge.ts';
import { Learning } from './learning.ts';
import { checkStillMeant, knownStatement, type Portal, type Statement } from './names.ts';
import {
  checkTogether,
  hideBound,
  leavesTransaction,
  NOTHING_BOUND,
  type Resolved,
  runsWhenParsed,
  subjectOf,
} from './operation.ts';
import { NativeError, transactionFailed, unknownPortal } from './refusal.ts';
import { factsOf, inspect, resolve, resolveAll, resultsOf } from './resolve.ts';
import type { Run } from './run.ts';
import type { Stay } from './stay.ts';

export type PipelineDeps = JudgeDeps & {
  /** The client said good-bye. */
  readonly terminate: () => void;
};

export class Pipeline {
  readonly #stay: Stay;
  readonly #ask: Ask;
  readonly #judge: Judge;
  readonly #terminate: () => void;
  readonly #learning: Learning;
  #turn = 0;

  constructor(deps: PipelineDeps) {
    this.#stay = deps.stay;
    this.#ask = deps.ask;
    this.#judge = new Judge(deps);
    this.#terminate = deps.terminate;
    this.#learning = new Learning(deps.stay);
  }

  /** New bytes came: what was permitted for an execution before may be looked at again. */
  nextTurn(): void {
    this.#turn++;
  }

  /** @throws GatewayError PROTOCOL, as a rejection too: the session cannot go on. */
  step(frame: Frame): Wait {
    const stay = this.#stay;
    if (stay.over) return undefined;
    const type = String.fromCharCode(frame.type);
    if (stay.cancelling) return this.#again(stay.cancelling, frame);
    if (stay.copying) {
      if (type === 'X') this.#terminate();
      else copyStep(stay, frame, type);
      return undefined;
    }
    if (stay.replies.mayCopyIn) return this.#whenChanged(frame);
    if (type === 'd' || type === 'c' || type === 'f') return undefined; // late data of a COPY that failed
    if (stay.skipping && type !== 'S' && type !== 'X') return undefined;
    if (stay.replies.boundary) return this.#whenChanged(frame);
    if (stay.replies.confirming && type !== 'X' && type !== 'H') return this.#learnAll(frame);
    // What is refused in its midst is refused with all that comes behind it: that must not have run by then.
    if (stay.replies.limited && type !== 'X' && type !== 'H' && (type !== 'S' || stay.executed > 1)) {
      return this.#learnAll(frame);
    }
    switch (type) {
      case 'P':
        return this.#parse(frame);
      case 'B':
        return this.#bind(frame);
      case 'D':
        return this.#describe(frame);
      case 'E':
        return this.#execute(frame);
      case 'C':
        return this.#close(frame);
      case 'S':
        parseEmpty(frame);
        forward(stay, frame);
        stay.skipping = false;
        stay.replies.push({ kind: 'sync' });
        return undefined;
      case 'H':
        parseEmpty(frame);
        forward(stay, frame);
        return undefined;
      case 'Q':
        return this.#query(frame);
      case 'F':
        return this.#judge.refuse(
          new GatewayError('UNSUPPORTED', 'function calls by the fast path are not let through', {
            hint: 'Call the function in a SELECT.',
          }),
          frame,
          'simple',
          { audited: false },
        );
      case 'X':
        this.#terminate();
        return undefined;
      default:
        throw new GatewayError('PROTOCOL', `invalid frontend message type 0x${frame.type.toString(16)}`);
    }
  }

  async #again(what: Promise<unknown>, frame: Frame): Promise<void> {
    await what;
    return this.step(frame);
  }

  #whenChanged(frame: Frame): Promise<void> {
    this.#stay.toTarget.flush();
    return this.#again(this.#stay.replies.changed(), frame);
  }

  async #learn(frame: Frame): Promise<void> {
    const stay = this.#stay;
    await this.#judge.settleEarlier(false);
    if (stay.over) return;
    const cancelled = stay.skipping ? undefined : await this.#learning.learn();
    const type = String.fromCharCode(frame.type);
    if (!cancelled || stay.over || !'QPBE'.includes(type)) return this.step(frame);
    return this.#judge.refuse(cancelled, frame, type === 'Q' ? 'simple' : 'extended', { audited: false });
  }

  /** The client cancelled: what is not upstream yet, but on its way to a verdict, is refused with this. */
  cancelLearning(error: GatewayError): void {
    this.#learning.cancel(error);
  }

  /** Go on with what was found, at once if it was found at once; refuse where it could not be. */
  #with<T>(find: () => T | Promise<T>, frame: Frame, style: Style, go: (found: T) => Wait, unnamed = false): Wait {
    let found: T | Promise<T>;
    try {
      found = find();
    } catch (error) {
      return this.#judge.refuse(asGatewayError(error), frame, style, { unnamed, audited: false });
    }
    if (!(found instanceof Promise)) return go(found);
    return this.#later(found, frame, style, go, unnamed);
  }

  async #later<T>(found: Promise<T>, frame: Frame, style: Style, go: (found: T) => Wait, unnamed: boolean) {
    this.#ask.begin();
    let value: T;
    try {
      value = await found;
    } catch (error) {
      this.#ask.end();
      return this.#judge.refuse(asGatewayError(error), frame, style, { unnamed, audited: false });
    }
    const withdrawn = this.#ask.end();
    if (this.#stay.over) return;
    if (withdrawn) return this.#judge.refuse(withdrawn, frame, style, { unnamed, audited: false });
    const wait = go(value);
    this.#stay.toTarget.flush();
    return wait;
  }

  // ── extended ──────────────────────────────────────────────────────────────────────────────────────────────────

  #parse(frame: Frame): Wait {
    if (!this.#learning.done) return this.#learn(frame);
    const message = parseParse(frame);
    const unnamed = message.name === '';
    const tooMuch =
      this.#judge.tooLong(message.text) ??
      this.#judge.tooLongName(message.name) ??
      this.#judge.tooMany(this.#stay.names.statements.size, 'statements');
    if (tooMuch) return this.#judge.refuse(tooMuch, frame, 'extended', { unnamed, audited: false });
    return this.#with(
      () => inspect(this.#stay, message.text),
      frame,
      'extended',
      (facts) => this.#parsed(frame, message, facts),
      unnamed,
    );
  }

  #parsed(frame: Frame, { name, text, parameterTypes }: ParseMessage, facts: readonly StatementFacts[]): Wait {
    const stay = this.#stay;
    const refused = (error: GatewayError) =>
      this.#judge.refuse(error, frame, 'extended', { unnamed: name === '', audited: false });
    if (facts.length > 1) {
      return refused(
        new NativeError('UNPARSEABLE', '42601', 'cannot insert multiple commands into a prepared statement'),
      );
    }
    if (stay.status === 'E' && facts.length > 0 && !leavesTransaction(facts)) return refused(transactionFailed());
    const statement: Statement = { text, made: 'protocol', source: text, empty: facts.length === 0, parameterTypes };
    const go = (run: Run | undefined): Wait => {
      stay.names.statements.offer(name, statement);
      forward(stay, frame);
      if (run) stay.dirty = true;
      stay.replies.push({ kind: 'parse', name, statement, run });
      return undefined;
    };
    if (!runsWhenParsed(facts)) return go(undefined);
    const subject = subjectOf(text, [{ facts: facts[0]!, inner: undefined }], NOTHING_BOUND);
    return this.#judge.ask(subject, facts, frame, 'extended', go);
  }

  #bind(frame: Frame): Wait {
    if (!this.#learning.done) return this.#learn(frame);
    const message = parseBind(frame);
    const tooMuch =
      this.#judge.tooLongName(message.portal) ??
      this.#judge.tooMany(this.#stay.names.portals.size, 'portals and cursors');
    if (tooMuch) return this.#judge.refuse(tooMuch, frame, 'extended', { audited: false });
    return this.#with(
      () => {
        const statement = knownStatement(this.#stay.names, message.statement);
        return statement.empty ? [] : factsOf(this.#stay, statement);
      },
      frame,
      'extended',
      (facts) => this.#understood(frame, message, facts),
    );
  }

  #understood(frame: Frame, message: BindMessage, [facts]: readonly StatementFacts[]): Wait {
    if (!facts) {
      forwardBind(this.#stay, frame, message, EMPTY, this.#turn);
      return undefined;
    }
    if (this.#stay.status === 'E' && !leavesTransaction([facts])) {
      return this.#judge.refuse(transactionFailed(), frame, 'extended');
    }
    const statement = this.#stay.names.statements.get(message.statement);
    const { parameters } = message;
    return this.#with(
      () => resolve(this.#stay, facts),
      frame,
      'extended',
      (resolved) => {
        const shownParameters =
          parameters.length === 0 ? [] : hideBound(this.#stay.inspector.showParameters(parameters), facts);
        const types = statement?.parameterTypes ?? [];
        const subject = subjectOf(statement?.text ?? facts.text, [resolved], { parameters, shownParameters, types });
        const results = resultsOf(resolved);
        return this.#judge.ask(subject, [facts], frame, 'extended', (run) => {
          forwardBind(this.#stay, frame, message, { statement, subject, facts, results, run }, this.#turn);
          return undefined;
        });
      },
    );
  }

  #describe(frame: Frame): Wait {
    if (!this.#learning.done) return this.#learn(frame);
    const { kind, name } = parseDescribe(frame);
    const { statements, portals } = this.#stay.names;
    if (kind === 'S' ? !statements.get(name) : !portals.get(name)) return this.#refuseUnknown(kind, name, frame);
    forwardDescribe(this.#stay, frame, kind, name);
    return undefined;
  }

  #refuseUnknown(kind: 'S' | 'P', name: string, frame: Frame): Wait {
    if (kind === 'P') return this.#judge.refuse(unknownPortal(name, 'portal'), frame, 'extended', { audited: false });
    return this.#with(
      () => knownStatement(this.#stay.names, name),
      frame,
      'extended',
      () => undefined,
    );
  }

  #execute(frame: Frame): Wait {
    const stay = this.#stay;
    if (!this.#learning.done) return this.#learn(frame);
    const { portal: name } = parseExecute(frame);
    const portal = stay.names.portals.get(name);
    if (!portal) return this.#refuseUnknown('P', name, frame);
    if (portal.state === 'running') return this.#learn(frame); // it may be done or suspended: only the target knows
    const { subject, facts } = portal;
    const go = (run: Run | undefined): Wait => {
      forwardExecute(stay, frame, name, portal, run);
      return undefined;
    };
    if (!subject || !facts) return go(undefined);
    if (stay.status === 'E' && !leavesTransaction([facts])) {
      return this.#judge.refuse(transactionFailed(), frame, 'extended');
    }
    try {
      checkStillMeant(stay.names, portal, stay.frame.text);
    } catch (error) {
      return this.#judge.refuse(asGatewayError(error), frame, 'extended', { audited: false });
    }
    if (portal.run && (portal.state === 'suspended' || this.#stillPermitted(portal.run, portal))) {
      return go(portal.run);
    }
    portal.run?.done('BIND'); // planned under rules that have changed since: asked anew
    portal.run = undefined;
    return this.#judge.ask(subject, [facts], frame, 'extended', go);
  }

  #stillPermitted(run: Run, portal: Portal): boolean {
    const { permit } = run;
    return portal.turn === this.#turn || permit.hold !== undefined || this.#ask.preview(permit.operation) === 'allow';
  }

  #close(frame: Frame): Wait {
    if (!this.#learning.done) return this.#learn(frame);
    const { kind, name } = parseClose(frame);
    const tooLong = this.#judge.tooLongName(name);
    if (tooLong) return this.#judge.refuse(tooLong, frame, 'extended', { audited: false });
    const { statements, portals } = this.#stay.names;
    if (kind === 'S') statements.offer(name, undefined);
    else portals.offer(name, undefined);
    forward(this.#stay, frame);
    this.#stay.replies.push({ kind: 'close', of: kind, name });
    return undefined;
  }

  // ── simple ────────────────────────────────────────────────────────────────────────────────────────────────────

  #query(frame: Frame): Wait {
    if (!this.#learning.done) return this.#learn(frame);
    if (!this.#stay.replies.empty) return this.#learnAll(frame);
    const text = parseQuery(frame);
    const { names } = this.#stay;
    const tooMuch =
      this.#judge.tooLong(text) ?? this.#judge.tooMany(Math.max(names.statements.size, names.portals.size), 'names');
    if (tooMuch) return this.#judge.refuse(tooMuch, frame, 'simple', { audited: false });
    return this.#with(
      () => inspect(this.#stay, text),
      frame,
      'simple',
      (statements) => this.#queried(frame, text, statements),
    );
  }

  async #learnAll(frame: Frame): Promise<void> {
    await this.#judge.settleEarlier(false);
    return this.step(frame);
  }

  #queried(frame: Frame, text: string, statements: readonly StatementFacts[]): Wait {
    const stay = this.#stay;
    const go = (resolved: readonly Resolved[], run: Run | undefined): Wait => {
      const results = resolved.map(resultsOf);
      if (run?.confirms && stay.status === 'I') {
        return inOwnTransaction(stay, run, () => forwardQuery(stay, frame, statements, results, run, 'statement'));
      }
      forwardQuery(stay, frame, statements, results, run);
      return undefined;
    };
    if (statements.length === 0) return go([], undefined);
    if (stay.status === 'E' && !statements.some((one) => leavesTransaction([one]))) {
      return this.#judge.refuse(transactionFailed(), frame, 'simple');
    }
    return this.#with(
      () => {
        checkTogether(statements, stay.frameTouched || stay.frame.stale);
        return resolveAll(stay, statements);
      },
      frame,
      'simple',
      (resolved) => {
        const subject = subjectOf(text, resolved, NOTHING_BOUND);
        return this.#judge.ask(subject, statements, frame, 'simple', (run) => go(resolved, run));
      },
    );
  }
}
