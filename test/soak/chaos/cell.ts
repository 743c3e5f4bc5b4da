/** One cell of the matrix: a held statement, a part that fails at one stage of it, and what everybody said in the end. */
import pg from 'pg';
import { withClient } from '../../support/seed.ts';
import { eventually, hasButton, shownBy } from '../../support/workspace.ts';
import { PEOPLE } from '../../support/world.ts';
import { FAILURES, type Failure, happens, LASTS, PARTS, type Part, strike } from './failures.ts';
import { failing, type Stage, until } from './stage.ts';
import { auditOf, cardOf, disagreements, holdAbout, isOver, runsOf, type Seen, trailsVerify } from './witness.ts';

export const STAGES = ['before the card', 'before the vote', 'vote on its way', 'being released', 'running'] as const;
export type When = (typeof STAGES)[number];

export type Cell = { readonly name: string; readonly part: Part; readonly failure: Failure; readonly when: When };

export type Result = {
  readonly name: string;
  readonly seen: Seen;
  /** Refused, executed once, or unknown; undefined where the witnesses do not agree. */
  readonly verdict: 'refused' | 'once' | 'unknown' | undefined;
  readonly wrong: readonly string[];
  /** From everything being back to everybody having said how it ended, s. */
  readonly trueAfter: number;
};

export const CELLS: readonly Cell[] = PARTS.flatMap((part) =>
  FAILURES.filter((failure) => happens(part, failure)).flatMap((failure) =>
    STAGES.map((when) => ({ name: `${part}/${failure}/${when.replaceAll(' ', '-')}`, part, failure, when })),
  ),
);

/** After everything is back, so long may it take until nobody says anything that is not so. */
const TRUE_WITHIN_MS = 60_000;
/** A slow part stays slow until all is over, or for so long. */
const SLOW_FOR_MS = 25_000;
const CLICK_EVERY_MS = 700;

/** In a job on its way to the gateway, and in what the gateway asks Redis to record of a release. */
const A_VOTE = String.raw`\"kind\":\"vote\"`;
const A_RELEASE = `redis.call('EXISTS', KEYS[3])`; // of the script that records a release, and of no other

/** A statement that nobody has approved, on its way through the gateway, and what its client has heard. */
export type Asked = {
  readonly table: string;
  send(): void;
  heard(): Seen['client'];
  end(): void;
  /** Lets go of the row it waits for, when it was held back. */
  unlock(): void;
};

let tables = 0;

/** `locked`: once released it runs until `unlock`. */
export async function ask(stage: Stage, { locked = false } = {}): Promise<Asked> {
  tables += 1;
  const table = `cell_${tables}_x`;
  await withClient(stage.world.upstreamUrl, (client) =>
    client.query(`CREATE TABLE ${table} (runs int); INSERT INTO ${table} VALUES (0)`),
  );
  const locker = locked ? new pg.Client(stage.world.upstreamUrl) : undefined;
  locker?.on('error', () => {}); // it goes when its server is killed
  await locker?.connect();
  await locker?.query(`BEGIN; SELECT * FROM ${table} FOR UPDATE`);
  const url = new URL(await stage.world.downstream({ gateway: stage.gateway() }));
  url.port = String(stage.links.client.port);
  const client = new pg.Client({ connectionString: url.href });
  let heard: Seen['client'] = { kind: 'waiting' };
  client.on('error', () => {});
  client.on('end', () => {
    if (heard.kind === 'waiting') heard = { kind: 'lost', message: 'the connection ended' };
  });
  await client.connect();
  const send = async () => {
    try {
      const { command, rowCount } = await client.query(`UPDATE ${table} SET runs = runs + 1`);
      heard = { kind: 'done', tag: `${command} ${rowCount}` };
    } catch (thrown) {
      const { message, code, hint, severity } = thrown as Error & { code?: string; hint?: string; severity?: string };
      heard =
        severity === undefined
          ? { kind: 'lost', message }
          : { kind: 'error', sqlstate: code ?? '', message, hint: hint ?? '' };
    }
  };
  return {
    table,
    send: () => void send(),
    heard: () => heard,
    end: () => void client.end().catch(() => {}),
    unlock: () => void locker?.end().catch(() => {}),
  };
}

/** Is there an open card to click on? Clicks it, as somebody would who waits for it to work. */
export async function clickOnce(stage: Stage, table: string): Promise<boolean> {
  const open = (await stage.slack.messages()).findLast(
    (message) => shownBy(message).includes(table) && hasButton(message, 'approve'),
  );
  if (open) await stage.slack.click(PEOPLE.alice, { ts: open.ts }, 'approve');
  return open !== undefined;
}

export const openCard = (stage: Stage, table: string) =>
  until(`an open card about ${table}`, async () => (await cardOf(stage, table)).says === 'open');

/** Resolves with a way to go on, at the very stage; nothing has failed yet. */
async function reach(stage: Stage, asked: Asked, when: When): Promise<() => Promise<void>> {
  const { links } = stage;
  const { table } = asked;
  switch (when) {
    case 'before the card': {
      links.slack.freeze();
      asked.send();
      const hold = await until('a hold', () => holdAbout(stage, table));
      const redis = await stage.redis();
      await until('a bot that has it', async () => (await redis.hexists(`countersign:bot:card:${hold}`, 'card')) === 1);
      return () => links.slack.flow();
    }
    case 'before the vote':
      asked.send();
      await openCard(stage, table);
      return async () => {};
    case 'vote on its way':
    case 'being released': {
      asked.send();
      await openCard(stage, table);
      const there =
        when === 'vote on its way'
          ? links.gatewayRedis.freezeAt('down', A_VOTE)
          : links.gatewayRedis.freezeAt('up', A_RELEASE);
      let sprung = false;
      void there.then(() => {
        sprung = true;
      });
      await approved(stage, table, async () => sprung, `${when}: it came by`);
      return () => links.gatewayRedis.flow();
    }
    case 'running':
      asked.send();
      await openCard(stage, table);
      await approved(stage, table, () => isRunning(stage, table), 'a statement that runs');
      return async () => asked.unlock();
  }
}

