/** The client's messages, one after another: understood, asked about, forwarded. The only writer of operations upstream. */
import { randomUUID } from 'node:crypto';
import { asGatewayError, GatewayError } from '../../../errors.ts';
import type { Operation } from '../../../operation.ts';
import * as build from '../builders.ts';
import type { BindMessage, ParseMessage } from '../messages.ts';
import { parseBind, parseClose, parseDescribe, parseEmpty, parseExecute, parseParse, parseQuery } from '../messages.ts';
import type { StatementFacts } from '../types.ts';
import type { Frame } from '../wire.ts';
import type { Ask } from './ask.ts';
import type { Portal, Statement } from './names.ts';
import {
  type Asker,
  checkTogether,
  innerFacts,
  knownStatement,
  leavesTransaction,
  operationOf,
  type Resolved,
  type Subject,
  subjectOf,
} from './operation.ts';
import { readFrame } from './probe.ts';
import { FAILING_STATEMENT, NativeError, refusal, transactionFailed, unknownPortal } from './refusal.ts';
import type { Run } from './run.ts';
import type { Stay } from './stay.ts';

/** Nothing where a step was done at once: the usual path makes no promise. */
export type Wait = Promise<void> | undefined;

export type PipelineDeps = {
  readonly stay: Stay;
  readonly ask: Ask;
  readonly asker: Asker;
  /** A refusal that the gate does not know of, for the audit trail. */
  readonly refused: (error: GatewayError, bytes: number) => void;
  /** The client said good-bye. */
  readonly terminate: () => void;
};

type Style = 'simple' | 'extended';
const NOTHING_BOUND = { parameters: [], shownParameters: [] };

export class Pipeline {
  readonly #stay: Stay;
  readonly #ask: Ask;
  readonly #deps: PipelineDeps;
  #turn = 0;

