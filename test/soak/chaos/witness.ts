/** Four witnesses of what became of a held statement: the database, the client, the card, the audit trail. Do they agree? */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { verifyDir } from '../../../gateway/audit/verify.ts';
import { verifyingKey } from '../../../queue/sign.ts';
import { withClient } from '../../support/seed.ts';
import { hasButton, shownBy } from '../../support/workspace.ts';
import type { Stage } from './stage.ts';

export type Seen = {
  /** `done`, an error, a connection that ended, or still nothing. */
  readonly client:
    | { readonly kind: 'done'; readonly tag: string }
    | { readonly kind: 'error'; readonly sqlstate: string; readonly message: string; readonly hint: string }
    | { readonly kind: 'lost'; readonly message: string }
    | { readonly kind: 'waiting' };
  /** How often it ran, counted in the database. */
  readonly runs: number;
  readonly card: { readonly says: CardSays; readonly text: string; readonly cards: number };
  readonly audit: { readonly says: AuditSays; readonly entries: readonly string[] };
};

export type CardSays = 'done' | 'failed' | 'not run' | 'unknown' | 'open' | 'running' | 'none';
export type AuditSays = 'done' | 'failed' | 'not run' | 'unknown' | 'released, no end' | 'open' | 'none';

export async function cardOf(stage: Stage, table: string): Promise<Seen['card']> {
  const about = (await stage.slack.messages()).filter(
    (message) => !message.thread_ts && shownBy(message).includes(table),
  );
  const message = about.at(-1);
  if (!message) return { says: 'none', text: '', cards: 0 };
  const text = shownBy(message);
  const says: CardSays = hasButton(message, 'approve')
    ? 'open'
    : /outcome unknown/i.test(text)
      ? 'unknown'
      : /nothing was run/i.test(text)
        ? 'not run'
        : /Failed on the target/.test(text)
          ? 'failed'
          : /UPDATE [\d,]+ (rows? )?in /.test(text)
            ? 'done'
            : 'running';
  return { says, text, cards: about.length };
}

type Entry = Record<string, unknown> & { kind: string };

/** Every entry of every gateway's trail; of several processes' where there are. */
export async function entriesOf(stage: Stage): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const dir of await stage.trails()) {
    const files = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.jsonl'));
    for (const file of files) {
      const lines = (await readFile(join(dir, file), 'utf8')).split('\n').filter(Boolean);
      for (const line of lines) {
        try {
          entries.push(JSON.parse(line));
        } catch {
          // half a line: being written, or torn by a crash; `trailsVerify` tells
        }
      }
    }
  }
  return entries;
}

/** The hold of the statement about this table; `undefined` before there is one. */
export async function holdAbout(stage: Stage, table: string): Promise<string | undefined> {
  return holdIn(await entriesOf(stage), table);
}

function holdIn(entries: readonly Entry[], table: string): string | undefined {
  const operation = entries.findLast(
    ({ kind, statement, verdict }) => kind === 'operation' && verdict === 'hold' && String(statement).includes(table),
  )?.operation;
  if (operation === undefined) return undefined;
  const hold = entries.find((entry) => entry.kind === 'hold.open' && entry.operation === operation)?.hold;
  return hold === undefined ? undefined : String(hold);
}

export async function auditOf(stage: Stage, table: string): Promise<Seen['audit']> {
  const entries = await entriesOf(stage);
  const hold = holdIn(entries, table);
  const mine = hold === undefined ? [] : entries.filter((entry) => entry.hold === hold);
  const last = (kind: string) => mine.findLast((entry) => entry.kind === kind);
  const outcome = last('outcome');
  const settled = last('hold.settled');
  let says: AuditSays = mine.length === 0 ? 'none' : 'open';
  if (outcome) says = outcome.outcome === 'unknown' ? 'unknown' : outcome.outcome === 'failed' ? 'failed' : 'done';
  else if (settled && settled.state !== 'approved') says = 'not run';
  else if (last('hold.released')) says = 'released, no end';
  const told = ({ kind, state, outcome, counted }: Entry) =>
    [kind, state, outcome, counted === undefined ? undefined : counted === true ? 'counted' : 'not counted']
      .filter((part) => part !== undefined)
      .join(' ');
  return { says, entries: mine.map(told) };
}

/** Is every trail of this stage whole? A torn last line is what a crash leaves. */
export async function trailsVerify(stage: Stage): Promise<string | undefined> {
  const keys = [verifyingKey(stage.world.auditKey)];
  for (const dir of await stage.trails()) {
    const nested = (await readdir(dir, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    for (const one of nested.length > 0 ? nested.map((entry) => join(dir, entry.name)) : [dir]) {
      const { ok, misfit } = await verifyDir(one, { keys });
      if (!ok) return `${misfit?.file} line ${misfit?.line}: ${misfit?.what}, ${misfit?.detail}`;
    }
  }
  return undefined;
}

export async function runsOf(stage: Stage, table: string): Promise<number> {
  return withClient(stage.world.upstreamUrl, async (client) => {
    const { rows } = await client.query(`SELECT runs FROM ${table}`);
    return Number(rows[0].runs);
  });
}

/** Has everybody said how it ended? */
export function isOver({ client, card, audit }: Seen): boolean {
  if (client.kind === 'waiting') return false;
  if (card.says === 'open' || card.says === 'running') return false;
  // A request that nobody could be asked about has no card, and none is to come.
  if (card.says === 'none' && audit.says !== 'not run' && audit.says !== 'none') return false;
  return audit.says !== 'open' && audit.says !== 'released, no end';
}

/** What does not fit together; empty when all agree and nothing ran twice. */
export function disagreements({ client, runs, card, audit }: Seen): string[] {
  const wrong: string[] = [];
  const say = (isWrong: boolean, text: string) => {
    if (isWrong) wrong.push(text);
  };
  const told = client.kind === 'error' ? `${client.message} ${client.hint}` : '';
  const released = audit.entries.some((entry) => entry.startsWith('hold.released'));
  say(runs > 1, `it ran ${runs} times`);
  say(client.kind === 'waiting', 'the client still waits');
  say(client.kind === 'done' && runs !== 1, 'the client was told that it ran');
  say(/nothing was run/i.test(told) && runs !== 0, 'the client was told that nothing was run');
  say(card.cards > 1, `there are ${card.cards} cards`);
  say(card.says === 'open' || card.says === 'running', `the card has no end: ${card.says}`);
  say(card.says === 'none' && runs > 0, 'it ran without a card');
  say(card.says === 'done' && runs !== 1, 'the card says that it ran');
  say((card.says === 'not run' || card.says === 'failed') && runs !== 0, 'the card says that it did not run');
  say(card.says === 'unknown' && !released, 'the card says unknown of what was never released');
  say(audit.says === 'open' || audit.says === 'released, no end', `the trail has no end: ${audit.says}`);
  say(audit.says === 'done' && runs !== 1, 'the trail says that it ran');
  say((audit.says === 'not run' || audit.says === 'failed') && runs !== 0, 'the trail says that it did not run');
  say(audit.says === 'none' && runs > 0, 'it ran without a trail');
  say(runs > 0 && !released, 'it ran without a release on record');
  const ends = audit.entries.filter((entry) => /^(outcome|hold\.settled (?!approved))/.test(entry));
  say(ends.length > 1, `the trail has ${ends.length} ends: ${ends.join(', ')}`);
  return wrong;
}
