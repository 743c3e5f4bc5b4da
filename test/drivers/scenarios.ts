/** What each client is put through, what people do meanwhile, and what has to have come of it. */
import assert from 'node:assert/strict';
import { eventually, hasButton, type Message, shownBy, type Workspace } from '../support/workspace.ts';
import type { Story } from './story.ts';

/** One client in one scenario, as its checks see it. */
export type Scene = {
  readonly story: Story;
  readonly slack: Workspace;
  readonly table: string;
  readonly client: Expected;
  /** The table's rows, read from the target directly. */
  rows(): Promise<{ id: number; v: number }[]>;
};

/** In what a client may differ from the others, written down beforehand. */
export type Expected = {
  /** It hands the server's notices to whoever uses it. */
  readonly notices: boolean;
  /** It tells how many rows were touched. */
  readonly counts: boolean;
  /** It tells the transaction's state: in words, or not at all. */
  readonly status?: { readonly open: unknown; readonly failed: unknown };
  /** What its own timeout looks like to the caller. */
  readonly timeout: RegExp;
  /** What its own cancel looks like to the caller; left out: SQLSTATE 57014. */
  readonly cancel?: RegExp;
  /** It hides the SQLSTATE; messages are all there is. */
  readonly noSqlstate?: boolean;
  /** An error ends the client: there is no next statement in a failed transaction. */
  readonly endsOnError?: boolean;
  /** A statement that fails inside its own transaction API ends the transaction there. */
  readonly ownTransactions?: boolean;
};

export type Scenario = {
  readonly name: string;
  readonly claim: string;
  /** What people do while the program runs. */
  drive(scene: Scene): Promise<void>;
  check(scene: Scene): Promise<void>;
};

const ALICE = 'U0ALICE';
const REASON = 'not during the audit';

const cardOf = (scene: Scene, but?: string): Promise<Message> =>
  scene.slack.message(
    (shown, { ts, blocks }) =>
      ts !== but && shown.includes(scene.table) && hasButton({ ...(blocks ? { blocks } : {}) }, 'deny'),
    { ms: 30_000 },
  );

async function approve(scene: Scene, but?: string): Promise<string> {
  const { ts } = await cardOf(scene, but);
  const clicked = await scene.slack.click(ALICE, { ts }, 'approve');
  assert.equal(clicked.ok, true, clicked.error);
  return ts;
}

async function deny(scene: Scene, but?: string): Promise<void> {
  const { ts } = await cardOf(scene, but);
  const clicked = await scene.slack.deny(ALICE, ts, REASON);
  assert.equal(clicked.ok, true, clicked.error);
}

/** The card became a record that says so, and nothing on it can be clicked any more. */
async function settled(scene: Scene, how: RegExp): Promise<void> {
  const record = await scene.slack.message(
    (shown, message) => shown.includes(scene.table) && !hasButton(message, 'approve') && how.test(shown),
  );
  assert.match(shownBy(record), /nothing was run/i);
  const late = await scene.slack.click(ALICE, { ts: record.ts }, 'approve');
  assert.equal(late.ok, false, 'a settled card has no button to click');
  assert.equal((await scene.rows()).length, 3, 'a late click runs nothing');
}

function succeeded({ story, client }: Scene, name: string, count?: unknown): void {
  const step = story.step(name);
  assert.equal(step.error, undefined, `${name}: ${JSON.stringify(step.error)}`);
  if (count !== undefined && client.counts) assert.deepEqual(step.value, count, name);
}

function failed({ story, client }: Scene, name: string, sqlstate: string, message: RegExp): void {
  const { error } = story.step(name);
  assert.ok(error, `${name} did not fail`);
  if (!client.noSqlstate) assert.equal(error.sqlstate, sqlstate, `${name}: ${JSON.stringify(error)}`);
  assert.match(error.message, message, name);
}

/** While it still waits: nobody has clicked yet. */
async function isTold({ story, client }: Scene): Promise<void> {
  if (!client.notices) return;
  await eventually(() => story.notices.length > 0);
  assert.match(story.notices.join('\n'), /held for approval · [0-9a-f]{6} · asking @dba-oncall \(0 of 1\) · until /);
}