/** Clicks until that is so: on a busy machine Slack may say that a click took too long. */
export async function approved(
  stage: Stage,
  table: string,
  soFar: () => Promise<boolean>,
  what: string,
): Promise<void> {
  let clicking = false;
  await until(what, async () => {
    if (await soFar()) return true;
    if (!clicking) {
      clicking = true;
      void clickOnce(stage, table)
        .catch(() => {})
        .finally(() => {
          clicking = false;
        });
    }
    return false;
  });
}

export const isRunning = (stage: Stage, table: string): Promise<boolean> =>
  withClient(stage.world.upstreamUrl, async (client) => {
    const { rows } = await client.query(
      `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%UPDATE ${table} SET%'`,
    );
    return rows.length > 0;
  });

export async function runCell(stage: Stage, { name, part, failure, when }: Cell): Promise<Result> {
  let asked: Asked | undefined;
  try {
    const one = await ask(stage, { locked: when === 'running' });
    asked = one;
    const goOn = await reach(stage, one, when);
    const restore = await strike(stage, part, failure);
    // What held it at this stage lets go, unless it is the very link that has failed now.
    const owns = when === 'before the card' ? ['slack', 'bot'] : ['redis', 'gateway'];
    const linkFailed = failure !== 'killed' && failure !== 'paused' && owns.includes(part) && when !== 'running';
    const stillFrozen = part === 'slack' && failure === 'paused' && when === 'before the card';
    if (!linkFailed && !stillFrozen) await goOn();
    if (when === 'before the vote') void clickOnce(stage, one.table).catch(() => {});
    if (failure === 'slow') await pressOn(stage, one, SLOW_FOR_MS);
    else await new Promise((resolve) => setTimeout(resolve, LASTS[failure]));
    await restore();
    const back = performance.now();
    const seen = await pressOn(stage, one, TRUE_WITHIN_MS);
    const trueAfter = (performance.now() - back) / 1_000;
    return await judged(stage, name, seen, trueAfter);
  } catch (error) {
    const card = await cardOf(stage, asked?.table ?? 'no table').catch(String);
    throw new Error(`${name}: client: ${JSON.stringify(asked?.heard())}, card: ${JSON.stringify(card)}`, {
      cause: error,
    });
  } finally {
    asked?.end();
    asked?.unlock();
    stage.links.gatewayRedis.disarm();
    await Promise.all(Object.values(stage.links).map((link) => link.flow()));
  }
}

/** What all four say now. */
export async function look(stage: Stage, asked: Asked): Promise<Seen> {
  const [runs, card, audit] = await Promise.all([
    runsOf(stage, asked.table),
    cardOf(stage, asked.table),
    auditOf(stage, asked.table),
  ]);
  return { client: asked.heard(), runs, card, audit };
}

/** Clicks for as long as there is something to click, until everybody has said how it ended; or as it is after `ms`. */
export async function pressOn(stage: Stage, asked: Asked, ms: number, ended = isOver): Promise<Seen> {
  let clicking: Promise<unknown> | undefined;
  let clickedAt = 0;
  let seen: Seen | undefined;
  const over = await eventually(async () => {
    const now = performance.now();
    if (!clicking && now - clickedAt > CLICK_EVERY_MS) {
      clickedAt = now;
      clicking = clickOnce(stage, asked.table)
        .catch(() => false)
        .finally(() => {
          clicking = undefined;
        });
    }
    seen = await look(stage, asked).catch(() => undefined);
    return seen !== undefined && ended(seen);
  }, ms);
  await clicking;
  if (over) return seen ?? failing('nothing was seen');
  return look(stage, asked);
}

/** What was not run may be missing from a trail that nobody could write to. */
export const endedOnRecord = (seen: Seen): Seen =>
  seen.runs === 0 ? { ...seen, audit: { ...seen.audit, says: 'not run' } } : seen;

/** `expected`: where one verdict alone will do. `trailless`: nothing could be recorded any more, so nothing may have run. */
export async function judged(
  stage: Stage,
  name: string,
  seen: Seen,
  trueAfter: number,
  { expected, trailless = false }: { expected?: Result['verdict']; trailless?: boolean } = {},
): Promise<Result> {
  const wrong = disagreements(trailless ? endedOnRecord(seen) : seen);
  const trail = await trailsVerify(stage);
  if (trail !== undefined) wrong.push(`the trail does not verify: ${trail}`);
  for (const part of [stage.gateway(), stage.bot()]) if (!part.alive()) wrong.push(`${part.name} has ended`);
  const unknown = seen.card.says === 'unknown' || seen.audit.says === 'unknown';
  const came = unknown ? 'unknown' : seen.runs === 1 ? 'once' : 'refused';
  if (expected !== undefined && came !== expected) wrong.push(`expected ${expected}, not ${came}`);
  const verdict = wrong.length > 0 ? undefined : came;
  return { name, seen, verdict, wrong, trueAfter };
}
