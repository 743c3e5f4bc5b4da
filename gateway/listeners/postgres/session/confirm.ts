/** What the target reports, written into the session's state: names, settings and transactions follow it, never the client. */
import { asGatewayError, GatewayError } from '../../../errors.ts';
import type { Effect } from '../../../operation.ts';
import type { Scrubbed } from '../mask/errors.ts';
import type { Column, ServerMessage, TransactionStatus } from '../messages.ts';
import type { SessionEffect, StatementFacts } from '../types.ts';
import type { Frame } from '../wire.ts';
import { CONFIRMED_ONLY } from './commit.ts';
import { CopyMeter } from './copy.ts';
import type { Portal } from './names.ts';
import { changesSchema, NOTHING_BOUND, opaque, SHADOWED, subjectOf } from './operation.ts';
import type { Reply, ReplyEvents, ReplyOf } from './replies.ts';
import { resultsOf } from './resolve.ts';
import type { Mask } from './shield.ts';
import type { Stay } from './stay.ts';

const NEVER_RAN = 'not run: an earlier message of the same pipeline failed';
const NO_DATA = 0x6e;

export type ConfirmHooks = {
  /** The session cannot go on. */
  fatal(error: GatewayError): void;
};

export class Confirm implements ReplyEvents {
  readonly #stay: Stay;
  readonly #hooks: ConfirmHooks;
  /** Why the Sync under way could not commit: a deferred constraint, a serialization failure. */
  #refused: ServerMessage | undefined;

  constructor(stay: Stay, hooks: ConfirmHooks) {
    this.#stay = stay;
    this.#hooks = hooks;
  }

  relay(bytes: Buffer): void {
    this.#stay.toClient.add(bytes);
  }

  completed(reply: Exclude<Reply, { kind: 'execute' | 'query' | 'sync' }>): void {
    const { names } = this.#stay;
    switch (reply.kind) {
      case 'parse':
        names.statements.confirm(reply.name, reply.statement);
        reply.run?.done('PARSE');
        return;
      case 'bind':
        names.confirmPortal(reply.name, reply.portal);
        return;
      case 'close':
        if (reply.of === 'S') names.statements.confirm(reply.name, undefined);
        else names.confirmPortal(reply.name, undefined);
        return;
      case 'describe':
        return;
      default:
        reply satisfies never;
    }
  }

  statementDone(reply: ReplyOf<'execute'> | ReplyOf<'query'>, tag: string): void {
    if (reply.kind === 'query' && reply.own) return; // BEGIN, COMMIT or ROLLBACK of the gateway's own
    reply.run?.statementDone(tag);
    if (reply.mask && reply.mask !== 'none' && reply.run) this.#stay.shield.count(reply.run.showing);
    const facts = reply.kind === 'query' ? reply.statements[reply.done] : reply.facts;
    const operation = reply.run?.permit.operation;
    if (facts) this.#apply(facts, operation?.effects ?? facts.effects, operation?.text ?? facts.text, tag);
    else if (reply.kind === 'query' && tag !== '') {
      throw new GatewayError('UPSTREAM_GONE', 'the target ran more statements than were found in the text');
    }
    if (reply.kind === 'query') return;
    if (reply.run) this.#stay.finished.push(reply.run);
    if (reply.portal) {
      reply.portal.state = 'done';
      reply.portal.run = undefined;
    }
  }

  suspended(reply: ReplyOf<'execute'>): void {
    if (!reply.portal) return;
    reply.portal.state = 'suspended';
    reply.portal.run = reply.run;
  }