  constructor(deps: PipelineDeps) {
    this.#deps = deps;
    this.#stay = deps.stay;
    this.#ask = deps.ask;
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
    if (stay.copying) return this.#inCopy(frame, type);
    if (stay.replies.mayCopyIn) return this.#whenChanged(frame);
    if (type === 'd' || type === 'c' || type === 'f') return undefined; // late data of a COPY that failed
    if (stay.skipping && type !== 'S' && type !== 'X') return undefined;
    if (stay.replies.boundary) return this.#whenChanged(frame);
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
        this.#forward(frame);
        stay.skipping = false;
        stay.replies.push({ kind: 'sync' });
        return undefined;
      case 'H':
        parseEmpty(frame);
        this.#forward(frame);
        return undefined;
      case 'Q':
        return this.#query(frame);
      case 'F':
        return this.#refuse(
          new GatewayError('UNSUPPORTED', 'function calls by the fast path are not let through', {
            hint: 'Call the function in a SELECT.',
          }),
          frame,
          'simple',
          { audited: false },
        );
      case 'X':
        this.#deps.terminate();
        return undefined;
      default:
        throw new GatewayError('PROTOCOL', `invalid frontend message type 0x${frame.type.toString(16)}`);
    }
  }

  #forward(frame: Frame): void {
    this.#stay.open = true;
    this.#stay.toTarget.add(frame.bytes);
  }

  async #again(what: Promise<unknown>, frame: Frame): Promise<void> {
    await what;
    return this.step(frame);
  }

  #whenChanged(frame: Frame): Promise<void> {
    this.#stay.toTarget.flush();
    return this.#again(this.#stay.replies.changed(), frame);
  }

  /** Everything forwarded so far is answered; `closing` ends the target's transaction too, if nothing ran in it. */
  async #settleEarlier(closing: boolean): Promise<void> {
    const stay = this.#stay;
    const { replies } = stay;
    if (replies.empty && !(closing && stay.open && !stay.dirty)) return;
    if (!replies.boundary) {
      if (closing) stay.finishSegment();
      else stay.toTarget.add(build.flush());
    }
    stay.toTarget.flush();
    while (!replies.empty && !stay.over) await replies.changed();
  }

  /** Are names, settings and catalogue known as they will be when the next message runs? */
  #known(): boolean {
    const stay = this.#stay;
    return !stay.unsettled && (!stay.frame.stale || stay.status === 'E') && !stay.refreshing;
  }

  async #learn(frame: Frame): Promise<void> {
    const stay = this.#stay;
    await this.#settleEarlier(false);
    if (stay.over) return;
    if (!stay.skipping) {
      stay.unsettled = false;
      if (stay.refreshing) await stay.refreshing;
      if (stay.frame.stale && stay.status !== 'E') await readFrame(stay);
    }
    return this.step(frame);
  }

  #inspect(text: string): readonly StatementFacts[] | Promise<readonly StatementFacts[]> {
    const { frame, inspector } = this.#stay;
    return inspector.inspect(text, { frame: frame.text, searchPath: frame.searchPath });
  }

  /** Go on with what was found, at once if it was found at once; refuse where it could not be. */
  #with<T>(find: () => T | Promise<T>, frame: Frame, style: Style, go: (found: T) => Wait, unnamed = false): Wait {
    let found: T | Promise<T>;
    try {
      found = find();
    } catch (error) {
      return this.#refuse(asGatewayError(error), frame, style, { unnamed, audited: false });
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
      return this.#refuse(asGatewayError(error), frame, style, { unnamed, audited: false });
    }
    const withdrawn = this.#ask.end();
    if (this.#stay.over) return;
    if (withdrawn) return this.#refuse(withdrawn, frame, style, { unnamed, audited: false });
    const wait = go(value);
    this.#stay.toTarget.flush();
    return wait;
  }

  // ── extended ──────────────────────────────────────────────────────────────────────────────────────────────────

  #parse(frame: Frame): Wait {
    if (!this.#known()) return this.#learn(frame);
    const message = parseParse(frame);
    const unnamed = message.name === '';
    const tooMuch = this.#tooLong(message.text) ?? this.#tooMany(this.#stay.names.statements.size, 'statements');
    if (tooMuch) return this.#refuse(tooMuch, frame, 'extended', { unnamed, audited: false });
    return this.#with(
      () => this.#inspect(message.text),
      frame,
      'extended',
      (facts) => this.#parsed(frame, message, facts),
      unnamed,
    );
  }

  #parsed(frame: Frame, { name, text }: ParseMessage, facts: readonly StatementFacts[]): Wait {
    const stay = this.#stay;
    const refused = (error: GatewayError) =>
      this.#refuse(error, frame, 'extended', { unnamed: name === '', audited: false });
    if (facts.length > 1) {
      return refused(
        new NativeError('UNPARSEABLE', '42601', 'cannot insert multiple commands into a prepared statement'),
      );
    }
    if (stay.status === 'E' && facts.length > 0 && !leavesTransaction(facts)) return refused(transactionFailed());
    const statement: Statement = { text, made: 'protocol', empty: facts.length === 0 };
    stay.names.statements.offer(name, statement);
    this.#forward(frame);
    stay.replies.push({ kind: 'parse', name, statement });
    return undefined;
  }

  #bind(frame: Frame): Wait {
    if (!this.#known()) return this.#learn(frame);
    const message = parseBind(frame);
    const tooMany = this.#tooMany(this.#stay.names.portals.size, 'portals and cursors');
    if (tooMany) return this.#refuse(tooMany, frame, 'extended');
    return this.#with(
      () => {
        const statement = knownStatement(this.#stay.names, message.statement);
        return statement.empty ? [] : this.#factsOf(statement);
      },
      frame,
      'extended',
      (facts) => this.#understood(frame, message, facts),
    );
  }

  #factsOf(statement: Statement): readonly StatementFacts[] | Promise<readonly StatementFacts[]> {
    const found = this.#inspect(statement.text);
    return found instanceof Promise
      ? found.then((late) => [innerFacts(statement, late)])
      : [innerFacts(statement, found)];
  }

  #understood(frame: Frame, message: BindMessage, [facts]: readonly StatementFacts[]): Wait {
    if (!facts) {
      this.#forwardBind(frame, message.portal, this.#portal(undefined, undefined, undefined));
      return undefined;
    }
    if (this.#stay.status === 'E' && !leavesTransaction([facts])) {
      return this.#refuse(transactionFailed(), frame, 'extended');
    }
    const statement = this.#stay.names.statements.get(message.statement);
    const { parameters } = message;
    return this.#with(
      () => this.#resolve(facts),
      frame,
      'extended',
      (resolved) => {
        const shownParameters = parameters.length === 0 ? [] : this.#stay.inspector.showParameters(parameters);
        const subject = subjectOf(statement?.text ?? facts.text, [resolved], { parameters, shownParameters });
        return this.#judge(subject, [facts], frame, 'extended', (run) => {
          this.#forwardBind(frame, message.portal, this.#portal(subject, facts, run));
          return undefined;
        });
      },
    );
  }

  #portal(subject: Subject | undefined, facts: StatementFacts | undefined, run: Run | undefined): Portal {
    const turn = this.#turn;
    return { subject, facts, cursor: false, holdable: false, fresh: true, state: 'judged', run, turn };
  }

  #forwardBind(frame: Frame, name: string, portal: Portal): void {
    const stay = this.#stay;
    stay.names.portals.offer(name, portal);
    this.#forward(frame);
    stay.dirty = true;
    stay.replies.push({ kind: 'bind', name, portal });
  }

  #describe(frame: Frame): Wait {
    if (!this.#known()) return this.#learn(frame);
    const { kind, name } = parseDescribe(frame);
    const { statements, portals } = this.#stay.names;
    if (kind === 'S' ? !statements.get(name) : !portals.get(name)) return this.#refuseUnknown(kind, name, frame);
    this.#forward(frame);
    this.#stay.replies.push({ kind: 'describe' });
    return undefined;
  }

  #refuseUnknown(kind: 'S' | 'P', name: string, frame: Frame): Wait {
    if (kind === 'P') return this.#refuse(unknownPortal(name, 'portal'), frame, 'extended', { audited: false });
    return this.#with(
      () => knownStatement(this.#stay.names, name),
      frame,
      'extended',
      () => undefined,
    );
  }

  #execute(frame: Frame): Wait {
    const stay = this.#stay;
    if (!this.#known()) return this.#learn(frame);
    const { portal: name } = parseExecute(frame);
    const portal = stay.names.portals.get(name);
    if (!portal) return this.#refuseUnknown('P', name, frame);
    if (portal.state === 'running') return this.#learn(frame); // it may be done or suspended: only the target knows
    const { subject, facts } = portal;
    if (!subject || !facts) {
      this.#forwardExecute(frame, portal, undefined);
      return undefined;
    }
    if (stay.status === 'E' && !leavesTransaction([facts])) {
      return this.#refuse(transactionFailed(), frame, 'extended');
    }
    if (portal.run && (portal.state === 'suspended' || this.#stillPermitted(portal.run, portal))) {
      return this.#forwardExecute(frame, portal, portal.run);
    }
    portal.run?.done('BIND'); // planned under rules that have changed since: asked anew
    portal.run = undefined;
    return this.#judge(subject, [facts], frame, 'extended', (run) => this.#forwardExecute(frame, portal, run));
  }

  #stillPermitted(run: Run, portal: Portal): boolean {
    const { permit } = run;
    return portal.turn === this.#turn || permit.hold !== undefined || this.#ask.preview(permit.operation) === 'allow';
  }

  #forwardExecute(frame: Frame, portal: Portal, run: Run | undefined): Wait {
    const stay = this.#stay;
    const { facts } = portal;
    const copies = facts?.copy === 'in' ? 1 : 0;
    portal.state = 'running';
    portal.run = undefined;
    this.#forward(frame);
    stay.dirty = true;
    if (facts && unsettles(facts, run)) stay.unsettled = true;
    stay.replies.push({ kind: 'execute', portal, facts, run, copies });
    return undefined;
  }

  #close(frame: Frame): Wait {
    if (!this.#known()) return this.#learn(frame);
    const { kind, name } = parseClose(frame);
    const { statements, portals } = this.#stay.names;
    if (kind === 'S') statements.offer(name, undefined);
    else portals.offer(name, undefined);
    this.#forward(frame);
    this.#stay.replies.push({ kind: 'close', of: kind, name });
    return undefined;
  }

  // ── simple ────────────────────────────────────────────────────────────────────────────────────────────────────

  #query(frame: Frame): Wait {
    if (!this.#known()) return this.#learn(frame);
    if (!this.#stay.replies.empty) return this.#learnAll(frame);
    const text = parseQuery(frame);
    const { names } = this.#stay;
    const tooMuch = this.#tooLong(text) ?? this.#tooMany(Math.max(names.statements.size, names.portals.size), 'names');
    if (tooMuch) return this.#refuse(tooMuch, frame, 'simple', { audited: false });
    return this.#with(
      () => this.#inspect(text),
      frame,
      'simple',
      (statements) => this.#queried(frame, text, statements),
    );
  }

  async #learnAll(frame: Frame): Promise<void> {
    await this.#settleEarlier(false);
    return this.step(frame);
  }

  #queried(frame: Frame, text: string, statements: readonly StatementFacts[]): Wait {
    if (statements.length === 0) return this.#forwardQuery(frame, [], undefined);
    if (this.#stay.status === 'E' && !statements.some((one) => leavesTransaction([one]))) {
      return this.#refuse(transactionFailed(), frame, 'simple');
    }
    return this.#with(
      () => {
        checkTogether(statements);
        return this.#resolveAll(statements);
      },
      frame,
      'simple',
      (resolved) => {
        const subject = subjectOf(text, resolved, NOTHING_BOUND);
        return this.#judge(subject, statements, frame, 'simple', (run) => this.#forwardQuery(frame, statements, run));
      },
    );
  }

  #forwardQuery(frame: Frame, statements: readonly StatementFacts[], run: Run | undefined): Wait {
    this.#forward(frame);
    this.#stay.dirty = true;
    const copies = statements.filter(({ copy }) => copy === 'in').length;
    this.#stay.replies.push({ kind: 'query', statements, run, copies, done: 0 });
    return undefined;
  }

  // ── what runs by name ─────────────────────────────────────────────────────────────────────────────────────────

  #resolveAll(statements: readonly StatementFacts[]): readonly Resolved[] | Promise<readonly Resolved[]> {
    const resolved = statements.map((facts) => this.#resolve(facts));
    return resolved.some((one) => one instanceof Promise) ? Promise.all(resolved) : (resolved as Resolved[]);
  }

  /** @throws GatewayError UNKNOWN_NAME */
  #resolve(facts: StatementFacts): Resolved | Promise<Resolved> {
    const { names } = this.#stay;
    const { session } = facts;
    switch (session.kind) {
      case 'execute': {
        const statement = knownStatement(names, session.name);
        if (statement.empty) return { facts, inner: undefined };
        const found = this.#factsOf(statement);
        if (found instanceof Promise) return found.then(([inner]) => ({ facts, inner }));
        return { facts, inner: found[0] };
      }
      case 'fetch': {
        const portal = names.portals.get(session.name);
        if (!portal) throw unknownPortal(session.name, 'cursor');
        return { facts, inner: portal.facts };
      }
      case 'declare':
        return { facts, inner: session.inner };
      default:
        return { facts, inner: undefined };
    }
  }

  // ── the gate ──────────────────────────────────────────────────────────────────────────────────────────────────

  #judge(
    subject: Subject,
    statements: readonly StatementFacts[],
    frame: Frame,
    style: Style,
    go: (run: Run) => Wait,
  ): Wait {
    const stay = this.#stay;
    const operation = operationOf(subject, this.#deps.asker, {
      id: randomUUID(),
      frame: stay.frame.text,
      inTransaction: stay.inTransaction,
      shadowed: stay.shadowed || (stay.schemaChanged && !leavesTransaction(statements)),
      caps: stay.limits.copy,
    });
    // Results of what came before are awaited only if somebody may have to be asked.
    const first = !stay.open && stay.replies.empty;
    if (!first && this.#ask.preview(operation) !== 'allow') return this.#judgeAlone(operation, frame, style, go);
    return this.#admit(operation, frame, style, go);
  }

  async #judgeAlone(operation: Operation, frame: Frame, style: Style, go: (run: Run) => Wait): Promise<void> {
    this.#ask.begin();
    await this.#settleEarlier(true);
    const withdrawn = this.#ask.end();
    if (this.#stay.over || this.#stay.skipping) return;
    if (withdrawn) return this.#refuse(withdrawn, frame, style, { audited: false });
    return this.#admit(operation, frame, style, go);
  }

  #admit(operation: Operation, frame: Frame, style: Style, go: (run: Run) => Wait): Wait {
    let run: Run | Promise<Run>;
    try {
      run = this.#ask.admit(operation);
    } catch (error) {
      return this.#refuse(asGatewayError(error), frame, style);
    }
    return run instanceof Promise ? this.#admitLater(run, frame, style, go) : go(run);
  }

  async #admitLater(admitted: Promise<Run>, frame: Frame, style: Style, go: (run: Run) => Wait): Promise<void> {
    let run: Run;
    try {
      run = await admitted;
    } catch (error) {
      return this.#refuse(asGatewayError(error), frame, style);
    }
    if (this.#stay.over) {
      run.failed('57014', 'not sent to the target: the session ended');
      return;
    }
    const wait = go(run);
    this.#stay.toTarget.flush();
    return wait;
  }

  // ── saying no ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Answer a message with an error in the server's manner. Where a transaction is open, the target is made to fail
   * too, so that its ReadyForQuery tells the truth. `unnamed`: what was refused would have replaced the unnamed statement.
   */
  async #refuse(
    error: GatewayError,
    frame: Frame,
    style: Style,
    { unnamed = false, audited = true }: { unnamed?: boolean; audited?: boolean } = {},
  ): Promise<void> {
    const stay = this.#stay;
    await this.#settleEarlier(false);
    if (stay.over || stay.skipping) return; // something earlier failed first: the server would never have come to this
    if (!audited) this.#deps.refused(error, frame.bytes.length);
    const shown = refusal(error);
    if (style === 'simple') {
      if (stay.status === 'E' || (stay.status === 'I' && !stay.dirty)) {
        stay.toClient.add(shown);
        if (!stay.open) stay.toClient.add(build.readyForQuery(stay.status));
        else this.#syncSilently(); // a Parse left the server in the midst of a pipeline: its own word ends that
      } else {
        stay.toTarget.add(build.query(FAILING_STATEMENT));
        stay.replies.push({ kind: 'query', statements: [], run: undefined, copies: 0, done: 0, substitute: shown });
      }
    } else if (stay.status === 'T' || stay.dirty) {
      stay.open = true;
      if (unnamed) this.#dropUnnamed();
      const name = `countersign_${randomUUID()}`;
      stay.toTarget.add(build.parse(name, FAILING_STATEMENT));
      stay.replies.push({ kind: 'parse', name, statement: undefined, own: true, substitute: shown });
      stay.toTarget.flush();
      while (!stay.replies.empty && !stay.over) await stay.replies.changed();
    } else {
      if (unnamed) this.#dropUnnamed();
      stay.toClient.add(shown);
      stay.skipping = true;
    }
    stay.names.forgetOffers();
    stay.toTarget.flush();
    stay.toClient.flush();
  }

  /** A server lets go of the unnamed statement before it reads its successor, even one that fails. */
  #dropUnnamed(): void {
    const stay = this.#stay;
    if (!stay.names.statements.get('')) return;
    stay.open = true;
    stay.toTarget.add(build.close('S', ''));
    stay.replies.push({ kind: 'close', of: 'S', name: '', own: true });
  }

  #syncSilently(): void {
    this.#stay.toTarget.add(build.sync());
    this.#stay.replies.push({ kind: 'sync' });
  }

  #tooLong(text: string): GatewayError | undefined {
    const { statementBytes } = this.#stay.limits;
    if (Buffer.byteLength(text) <= statementBytes) return undefined;
    return new GatewayError('TOO_LONG', `the statement is longer than ${statementBytes} bytes`, {
      hint: 'Send it in parts, or load data with COPY.',
    });
  }

  #tooMany(open: number, what: string): GatewayError | undefined {
    if (open < this.#stay.limits.names) return undefined;
    return new GatewayError('LIMIT', `the session has too many open ${what} (${open})`, {
      hint: 'Close those no longer needed: DEALLOCATE ALL, CLOSE ALL.',
    });
  }

  // ── COPY FROM STDIN ───────────────────────────────────────────────────────────────────────────────────────────

  #inCopy(frame: Frame, type: string): Wait {
    const stay = this.#stay;
    switch (type) {
      case 'd': {
        const excess = stay.copying?.count(frame.bytes, frame.first);
        // A frame that is on its way is finished first: nothing may stand in its middle.
        if (excess === undefined || !frame.first) stay.toTarget.add(frame.bytes);
        if (excess !== undefined && (frame.first || frame.last)) this.#breakCopy(excess);
        return undefined;
      }
      case 'c':
      case 'f':
        stay.copying = undefined;
        stay.toTarget.add(frame.bytes);
        return undefined;
      case 'S':
      case 'H':
        return undefined; // as the server does while it takes COPY data
      case 'X':
        this.#deps.terminate();
        return undefined;
      default:
        this.#breakCopy(`unexpected message type 0x${frame.type.toString(16)} during COPY from stdin`);
        return undefined;
    }
  }

  #breakCopy(reason: string): void {
    this.#stay.copying = undefined;
    this.#stay.toTarget.add(build.copyFail(reason));
  }
}

/** After it, names or settings may be others than before. */
function unsettles({ session, effects }: StatementFacts, run: Run | undefined): boolean {
  const judged = run?.permit.operation.effects ?? effects;
  if (judged.some(({ action }) => action === 'call' || action === 'unknown' || action === 'ddl')) return true;
  switch (session.kind) {
    case 'none':
    case 'fetch':
      return false;
    case 'transaction':
      return !['begin', 'savepoint', 'release'].includes(session.verb);
    default:
      return true;
  }
}
