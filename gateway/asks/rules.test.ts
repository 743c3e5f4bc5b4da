/** Changes of the rules, as gateways make them: what holds at once, what waits, what is refused because others wrote. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { systemClock } from '../holds/clock.ts';
import { parseLine } from '../policy/line.ts';
import { printLine } from '../policy/line-print.ts';
import type { Rule } from '../policy/policy.ts';
import { ruleSchema } from '../policy/schema.ts';
import { RuleStore } from '../state/rules.ts';
import { RulesHistory } from '../state/rules-history.ts';
import { SignedStore } from '../state/signed.ts';
import type { Asker, Change } from './asks.ts';
import { rulesAnswers } from './rules.ts';

const asker = (user: string, more: Partial<Asker> = {}): Asker => ({
  user,
  team: 'T0',
  name: user,
  admin: true,
  approver: true,
  own: () => false,
  channel: 'C0',
  ask: `ask-${user}`,
  ...more,
});
const CAROL = asker('U0CAROL');
const floor = (line: string): Rule => {
  const parsed = parseLine(line);
  assert.ok(parsed.kind === 'rule');
  return { ...parsed.rule, source: 'file' };
};

describe('rules by command', () => {
  let redis: TestRedis;
  let commands: Redis;
  let dir: string;
  let store: RuleStore;
  let answers: ReturnType<typeof rulesAnswers>;
  let files = 0;
  const entries: AuditEntry[] = [];
  const told: string[] = [];
  const cards: Change[] = [];
  let failing: string | undefined;

  before(async () => {
    redis = await startRedis();
    commands = connectCommands(redis.url, () => {});
    await connected(commands, 5_000);
    dir = await mkdtemp(join(tmpdir(), 'countersign-rules-asks-'));
  });
  after(async () => {
    store.stop();
    commands.disconnect();
    await redis.stop();
    await rm(dir, { recursive: true });
  });
  beforeEach(async () => {
    await commands.flushall();
    for (const list of [entries, told, cards]) list.length = 0;
    failing = undefined;
    const key = signingKey(newKeyPair().secret);
    const signed = new SignedStore(commands, { own: key, trusted: () => [verifyingKey(key.public)] });
    const file = join(dir, `rules-${++files}.json`);
    const quiet = { onChange: () => {}, onTrouble: () => {} };
    store?.stop();
    store = new RuleStore({ store: signed, rule: ruleSchema, file, clock: systemClock, ...quiet });
    await store.start();
    const record = (entry: AuditEntry) => {
      if (failing) throw new Error(failing);
      entries.push(entry);
    };
    answers = rulesAnswers({
      rules: store,
      history: new RulesHistory(signed, ruleSchema),
      around: () => ({
        fileRules: [floor('deny dcl on * id privileges')],
        slackRules: store.current().rules,
        connections: ['orders'],
        approvers: ['U0ALICE', 'U0CAROL'],
        issuers: [{ issuer: 'https://a', audience: 'x' }],
      }),
      connections: () => [{ name: 'orders', default: { read: 'allow', write: 'hold', unknown: 'hold' } }],
      defaults: () => ({ approvers: ['U0ALICE', 'U0CAROL'], expiresMs: 900_000 }),
      audit: { append: record, commit: async (entry) => record(entry) },
      propose: async (change) => {
        cards.push(change);
        return 'abc123';
      },
      announce: (_id, text) => told.push(text),
    });
  });

  const add = (line: string) => answers['rule-add']({ do: 'rule-add', line }, CAROL);
  const lines = () => store.current().rules.map(printLine);

  it('writes the audit trail before the rule holds, and nothing when that cannot be written', async () => {
    assert.equal((await add('deny delete on orders.a')).ok, true);
    assert.deepEqual(
      entries.map(({ kind, after: now }) => [kind, now]),
      [['rules.edited', ['deny delete on orders.a id delete-a']]],
    );
    failing = 'the disk is full';
    await assert.rejects(add('deny delete on orders.b'), /the disk is full/);
    assert.deepEqual(lines(), ['deny delete on orders.a id delete-a']);
    assert.equal(told.length, 1);
  });

  it('a change of nothing but whose rule it is shows both names, to whoever asked and to the second admin', async () => {
    const line = (name: string) => `hold delete on orders by ${name} id deletes`;
    await add(line('nightly@bots.example.com'));
    const diff = `- ${line('nightly@bots.example.com')}\n+ ${line('nimble@bots.example.com')}`;
    assert.equal((await add(line('nimble@bots.example.com'))).sections?.[0]?.code, diff);
    assert.deepEqual([cards[0]?.text, cards[0]?.asIs], [diff, true]);
  });

  it('an approved loosening that means something else by now is not done', async () => {
    await add('hold delete on orders.a quorum 2');
    assert.match(
      (await add('hold delete on orders.a id delete-a')).text,
      /asks for 1 of them, not 2\): request abc123/,
    );
    assert.deepEqual(lines(), ['hold delete on orders.a quorum 2 id delete-a']);
    await add('deny delete on orders.a id delete-a');
    await assert.rejects(cards[0]!.apply(['U0ALICE']), /the rules changed meanwhile, and nothing was done/);
    assert.deepEqual(lines(), ['deny delete on orders.a id delete-a']);
    assert.match(String(entries.at(-1)?.failed), /changed meanwhile/);
  });

  it('an approved loosening stands beside what others changed since, and says who agreed', async () => {
    await add('hold delete on orders.a quorum 2');
    await add('hold delete on orders.a id delete-a');
    await add('deny update on orders.b');
    assert.match(await cards[0]!.apply(['U0ALICE']), /Rule delete-a changed: version 3/);
    assert.deepEqual(lines(), ['hold delete on orders.a id delete-a', 'deny update on orders.b id update-b']);
    assert.deepEqual(entries.at(-1)?.approvedBy, ['U0ALICE']);
    assert.deepEqual(
      cards[0]!.offers?.map(({ line }) => line),
      ['rules revert 3'],
    );
  });

  it('reverts one version, and nothing that came after; not where that rule was changed again', async () => {
    await add('hold delete on orders.a');
    await add('deny update on orders.b');
    await add('hold delete on orders.a quorum 2 id delete-a');
    const revert = (version: number) => answers['rule-revert']({ do: 'rule-revert', version }, CAROL);
    await assert.rejects(revert(1), /rule delete-a was changed again after version 1; revert that first/);
    assert.match((await revert(3)).text, /loosens the rules \(delete-a asks for 1 of them, not 2\)/);
    await cards[0]!.apply(['U0ALICE']);
    assert.deepEqual(lines(), ['hold delete on orders.a id delete-a', 'deny update on orders.b id update-b']);
    assert.match((await revert(3)).text, /Nothing changes/);
    assert.match((await revert(9)).text, /There is no version 9: the newest is 4/);
  });

  it('gives each rule an id of its own, and takes none of the file’s', async () => {
    await add('hold delete on orders.a');
    await add('deny delete on orders.a');
    assert.deepEqual(
      store.current().rules.map(({ id }) => id),
      ['delete-a', 'delete-a-2'],
    );
    const taken = await add('deny ddl on orders id privileges');
    assert.deepEqual([taken.ok, taken.part], [false, 'id']);
    assert.match((await add('hold delete on orders quorum 3')).text, /quorum of 3 can never be met by 2 named people/);
    await assert.rejects(
      answers['rule-remove']({ do: 'rule-remove', rule: 'nothing' }, CAROL),
      /there is no rule nothing/,
    );
  });

  it('shows approvers everything and admins the buttons; nobody else anything', async () => {
    await add('hold delete on orders.a');
    const shown = async (who: Asker) => JSON.stringify(await answers.rules({ do: 'rules' }, who));
    assert.match(await shown(CAROL), /rules edit delete-a/);
    // Who changed them is shown as a person, not as an id.
    assert.match(await shown(CAROL), /"title":"Latest changes"[^}]*by U0CAROL[^}]*"people":\["U0CAROL"\]/);
    const approver = await shown(asker('U0BOB', { admin: false }));
    assert.match(approver, /hold delete on orders\.a[\s\S]*deny dcl on \* id privileges[\s\S]*write hold/);
    assert.doesNotMatch(approver, /rules edit|rules revert/);
    await assert.rejects(shown(asker('U0EVE', { admin: false, approver: false })), /only approvers and admins/);
    const check = answers['rule-check']({ do: 'rule-check', line: 'allow read on orders' }, CAROL);
    assert.match((await check).text, /It loosens the rules \(adds read-orders, which allows\)/);
  });
});