  failed(reply: Reply | undefined, error: ServerMessage, skipped: readonly Reply[]): void {
    const stay = this.#stay;
    stay.failed = true;
    stay.copying = undefined;
    const fatal = error.severity === 'FATAL' || error.severity === 'PANIC';
    const run = reply?.kind === 'bind' ? reply.portal?.run : reply && 'run' in reply ? reply.run : undefined;
    if (run && opaque(run.permit.operation.effects)) this.#doubt();
    if (reply?.kind === 'sync') this.#refused = error;
    if (reply && 'run' in reply) {
      if (fatal) reply.run?.unknown(`the target ended the session (${error.sqlstate}) before it reported an outcome`);
      else reply.run?.failed(error.sqlstate, error.message);
    }
    if (reply?.kind === 'execute' && reply.portal) reply.portal.state = 'done';
    if (reply?.kind === 'bind' && !fatal) reply.portal?.run?.failed(error.sqlstate, error.message);
    for (const never of skipped) {
      if (never.kind === 'parse') never.run?.failed('25P02', NEVER_RAN);
      if (never.kind === 'bind') never.portal?.run?.failed('25P02', NEVER_RAN);
      if (never.kind !== 'execute') continue;
      // Planning can fail, too: then the Execute behind it tells why.
      if (reply?.kind === 'bind' && reply.portal === never.portal) never.run?.failed(error.sqlstate, error.message);
      else never.run?.failed('25P02', NEVER_RAN);
      if (never.portal) never.portal.state = 'done';
    }
    if (fatal) return;
    // The server lets go of the unnamed statement before it reads the new one.
    if (reply?.kind === 'parse' && reply.name === '') stay.names.statements.confirm('', undefined);
    if (reply?.kind === 'query' || reply?.kind === 'sync') return;
    stay.names.forgetOffers();
    stay.skipping = true;
    if (reply?.own && !reply.substitute && reply.kind !== 'describe') {
      this.#hooks.fatal(new GatewayError('UPSTREAM_GONE', 'the target could not be asked for its settings'));
    }
  }

  ready(reply: ReplyOf<'sync'> | ReplyOf<'query'>, status: TransactionStatus): void {
    const stay = this.#stay;
    if (reply.kind === 'query') {
      if (!stay.failed && reply.stage !== 'statement') reply.run?.done();
      // Whatever became of it, a Query destroys the unnamed statement and portal.
      stay.names.statements.confirm('', undefined);
      stay.names.confirmPortal('', undefined);
    }
    this.#settleFinished(status);
    if (status === 'I') {
      stay.shield.transactionOver();
      stay.names.transactionEnded(!stay.failed);
      if (stay.schemaChanged) this.#refresh();
      if (stay.frameTouched) stay.frame.stale = true;
      stay.frameTouched = false;
      stay.schemaChanged = false;
    }
    stay.names.forgetOffers();
    stay.status = status;
    stay.copying = undefined;
    stay.open = false;
    stay.dirty = false;
    stay.executed = 0;
    stay.failed = false;
    stay.unsettled = false;
    stay.flushed = false;
    if (reply.kind === 'query' || !reply.own) stay.skipping = false;
  }

  copyIn(reply: ReplyOf<'execute'> | ReplyOf<'query'>, binary: boolean): void {
    const permit = reply.run?.permit;
    const caps = permit?.hold === undefined ? undefined : permit.operation.caps;
    this.#stay.copying = new CopyMeter(caps, binary);
    this.#stay.copyCommand = reply.kind === 'query' ? 'simple' : 'extended';
  }

