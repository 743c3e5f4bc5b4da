/** Statements that are to come, read as a new session would send them: one operation each, for whoever judges plans. */
import { randomUUID } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import type { Profile } from '../../masking/profile.ts';
import type { Operation } from '../../operation.ts';
import { SessionFrame } from './session/frame.ts';
import { type Asker, changesSchema, NOTHING_BOUND, operationOf, subjectOf } from './session/operation.ts';
import { DEFAULT_LIMITS } from './session/stay.ts';
import type { Inspector, StatementFacts } from './types.ts';

export type PlanRead = {
  readonly operations: readonly Operation[];
  /** Settings in which they were read. */
  readonly frame: string;
};

/**
 * Behind one that changes definitions the names of later ones may stand for something else: they are judged as in a
 * transaction with it. @throws GatewayError UNPARSEABLE | UNSUPPORTED, with the number of the statement
 */
export async function readPlan(
  texts: readonly string[],
  {
    inspector,
    searchPath,
    profile,
    asker,
  }: { inspector: Inspector; searchPath: string; profile: Profile | undefined; asker: Asker },
): Promise<PlanRead> {
  const frame = new SessionFrame(searchPath, new Map(), () => profile);
  const operations: Operation[] = [];
  let shadowed = false;
  for (const [at, text] of texts.entries()) {
    const statements = await inspected(inspector, text, frame, at + 1);
    const subject = subjectOf(
      text,
      statements.map((facts) => ({ facts, inner: undefined })),
      NOTHING_BOUND,
    );
    operations.push(
      operationOf(subject, asker, {
        id: randomUUID(),
        frame: frame.text,
        inTransaction: false,
        shadowed,
        foreign: false,
        caps: DEFAULT_LIMITS.copy,
        guarded: profile?.hasColumns === true,
        tooOften: false,
        reveal: undefined,
        shape: undefined,
      }),
    );
    shadowed ||= statements.some(({ effects }) => changesSchema(effects));
  }
  return { operations, frame: frame.text };
}

async function inspected(
  inspector: Inspector,
  text: string,
  frame: SessionFrame,
  number: number,
): Promise<readonly StatementFacts[]> {
  let statements: readonly StatementFacts[];
  try {
    statements = await inspector.inspect(text, frame.context);
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown;
    throw new GatewayError('UNPARSEABLE', `statement ${number} cannot be planned: ${thrown.message}`);
  }
  const no = statements.length === 0 ? 'it is empty' : statements.map(objection).find((why) => why !== undefined);
  if (no !== undefined) throw new GatewayError('UNSUPPORTED', `statement ${number} cannot be planned: ${no}`);
  return statements;
}

/** What a statement's text alone does not say enough about. */
function objection({ session, copy }: StatementFacts): string | undefined {
  if (copy === 'in') return 'the data that follows COPY is not part of it';
  switch (session.kind) {
    case 'execute':
    case 'fetch':
      return 'what it runs is named in its session only';
    case 'frame':
    case 'reveal':
      return 'it changes what those behind it mean';
    default:
      return undefined;
  }
}