function status({ story, client }: Scene, of: 'open' | 'failed'): void {
  if (client.status) assert.equal(story.step('status').value, client.status[of], 'the transaction’s state');
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'approve',
    claim: 'waits, is told whom for, and goes on by itself when approved',
    drive: async (scene) => {
      await isTold(scene);
      await approve(scene);
    },
    check: async (scene) => {
      succeeded(scene, 'held', 3);
      succeeded(scene, 'after');
      assert.deepEqual(await scene.rows(), []);
    },
  },
  {
    name: 'deny',
    claim: 'gets a native error with the rule and the human’s reason, and stays usable',
    drive: (scene) => deny(scene),
    check: async (scene) => {
      failed(scene, 'held', '42501', /no-where.*not during the audit|not during the audit.*no-where/s);
      succeeded(scene, 'after');
      assert.equal((await scene.rows()).length, 3);
    },
  },
  {
    name: 'expire',
    claim: 'gets a native error when nobody decided, and stays usable',
    drive: async () => {},
    check: async (scene) => {
      failed(scene, 'held', '42501', /expired|nobody decided|in time/i);
      succeeded(scene, 'after');
      await settled(scene, /expired/i);
    },
  },
  {
    name: 'begin-approve',
    claim: 'keeps its transaction over a hold, and commits it',
    drive: (scene) => approve(scene).then(() => {}),
    check: async (scene) => {
      succeeded(scene, 'held', 4);
      status(scene, 'open');
      succeeded(scene, 'commit');
      succeeded(scene, 'after');
      assert.deepEqual(await scene.rows(), []);
    },
  },
  {
    name: 'begin-deny',
    claim: 'finds its transaction failed after a denial, rolls back and goes on',
    drive: (scene) => deny(scene),
    check: async (scene) => {
      failed(scene, 'held', '42501', /not during the audit/);
      if (!scene.client.endsOnError) {
        status(scene, 'failed');
        if (!scene.client.ownTransactions) failed(scene, 'next', '25P02', /aborted/);
        succeeded(scene, 'rollback');
      }
      succeeded(scene, 'after');
      assert.equal((await scene.rows()).length, 3, 'the insert before it is undone');
    },
  },
  {
    name: 'prepared',
    claim: 'asks anew for each execution of a prepared statement',
    drive: async (scene) => deny(scene, await approve(scene)),
    check: async (scene) => {
      succeeded(scene, 'held', 3);
      failed(scene, 'again', '42501', /not during the audit/);
      succeeded(scene, 'after');
      assert.deepEqual(
        [...new Set((await scene.rows()).map(({ v }) => v))],
        [10],
        'the approved one ran, the other not',
      );
    },
  },
  {
    name: 'pipelined',
    claim: 'keeps what is pipelined around a held statement in order',
    drive: (scene) => approve(scene).then(() => {}),
    check: async (scene) => {
      succeeded(scene, 'batch', [1, 4, 1]);
      succeeded(scene, 'after');
      assert.deepEqual(await scene.rows(), [{ id: 5, v: 0 }]);
    },
  },
  {
    name: 'cancel',
    claim: 'withdraws the request with its own cancel, and stays usable',
    drive: async (scene) => {
      await cardOf(scene);
      scene.story.say('cancel');
    },
    check: async (scene) => {
      const { cancel } = scene.client;
      if (cancel) assert.match(JSON.stringify(scene.story.step('held').error ?? ''), cancel);
      else failed(scene, 'held', '57014', /cancel|withdrawn/i);
      succeeded(scene, 'after');
      await settled(scene, /withdrawn/i);
    },
  },
  {
    name: 'timeout',
    claim: 'withdraws the request with its own timeout; a later click runs nothing',
    drive: (scene) => cardOf(scene).then(() => {}),
    check: async (scene) => {
      assert.match(JSON.stringify(scene.story.step('held').error ?? ''), scene.client.timeout);
      succeeded(scene, 'after');
      await settled(scene, /withdrawn/i);
    },
  },
  {
    name: 'beside',
    claim: 'does everything else it does unasked: introspection, settings, pools, savepoints',
    drive: async () => {},
    check: async (scene) => {
      for (const name of scene.story.steps.keys()) succeeded(scene, name);
      succeeded(scene, 'beside');
    },
  },
];
