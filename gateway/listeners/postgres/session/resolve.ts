/** Texts and names made into facts, as they mean in the session now. Synchronous wherever the inspector is. */
import type { StatementFacts } from '../types.ts';
import { checkStillMeant, innerFacts, knownStatement, type Statement } from './names.ts';
import type { Resolved } from './operation.ts';
import { unknownPortal } from './refusal.ts';
import type { Results } from './shield.ts';
import type { Stay } from './stay.ts';

export function resolveAll(
  stay: Stay,
  statements: readonly StatementFacts[],
): readonly Resolved[] | Promise<readonly Resolved[]> {
  const resolved = statements.map((facts) => resolve(stay, facts));
  return resolved.some((one) => one instanceof Promise) ? Promise.all(resolved) : (resolved as Resolved[]);
}

const ROWLESS: ReadonlySet<StatementFacts['session']['kind']> = new Set([
  'transaction',
  'prepare',
  'deallocate',
  'declare',
  'close',
  'discard',
  'frame',
  'reveal',
]);

/** EXECUTE and FETCH show what the statement behind the name shows. */
export function resultsOf({ facts, inner }: Resolved): Results {
  const { kind } = facts.session;
  if ((kind === 'execute' || kind === 'fetch') && inner) return own(inner, false);
  return own(facts, ROWLESS.has(kind));
}

/** Worked out once for a statement that comes again. */
const results = new WeakMap<StatementFacts, Results>();

function own(statement: StatementFacts, rowless: boolean): Results {
  const facts = statement.like ?? statement;
  let known = results.get(facts);
  if (!known) {
    const { guarded, copyOut } = facts;
    known = { ...(guarded && { guarded }), ...(copyOut && { copyOut }), ...(rowless && { rowless }) };
    results.set(facts, known);
  }
  return known;
}

/** @throws GatewayError UNKNOWN_NAME */
export function resolve(stay: Stay, facts: StatementFacts): Resolved | Promise<Resolved> {
  const { names } = stay;
  const { session } = facts;
  switch (session.kind) {
    case 'execute': {
      const statement = knownStatement(names, session.name);
      if (statement.empty) return { facts, inner: undefined };
      const found = factsOf(stay, statement);
      if (found instanceof Promise) return found.then(([inner]) => ({ facts, inner }));
      return { facts, inner: found[0] };
    }
    case 'fetch': {
      const portal = names.portals.get(session.name);
      if (!portal) throw unknownPortal(session.name, 'cursor');
      checkStillMeant(names, portal, stay.frame.text);
      // A portal of EXECUTE does, and shows, what the statement of that name does.
      const { facts: inner, subject, results } = portal;
      return {
        facts,
        inner: inner && subject && { ...inner, ...results, effects: subject.effects, risks: subject.risks },
      };
    }
    case 'declare':
      return { facts, inner: session.inner };
    default:
      return { facts, inner: undefined };
  }
}

export function inspect(stay: Stay, text: string): readonly StatementFacts[] | Promise<readonly StatementFacts[]> {
  return stay.inspector.inspect(text, stay.frame.context);
}

export function factsOf(
  stay: Stay,
  statement: Statement,
): readonly StatementFacts[] | Promise<readonly StatementFacts[]> {
  const found = inspect(stay, statement.text);
  const { inspector } = stay;
  const own = (all: readonly StatementFacts[]): readonly StatementFacts[] => {
    const facts = innerFacts(statement, all);
    const bound = inspector.boundTypes(statement.parameterTypes);
    return [bound.length === 0 ? facts : { ...facts, effects: [...facts.effects, ...bound] }];
  };
  return found instanceof Promise ? found.then(own) : own(found);
}