  parameter(name: string, value: string): void {
    const wanted = { client_encoding: 'UTF8', standard_conforming_strings: 'on' }[name];
    if (wanted !== undefined && wanted !== value) {
      this.#hooks.fatal(
        new GatewayError('SESSION_FRAME', `${name} became ${value} on the target; the gateway reads SQL as ${wanted}`, {
          hint: 'Connect again and leave this setting alone.',
        }),
      );
      return;
    }
    this.#stay.frame.reported(name, value);
  }

  described(reply: ReplyOf<'query'> | ReplyOf<'describe'>, frame: Frame): void {
    const { shield } = this.#stay;
    if (!shield.active && !this.#stay.taped) return;
    const columns = frame.type === NO_DATA ? [] : shield.columns(frame);
    if (reply.kind === 'query') {
      reply.columns = columns;
      return;
    }
    const description = { columns, as: shield.basis, frame: this.#stay.frame.text };
    if (reply.portal) reply.portal.description = description;
    const statement = reply.statement ?? reply.portal?.statement;
    if (statement) statement.description = description;
  }

  mask(reply: ReplyOf<'execute'> | ReplyOf<'query'>, copy: boolean): Mask | 'none' {
    const { shield } = this.#stay;
    if (!shield.active) return 'none';
    const results = reply.kind === 'query' ? reply.results[reply.done] : reply.portal?.results;
    const how = reply.run?.showing;
    if (!results || !how) throw new GatewayError('UPSTREAM_GONE', 'the target sent rows of a statement that has none');
    if (copy) return shield.copy(results, how) ?? 'none';
    const columns = reply.kind === 'query' ? reply.columns : describedAs(reply.portal);
    if (columns) return shield.rows(results, columns, how) ?? 'none';
    if (!shield.describes(results)) return 'none';
    throw new GatewayError('UPSTREAM_GONE', 'the target sent rows and did not say of which columns');
  }

  report(frame: Frame): Scrubbed | undefined {
    return this.#stay.shield.report(frame);
  }

  /** What runs outside of a transaction block commits, or is undone, with its Sync. */
  #settleFinished(status: TransactionStatus): void {
    const stay = this.#stay;
    const undone = stay.failed && stay.status === 'I' && !stay.transactionVerb;
    const refused = this.#refused;
    this.#refused = undefined;
    for (const run of stay.finished) {
      if (undone && refused) run.failed(refused.sqlstate, refused.message);
      else if (undone) run.failed('25P02', 'undone: another part of the same pipeline failed');
      else {
        if (run.note !== undefined && status !== 'I') run.note = CONFIRMED_ONLY; // a BEGIN beside it keeps it open
        run.done();
      }
    }
    if (stay.finished.length > 0) stay.finished = [];
    stay.transactionVerb = false;
  }

  #apply(facts: StatementFacts, effects: readonly Effect[], source: string, tag: string): void {
    const stay = this.#stay;
    const { names } = stay;
    const { session } = facts;
    this.#applyEffects(effects);
    switch (session.kind) {
      case 'none':
      case 'execute':
      case 'fetch':
        return;
      case 'prepare':
        names.statements.confirm(session.name, {
          text: facts.text,
          made: 'sql',
          source,
          empty: false,
          parameterTypes: [],
        });
        return;
      case 'deallocate':
        if (session.name === 'ALL') names.dropStatements();
        else names.statements.confirm(session.name, undefined);
        return;
      case 'declare':
        names.confirmPortal(session.name, {
          subject: subjectOf(session.inner.text, [{ facts: session.inner, inner: undefined }], NOTHING_BOUND),
          facts: session.inner,
          results: resultsOf({ facts: session.inner, inner: undefined }),
          statement: undefined,
          frame: undefined,
          behind: undefined,
          source,
          cursor: true,
          holdable: session.hold,
          fresh: true,
          state: 'done',
          run: undefined,
          turn: 0,
        });
        return;
      case 'close':
        if (session.name === 'ALL') names.dropPortals();
        else names.confirmPortal(session.name, undefined);
        return;
      case 'discard':
        if (session.what !== 'all') return;
        names.dropStatements();
        names.dropPortals();
        stay.frame.stale = true;
        stay.reveal = undefined; // whoever gets the connection out of a pool gave no reason
        return;
      case 'transaction':
        this.#transaction(session, tag);
        return;
      case 'reveal':
        stay.reveal = session.reason === '' ? undefined : session.reason;
        return;
      case 'frame':
        if (session.setting === 'ALL') stay.reveal = undefined;
        stay.frame.stale = true;
        stay.frameTouched = true;
        return;
      default:
        session satisfies never;
    }
  }

  /** Code ran, if only until it failed: names are no part of a transaction. */
  #doubt(): void {
    const stay = this.#stay;
    stay.frame.stale = true;
    stay.frameTouched = true;
    stay.namesDoubtful = true;
  }

  #applyEffects(judged: readonly Effect[]): void {
    const stay = this.#stay;
    const effects = judged.filter((effect) => effect !== SHADOWED);
    if (opaque(effects)) this.#doubt();
    if (!changesSchema(effects)) return;
    stay.schemaChanged = true;
    stay.shadowed ||= effects.some(({ object }) => object.startsWith('pg_temp'));
  }

  #transaction({ verb }: Extract<SessionEffect, { kind: 'transaction' }>, tag: string): void {
    const stay = this.#stay;
    stay.transactionVerb = true;
    const ends = verb === 'commit' || verb === 'rollback' || verb === 'prepare';
    if (ends) stay.names.transactionEnded(tag.startsWith('COMMIT'));
    if ((ends || verb === 'rollback-to') && stay.frameTouched) stay.frame.stale = true;
  }

  #refresh(): void {
    const stay = this.#stay;
    const refreshing: Promise<void> = stay.inspector.refresh().then(
      () => {
        if (stay.refreshing === refreshing) stay.refreshing = undefined;
      },
      (error) => this.#hooks.fatal(asGatewayError(error, 'UPSTREAM')),
    );
    stay.refreshing = refreshing;
  }
}

/** A portal's columns, where the target has told them for the catalogue as it is. */
export function describedAs(portal: Portal | undefined): readonly Column[] | undefined {
  const known = portal?.description;
  return known === undefined || known === 'asked' ? undefined : known.columns;
}
