/** A target that knows what was judged: it answers as a server would, or lies, and blames whatever came unjudged. */
import type { Duplex } from 'node:stream';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import * as read from '../../gateway/listeners/postgres/messages.ts';
import { FAILING_STATEMENT } from '../../gateway/listeners/postgres/session/refusal.ts';
import type { StatementFacts } from '../../gateway/listeners/postgres/types.ts';
import { type Frame, FrameDecoder } from '../../gateway/listeners/postgres/wire.ts';
import type { Operation } from '../../gateway/operation.ts';
import { frame as message, mutate } from './fuzz-grammar.ts';
import { type Ledger, turns } from './fuzz-ledger.ts';
import {
  CODEC,
  COLUMNS,
  dataRow,
  leaves,
  type Made,
  type Portal,
  ROW,
  runsNothing,
  SqlError,
  TAG,
  understood,
} from './fuzz-sql.ts';
import type { Random } from './random.ts';

const OWN = 'countersign_'; // names the gateway gives to its own statements
export class Oracle {
  readonly #socket: Duplex;
  readonly #ledger: Ledger;
  readonly #random: Random;
  readonly #hostile: boolean;
  readonly #decoder = new FrameDecoder(CODEC);
  readonly #frames: { frame: Frame; permits: number }[] = [];
  #pumping = false;
  #out: Buffer[] = [];
  #statements = new Map<string, Made>();
  #portals = new Map<string, Portal>();
  #parsed = new Map<string, string[]>();
  #status: 'I' | 'T' | 'E' = 'I';
  #skipping = false;
  /** What takes COPY data now, and how it goes on behind it. */
  #copying: { readonly simple: boolean; readonly rest: readonly StatementFacts[] } | undefined;
  #everCopied = false;
  /** Something it said was not so: what the gateway believes of names and states is nobody's fault from here on. */
  #lied = false;
  #cancelled = false;
  /** What runs came as a Query: an error in it is followed by ReadyForQuery. */
  #simple = false;

