/** The session's prepared statements, portals and cursors, as the target has confirmed them. Knows no wire. */
import { GatewayError } from '../../../errors.ts';
import type { StatementFacts } from '../types.ts';
import type { Subject } from './operation.ts';
import type { Run } from './run.ts';
import type { Description, Results } from './shield.ts';

export type Statement = {
  /** What made it: the text of its Parse, or of the whole SQL PREPARE statement. Inspected again at each use. */
  readonly text: string;
  readonly made: 'protocol' | 'sql';
  /** The whole text it came in, as the target remembers it. */
  readonly source: string;
  /** An empty query, which runs nothing. */
  readonly empty: boolean;
  /** OIDs its Parse gave for `$1`, `$2`, …; 0 leaves the type to the server. */
  readonly parameterTypes: readonly number[];
  /** Its columns, once the target has described them; formats are a portal's. */
  description?: Description | undefined;
};

export type Portal = {
  /** What an execution of it does; undefined for an empty query. */
  readonly subject: Subject | undefined;
  readonly facts: StatementFacts | undefined;
  /** What its rows go through. */
  readonly results: Results;
  /** The prepared statement it was made from; a cursor has none. */
  readonly statement: Statement | undefined;
  /** Its columns, once the target has described them; `asked` when it is on the way. */
  description?: Description | 'asked' | undefined;
  /** The settings it was judged in; a cursor's names are looked up once, when it is declared. */
  readonly frame: string | undefined;
  /** What the name in an EXECUTE or a FETCH stood for when it was judged: the server looks when it runs. */
  readonly behind: Statement | Portal | undefined;
  /** The whole text it came in, as the target remembers it. */
  readonly source: string;
  /** A cursor made by DECLARE. */
  readonly cursor: boolean;
  /** WITH HOLD: outlives a commit. */
  readonly holdable: boolean;
  /** Made in the transaction that is still open. */
  fresh: boolean;
  state: 'judged' | 'running' | 'suspended' | 'done';
  /** The permit given for Bind and not used yet, or of an execution that is suspended. */
  run: Run | undefined;
  /** Which turn of the pipeline judged it. */
  turn: number;
};

/**
 * One namespace. `offer` is believed only within its own pipeline, until the target confirms or refuses it. Its maps are
 * made with the first name: most of thousands of idle sessions have none.
 */
class Namespace<T> {
  #confirmed: Map<string, T> | undefined;
  #offered: Map<string, T | undefined> | undefined;

  get(name: string): T | undefined {
    return this.#offered?.has(name) ? this.#offered.get(name) : this.#confirmed?.get(name);
  }

  /** Sent upstream, unanswered: undefined for a Close. */
  offer(name: string, value: T | undefined): void {
    this.#offered ??= new Map();
    this.#offered.set(name, value);
  }

  /** No answer is outstanding: what was not confirmed did not happen. */
  forgetOffers(): void {
    if (this.#offered && this.#offered.size > 0) this.#offered.clear();
  }

  /** Returns what was there before. */
  confirm(name: string, value: T | undefined): T | undefined {
    const before = this.#confirmed?.get(name);
    if (value === undefined) this.#confirmed?.delete(name);
    else {
      this.#confirmed ??= new Map();
      this.#confirmed.set(name, value);
    }
    if (this.#offered?.get(name) === value) this.#offered?.delete(name);
    return before === value ? undefined : before;
  }

  get size(): number {
    return (this.#confirmed?.size ?? 0) + (this.#offered?.size ?? 0);
  }

  entries(): Iterable<[string, T]> {
    return this.#confirmed?.entries() ?? [];
  }
}

export class Names {
  readonly statements = new Namespace<Statement>();
  readonly portals = new Namespace<Portal>();

  forgetOffers(): void {
    this.statements.forgetOffers();
    this.portals.forgetOffers();
  }

  confirmPortal(name: string, portal: Portal | undefined): void {
    const before = this.portals.confirm(name, portal);
    if (before) leave(before);
  }

  /** DEALLOCATE ALL, DISCARD ALL: the unnamed statement is not in the server's table and stays. */
  dropStatements(): void {
    for (const [name] of [...this.statements.entries()]) if (name !== '') this.statements.confirm(name, undefined);
  }

  dropPortals(): void {
    for (const [name] of [...this.portals.entries()]) this.confirmPortal(name, undefined);
  }

  /** Portals die with their transaction; a WITH HOLD cursor lives on if it was committed. */
  transactionEnded(committed: boolean): void {
    for (const [name, portal] of [...this.portals.entries()]) {
      if (portal.holdable && (committed || !portal.fresh)) portal.fresh = false;
      else this.confirmPortal(name, undefined);
    }
  }
}

/** A portal is gone: what was permitted for it is over. */
function leave(portal: Portal): void {
  if (portal.state === 'judged') portal.run?.done('BIND');
  else if (portal.state === 'suspended') portal.run?.done('SUSPENDED');
  if (portal.state !== 'running') portal.run = undefined;
}

/** What an EXECUTE or a FETCH would find now. */
export function behindOf(names: Names, { session }: StatementFacts): Statement | Portal | undefined {
  if (session.kind === 'execute') return names.statements.get(session.name);
  return session.kind === 'fetch' ? names.portals.get(session.name) : undefined;
}

/**
 * A portal that has not run does what its text means when it runs, not when it was bound: COPY, EXECUTE, FETCH and their
 * kind look their names up then.
 * @throws GatewayError UNSUPPORTED where that is not what was judged
 */
export function checkStillMeant(names: Names, portal: Portal, frame: string): void {
  if (portal.cursor || !portal.facts || portal.state === 'suspended') return;
  const { behind } = portal;
  if (portal.frame !== frame || behindOf(names, portal.facts) !== behind) {
    throw new GatewayError('UNSUPPORTED', 'settings or names have changed since this portal was bound', {
      hint: 'Bind it again.',
    });
  }
  if (behind && 'state' in behind) checkStillMeant(names, behind, frame);
}

/** @throws GatewayError UNKNOWN_NAME */
export function knownStatement(names: Names, name: string): Statement {
  const statement = names.statements.get(name);
  if (statement) return statement;
  throw new GatewayError(
    'UNKNOWN_NAME',
    name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${name}" does not exist`,
  );
}

/** A statement's own facts, cut out of what its text was found to do. */
export function innerFacts(statement: Statement, found: readonly StatementFacts[]): StatementFacts {
  const [facts] = found;
  if (!facts || found.length !== 1)
    throw new GatewayError('UNPARSEABLE', 'the prepared statement cannot be read again');
  if (statement.made === 'protocol') return facts;
  if (facts.session.kind !== 'prepare')
    throw new GatewayError('UNPARSEABLE', 'the prepared statement cannot be read again');
  return facts.session.inner;
}
