/** One pass of the differential test over given scripts: what was claimed beside what was seen, counted. */
import { type Claim, claimOf, unexplained, unnamed } from './claim.ts';
import type { Observer } from './observer.ts';
import type { Stage } from './stage.ts';

/** Counts of one pass; `wrong` must be empty. */
export type Tally = {
  scripts: number;
  refused: number;
  /** Passed as harmless and ran to the end, or failed on the way. */
  harmless: number;
  harmlessFailed: number;
  /** Not harmless by their claim; of those run and not failed, how many changed something and how many did not. */
  held: number;
  heldChanged: number;
  heldIdle: number;
  /** Only read, and took a transaction id. */
  idTaken: number;
  /** Parsed without being run, to see that parsing does nothing. */
  parsed: number;
  readonly wrong: string[];
};

export const newTally = (): Tally => ({
  scripts: 0,
  refused: 0,
  harmless: 0,
  harmlessFailed: 0,
  held: 0,
  heldChanged: 0,
  heldIdle: 0,
  idTaken: 0,
  parsed: 0,
  wrong: [],
});

export type Shares = {
  /** One in so many of those that are not harmless is run too: for the second claim, and for what holding them was worth. */
  readonly held: number;
  /** One in so many is parsed first, on its own. */
  readonly parsed: number;
};

const BATCH = 50; // texts to a transaction
const PARSED_ALONE = /^\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|MERGE|VALUES|TABLE)\b/i;

/** Draws scripts until the count is reached; what only reads runs in batches, and alone where a batch changed anything. */
export async function compareMany(
  stage: Stage,
  observer: Observer,
  draw: () => readonly string[],
  count: number,
  tally: Tally,
  shares: Shares,
): Promise<void> {
  let batch: string[] = [];
  const empty = async () => {
    const texts = batch;
    batch = [];
    const { quiet, failed } = await observer.quiet(texts);
    if (!quiet) {
      for (const text of texts)
        await compareHarmless(observer, [text], (await claimOf(stage.inspector, [text])) as Judged, tally);
      return;
    }
    tally.harmless += texts.length - failed;
    tally.harmlessFailed += failed;
  };
  for (let i = 0; i < count; i++) {
    const script = draw();
    const claim = await claimOf(stage.inspector, script);
    const alone = 'refused' in claim || script.length > 1 || !claim.effects.every(({ action }) => READS.has(action));
    if (alone || tally.scripts % shares.parsed === 0) await compare(stage, observer, script, tally, shares);
    else {
      tally.scripts++;
      batch.push(script[0]!);
    }
    if (batch.length >= BATCH) await empty();
  }
  await empty();
}

const READS: ReadonlySet<string> = new Set(['read', 'copy-out']);

export async function compare(
  { inspector }: Stage,
  observer: Observer,
  script: readonly string[],
  tally: Tally,
  shares: Shares,
): Promise<void> {
  const claim = await claimOf(inspector, script);
  const turn = tally.scripts++;
  if ('refused' in claim) {
    tally.refused++;
    return;
  }
  if (turn % shares.parsed === 0 && !claim.heldAtParse && script.length === 1 && claim.statements.length === 1) {
    await compareParse(observer, script[0]!, tally);
  }
  if (claim.harmless) await compareHarmless(observer, script, claim, tally);
  else if (turn % shares.held === 0) await compareHeld(observer, script, claim, tally);
  else tally.held++;
}

type Judged = Exclude<Claim, { refused: string }>;

async function compareHarmless(
  observer: Observer,
  script: readonly string[],
  claim: Judged,
  tally: Tally,
): Promise<void> {
  const suspicious = claim.effects.some(({ action }) => action === 'transaction');
  const seen = await observer.run(script, { suspicious });
  if (seen.failed) tally.harmlessFailed++;
  else tally.harmless++;
  if (seen.changes.some(({ kind }) => kind === 'xid')) tally.idTaken++;
  const changes = unexplained(claim, seen);
  if (changes.length > 0)
    tally.wrong.push(`passed as ${actions(claim)}, but changed ${said(changes)}: ${script.join(' ⏎ ')}`);
}

async function compareHeld(observer: Observer, script: readonly string[], claim: Judged, tally: Tally): Promise<void> {
  tally.held++;
  // What ends its own transaction cannot be taken back.
  if (claim.effects.some(({ action }) => action === 'transaction')) return;
  const seen = await observer.run(script);
  if (seen.changes.length > 0) tally.heldChanged++;
  else if (!seen.failed) tally.heldIdle++;
  const tables = unnamed(claim, seen);
  if (tables.length > 0) tally.wrong.push(`changed ${tables.join(', ')}, which no effect names: ${script.join(' ⏎ ')}`);
}

/** The gateway lets the server parse before anybody was asked: that must do nothing, whatever the statement does. */
async function compareParse(observer: Observer, text: string, tally: Tally): Promise<void> {
  if (!PARSED_ALONE.test(text)) return;
  tally.parsed++;
  const seen = await observer.run([`PREPARE parsed_alone AS ${text}`]);
  const changes = seen.changes.filter(({ kind }) => kind !== 'prepared' && kind !== 'lock');
  if (changes.length > 0) tally.wrong.push(`changed ${said(changes)} by being parsed: ${text}`);
}

const said = (changes: readonly { kind: string; name: string }[]): string =>
  changes.map(({ kind, name }) => `${kind} ${name}`).join(', ');
const actions = (claim: Judged): string => [...new Set(claim.effects.map(({ action }) => action))].join(', ');