  constructor(socket: Duplex, { ledger, random, hostile }: { ledger: Ledger; random: Random; hostile: boolean }) {
    this.#socket = socket;
    this.#ledger = ledger;
    this.#random = random;
    this.#hostile = hostile;
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  cancel(): void {
    this.#cancelled = true;
  }

  #onData(chunk: Buffer): void {
    try {
      const permits = this.#ledger.allowed.length;
      for (const frame of this.#decoder.push(chunk)) this.#frames.push({ frame, permits });
    } catch (error) {
      this.#ledger.blame(`what is no message reached the target: ${error}`);
      return;
    }
    void this.#pump();
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    await turns(1); // an answer never comes while the question is being written
    for (let next = this.#frames.shift(); next; next = this.#frames.shift()) {
      try {
        await this.#take(next.frame, next.permits);
      } catch (error) {
        if (!(error instanceof SqlError)) throw error;
        this.#fail(error);
      }
      if (this.#random.once(6)) await turns(1);
    }
    this.#pumping = false;
  }

  #mayRun(text: string, permits: number, fits: (operation: Operation) => boolean): void {
    if (!this.#ledger.use(permits, fits)) this.#ledger.blame(`ran unjudged: ${text}`);
  }

  /** What EXECUTE and FETCH run by name is in the text that people saw. */
  #shows({ session }: StatementFacts, { shown }: Operation): boolean {
    if (this.#lied) return true;
    const named =
      session.kind === 'execute'
        ? this.#statements.get(session.name)
        : session.kind === 'fetch'
          ? this.#portals.get(session.name)
          : undefined;
    return named?.facts === undefined || shown.includes(named.facts.text);
  }

  #take(frame: Frame, permits: number): void | Promise<void> {
    const type = String.fromCharCode(frame.type);
    if (type === 'X') return;
    this.#simple = false;
    if (this.#copying) return this.#copyStep(type);
    if ('dcf'.includes(type)) {
      if (!this.#everCopied && !this.#lied) this.#ledger.blame('COPY data where none was asked for');
      return;
    }
    switch (type) {
      case 'Q':
        return this.#query(read.parseQuery(frame), permits);
      case 'S':
        return this.#sync();
      case 'H':
        return this.#flush();
      case 'P':
        return this.#parse(read.parseParse(frame));
      case 'B':
        return this.#bind(read.parseBind(frame), permits);
      case 'E':
        return this.#execute(read.parseExecute(frame), permits);
      case 'D':
        return this.#describe(read.parseDescribe(frame));
      case 'C':
        return this.#close(read.parseClose(frame));
      default:
        this.#ledger.blame(`"${type}" reached the target`);
    }
  }

  async #query(text: string, permits: number): Promise<void> {
    if (this.#skipping) {
      if (!this.#lied) this.#ledger.blame('a Query behind an error, before its Sync');
      return;
    }
    this.#statements.delete('');
    this.#portals.delete('');
    this.#simple = true;
    if (text === FAILING_STATEMENT) throw new SqlError('as asked');
    let statements: readonly StatementFacts[] = [];
    try {
      statements = understood(text);
    } catch {
      this.#ledger.blame(`what nobody can read reached the target: ${text}`);
    }
    if (statements.length === 0) this.#say(message('I'));
    else
      this.#mayRun(text, permits, (one) => one.text === text && statements.every((facts) => this.#shows(facts, one)));
    await this.#runAll(statements);
  }

  async #runAll(statements: readonly StatementFacts[]): Promise<void> {
    for (const [i, facts] of statements.entries()) {
      if (facts.copy === 'in') {
        await this.#run(facts, facts.text);
        this.#copyIn({ simple: true, rest: statements.slice(i + 1) });
        return;
      }
      await this.#run(facts, facts.text);
    }
    this.#ready();
  }

  #parse({ name, text }: read.ParseMessage): void {
    this.#parsed.set(name, [...(this.#parsed.get(name) ?? []), text]);
    if (this.#skipping) return;
    if (name === '') this.#statements.delete('');
    const [facts, more] = understood(text);
    if (text.includes('nowhere')) throw new SqlError('no such relation');
    if (more) throw new SqlError('several');
    if (this.#status === 'E' && facts && !leaves(facts)) throw new SqlError('aborted');
    if (name !== '' && this.#statements.has(name)) throw new SqlError('exists');
    this.#statements.set(name, { text, source: text, facts });
    this.#say(build.parseComplete());
  }

  #bind({ portal, statement: name, parameters }: read.BindMessage, permits: number): void {
    const own = name.startsWith(OWN);
    const truth = this.#skipping || this.#lied ? undefined : this.#statements.get(name);
    const texts = truth ? [truth.text] : (this.#parsed.get(name) ?? []);
    const same = (one: Operation) =>
      one.parameters.length === parameters.length &&
      one.parameters.every(
        ({ value }, i) => Buffer.compare(value ?? Buffer.alloc(0), parameters[i]!.value ?? Buffer.alloc(0)) === 0,
      );
    const fits = (one: Operation) =>
      same(one) &&
      (truth
        ? one.text === truth.text && (!truth.facts || this.#shows(truth.facts, one))
        : texts.includes(one.text) || this.#lied || !this.#parsed.has(name));
    const free = own || (truth ? !truth.facts : texts.some((text) => runsNothing(text)));
    if (!free) this.#mayRun(`Bind of "${name}" to ${texts}`, permits, fits);
    if (this.#skipping) return;
    if (!truth && !this.#statements.has(name)) {
      if (!this.#lied) this.#ledger.blame(`Bind of "${name}", which is not there`);
      throw new SqlError('no such statement');
    }
    const made = truth ?? this.#statements.get(name)!;
    if (this.#status === 'E' && made.facts && !leaves(made.facts)) throw new SqlError('aborted');
    if (portal !== '' && this.#portals.has(portal)) throw new SqlError('exists');
    this.#portals.set(portal, { ...made, permitted: true, fits, started: false });
    this.#say(message('2'));
  }

  #describe({ kind, name }: ReturnType<typeof read.parseDescribe>): void {
    if (this.#skipping) return;
    const made = kind === 'S' ? this.#statements.get(name) : this.#portals.get(name);
    if (!made) throw new SqlError('no such name');
    if (kind === 'S') this.#say(message('t', Buffer.from([0, 0])));
    this.#say(made.facts?.effects[0]?.action === 'read' ? COLUMNS : message('n'));
  }

  #close({ kind, name }: ReturnType<typeof read.parseClose>): void {
    if (this.#skipping) return;
    if (kind === 'S') this.#statements.delete(name);
    else this.#portals.delete(name);
    this.#say(message('3'));
  }

  async #execute({ portal: name, maxRows }: ReturnType<typeof read.parseExecute>, permits: number): Promise<void> {
    if (this.#skipping) return; // its Bind, or the error, said what there is to say
    const portal = this.#portals.get(name);
    if (!portal) {
      if (!this.#lied) this.#ledger.blame(`Execute of "${name}", which is not there`);
      throw new SqlError('no such portal');
    }
    if (portal.facts && !portal.permitted && !this.#lied) this.#mayRun(`Execute of "${name}"`, permits, portal.fits);
    portal.permitted = false;
    if (!portal.facts) return this.#say(message('I'));
    if (name.startsWith(OWN)) return this.#probe(portal.text);
    const { facts } = portal;
    if (maxRows > 0 && !portal.started && facts.effects[0]?.action === 'read') {
      portal.started = true;
      portal.permitted = true; // the rest of it is the same execution
      return this.#say(ROW, message('s'));
    }
    await this.#run(facts, portal.text);
    if (facts.copy === 'in') this.#copyIn({ simple: false, rest: [] });
  }

  /** The gateway's own questions about the session. */
  #probe(asked: string): void {
    const names = asked.includes('pg_prepared_statements')
      ? [...this.#statements].filter(([name]) => name !== '' && !name.startsWith(OWN))
      : [...this.#portals].filter(([name]) => name !== '' && !name.startsWith(OWN));
    const rows = asked.startsWith('SHOW') ? [['public']] : names.map(([name, { source }]) => [name, source]);
    for (const row of rows) this.#say(dataRow(row));
    this.#say(build.commandComplete('SELECT 1'));
  }

  async #run(facts: StatementFacts, source: string): Promise<void> {
    if (this.#status === 'E' && !leaves(facts)) throw new SqlError('aborted');
    if (source.includes('fails')) throw new SqlError('failed');
    if (source.includes('slow')) {
      this.#cancelled = false;
      for (let left = 20; left > 0 && !this.#cancelled; left--) await turns(1);
      if (this.#cancelled) throw new SqlError('cancelled');
    }
    if (facts.copy === 'in') return;
    if (facts.copy === 'out') {
      this.#say(message('H', Buffer.from([0, 0, 0])), build.copyData(Buffer.from('1\n')), build.copyDone());
    }
    const tag = this.#apply(facts, source);
    if (facts.effects[0]?.action === 'read' && !facts.copy) this.#say(ROW);
    this.#say(build.commandComplete(tag));
  }

  #apply({ session, effects, text }: StatementFacts, source: string): string {
    switch (session.kind) {
      case 'prepare':
        if (this.#statements.has(session.name)) throw new SqlError('exists');
        this.#statements.set(session.name, { text, source, facts: session.inner });
        return 'PREPARE';
      case 'execute':
        if (!this.#statements.has(session.name)) throw new SqlError('no such statement');
        return 'SELECT 1';
      case 'deallocate':
        if (session.name === 'ALL')
          for (const name of [...this.#statements.keys()]) name !== '' && this.#statements.delete(name);
        else if (!this.#statements.delete(session.name)) throw new SqlError('no such statement');
        return 'DEALLOCATE';
      case 'declare': {
        if (this.#portals.has(session.name)) throw new SqlError('exists');
        const permitted = true;
        this.#portals.set(session.name, {
          text,
          source,
          facts: session.inner,
          permitted,
          fits: () => true,
          started: false,
          cursor: session.hold,
        });
        return 'DECLARE CURSOR';
      }
      case 'fetch':
        if (!this.#portals.has(session.name)) throw new SqlError('no such cursor');
        return 'FETCH 0';
      case 'close':
        if (!this.#portals.delete(session.name)) throw new SqlError('no such cursor');
        return 'CLOSE CURSOR';
      case 'discard':
        this.#portals.clear();
        for (const name of [...this.#statements.keys()]) name !== '' && this.#statements.delete(name);
        return 'DISCARD ALL';
      case 'transaction':
        return this.#transaction(session.verb);
      default:
        return TAG[effects[0]?.action ?? ''] ?? 'OK';
    }
  }

  #transaction(verb: string): string {
    if (verb === 'begin') this.#status = 'T';
    if (verb === 'rollback-to' || verb === 'savepoint') {
      if (this.#status === 'I') throw new SqlError('no transaction');
      this.#status = 'T';
    }
    if (verb !== 'commit' && verb !== 'rollback') return verb === 'begin' ? 'BEGIN' : 'SAVEPOINT';
    const committed = verb === 'commit' && this.#status !== 'E';
    this.#status = 'I';
    this.#endPortals(committed);
    return committed ? 'COMMIT' : 'ROLLBACK';
  }

  #endPortals(committed: boolean): void {
    for (const [name, portal] of [...this.#portals]) {
      if (portal.cursor && (committed || portal.kept)) portal.kept = true;
      else this.#portals.delete(name);
    }
  }

  #copyIn(how: { simple: boolean; rest: readonly StatementFacts[] }): void {
    this.#copying = how;
    this.#everCopied = true;
    this.#say(message('G', Buffer.from([0, 0, 0])));
    this.#flush();
  }

  async #copyStep(type: string): Promise<void> {
    if (type === 'd' || type === 'H' || type === 'S') return;
    const { simple, rest } = this.#copying!;
    this.#copying = undefined;
    this.#simple = simple;
    if (type !== 'c') throw new SqlError(`COPY ended by ${type}`);
    this.#say(build.commandComplete('COPY 1'));
    if (simple) await this.#runAll(rest);
  }

  #sync(): void {
    this.#skipping = false;
    this.#ready();
  }

  #ready(): void {
    if (this.#status === 'I') this.#endPortals(true);
    this.#say(build.readyForQuery(this.#status));
    this.#flush();
  }

  #fail({ message: text }: SqlError): void {
    this.#out.push(build.errorResponse({ severity: 'ERROR', sqlstate: '42601', message: text }));
    if (this.#status === 'T') this.#status = 'E';
    else if (this.#status === 'I') this.#endPortals(false);
    this.#skipping = !this.#simple;
    if (this.#simple) this.#ready();
    else this.#flush();
  }

  #say(...bytes: readonly Buffer[]): void {
    this.#out.push(...bytes);
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#out.splice(0));
    if (bytes.length === 0 || !this.#socket.writable) return;
    if (!this.#hostile || !this.#random.once(8)) {
      this.#socket.write(bytes);
      return;
    }
    this.#lied = true;
    if (this.#random.once(10)) this.#socket.destroy();
    else this.#socket.write(this.#random.once(4) ? Buffer.concat([bytes, bytes]) : mutate(bytes, this.#random));
  }
}
