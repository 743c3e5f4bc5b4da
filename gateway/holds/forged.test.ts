/** What somebody with write access to Redis, a stolen envelope or a wrong key can do to a hold: nothing. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { openQueue, VOTE_JOB_MS } from '../../queue/connection.ts';
import { newKeyPair, seal, signingKey } from '../../queue/sign.ts';
import { votesQueue } from '../../queue/votes.ts';
import { type HoldStage, operation, startHoldStage } from '../../test/support/hold-stage.ts';

describe('a vote', () => {
  let stage: HoldStage;
  let inject: (data: unknown) => Promise<void>;
  let close: () => Promise<void>;
  before(async () => {
    stage = await startHoldStage();
    const queue = openQueue(votesQueue(stage.gateway), stage.commands, { jobMs: VOTE_JOB_MS });
    inject = async (data) => {
      await queue.use((opened) => opened.add('vote', data, { jobId: `forged-${randomUUID()}` }));
    };
    close = () => queue.close();
  });
  after(async () => {
    await close();
    await stage.stop();
  });

  const dropped = async (data: unknown, why: RegExp) => {
    const seen = stage.logs.length;
    await inject(data);
    await stage.until(`its being dropped: ${why}`, () => stage.logs.slice(seen).some((line) => why.test(line)));
  };

  it('sealed with a key nobody trusts, for another queue, of another version or out of shape is dropped', async () => {
    const { answer, card, waiting } = await stage.hold();
    const vote = stage.voteOf(card, 'U0ALICE');
    const here = votesQueue(stage.gateway);
    const { bot, gateway } = stage.keys;
    await dropped(seal(vote, here, signingKey(newKeyPair().secret)), /not sealed/);
    await dropped(seal(vote, here, gateway), /not sealed/);
    await dropped(seal(vote, votesQueue('gw-other'), bot), /not sealed/);
    await dropped({ ...seal(vote, here, bot), body: JSON.stringify({ ...vote, decision: 'deny' }) }, /not sealed/);
    await dropped(seal({ ...vote, v: 0 }, here, bot), /a version other than 2/);
    await dropped(seal({ ...vote, extra: true }, here, bot), /does not fit/);
    await dropped(seal({ ...vote, reason: 'x'.repeat(1_001) }, here, bot), /does not fit: reason/);
    await dropped(seal('vote', here, bot), /a version other/);
    for (const data of [null, 7, 'x', [], {}, { by: 1, body: 2, sig: 3 }]) await dropped(data, /not sealed/);
    assert.equal((await stage.card(({ hold }) => hold === card.hold)).state, 'open');
    waiting.controller.abort();
    await assert.rejects(answer);
  });

  it('replayed onto another hold, with another digest or revision, is not counted', async () => {
    const first = await stage.hold();
    const second = await stage.hold(operation({ text: 'DROP TABLE customers', shown: 'DROP TABLE customers' }));
    const vote = stage.voteOf(first.card, 'U0ALICE');
    for (const change of [
      { hold: second.card.hold },
      { digest: second.card.digest },
      { digest: `${first.card.digest.slice(0, 63)}${first.card.digest.endsWith('0') ? '1' : '0'}` },
      { revision: 2 },
    ]) {
      const receipt = await stage.send({ ...vote, ...change, id: `replay-${randomUUID()}` });
      assert.equal(receipt.counted, false, JSON.stringify(change));
    }
    const unknown = await stage.send({ ...vote, hold: randomUUID(), id: `replay-${randomUUID()}` });
    assert.match(unknown.text, /not waiting here/);
    for (const { waiting, answer } of [first, second]) {
      waiting.controller.abort();
      await assert.rejects(answer);
    }
  });

  it('from the card alone approves nothing that must be read in Details, whatever the bot lets pass', async () => {
    for (const op of [
      operation({ shown: `DROP TABLE orders -- ${'x'.repeat(700)}` }),
      operation({ shown: 'DROP TABLE \u202eorders' }),
      operation({ shownParameters: ['p\u0430ypal'] }),
    ]) {
      const { answer, card } = await stage.hold(op);
      assert.match((await stage.vote(card, 'U0ALICE')).text, /open Details/);
      assert.match((await stage.vote(card, 'U0ALICE', { from: 'card' })).text, /open Details/);
      assert.equal((await stage.vote(card, 'U0ALICE', { from: 'details' })).counted, true);
      await answer;
    }
  });

  it('replayed after the end executes nothing a second time', async () => {
    const { answer, card } = await stage.hold();
    const vote = stage.voteOf(card, 'U0ALICE');
    const envelope = seal(vote, votesQueue(stage.gateway), stage.keys.bot);
    await stage.send(vote);
    await answer;
    await inject(envelope);
    await inject(envelope);
    assert.equal((await stage.vote(card, 'U0CAROL')).counted, false);
    const released = stage.audit.of('hold.released').filter(({ hold }) => hold === card.hold);
    assert.equal(released.length, 1);
  });

  it('has a receipt that answers no other click', async () => {
    const { card, waiting } = await stage.hold();
    const vote = stage.voteOf(card, 'U0DAVE');
    const receipt = await stage.send(vote);
    assert.deepEqual([receipt.id, receipt.hold], [vote.id, card.hold]);
    waiting.controller.abort();
  });

  it('cannot be attested by an answer to a question nobody asked', async () => {
    const { card, waiting } = await stage.hold();
    const people = [stage.attest('U0ALICE')];
    assert.equal(
      await stage.holds.receive({ kind: 'attestation', v: 1, id: randomUUID(), hold: card.hold, people }),
      undefined,
    );
    await stage.holds.receive({
      kind: 'directory',
      v: 1,
      id: randomUUID(),
      team: 'T0EVIL',
      groups: [{ name: '@dba-oncall', id: 'S0EVIL', handle: 'dba-oncall', members: ['U0EVIL'], readAt: Date.now() }],
      missing: [],
      unreadable: [],
      at: Date.now(),
    });
    assert.ok(stage.logs.includes('an answer about groups that nobody asked for was ignored'));
    assert.equal((await stage.vote(card, 'U0EVIL')).counted, false);
    assert.equal((await stage.card(({ hold }) => hold === card.hold)).state, 'open');
    waiting.controller.abort();
  });

  it('clicked again and again by one person does not keep others from deciding', async () => {
    const { answer, card } = await stage.hold();
    const spam = await Promise.all(
      Array.from({ length: 120 }, () => stage.holds.receive(stage.voteOf(card, 'U0DAVE'))),
    );
    assert.ok(spam.some((receipt) => /too often/.test(receipt?.text ?? '')));
    assert.equal((await stage.vote(card, 'U0ALICE')).counted, true);
    await answer;
  });
});
