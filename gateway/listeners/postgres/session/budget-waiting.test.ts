/** While people are asked about the rest of a result: every other way in which that can end; real clients, real target. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { BIG, limit, short } from '../../../../test/support/budgets.ts';
import { RawClient } from '../../../../test/support/door.ts';
import { type SessionWorld, sessionWorld } from '../../../../test/support/session.ts';
import { closeSettled, type SessionTarget, sessionTarget } from '../../../../test/support/session-target.ts';
import * as build from '../builders.ts';
import { parseBackendKeyData, parseServerMessage } from '../messages.ts';

let target: SessionTarget;
let world: SessionWorld;
before(async () => {
  target = await sessionTarget(BIG);
});
after(() => target.stop());
beforeEach(async () => {
  await target.direct.query('truncate t');
  world = await sessionWorld(target.postgres, { limits: { pipelinedBytes: 64 * 1024, lingerMs: 1_000 } });
  world.gate.budgets = [limit('rows', 1_000)];
});
afterEach(() => closeSettled(world));

type Client = Awaited<ReturnType<SessionWorld['raw']>>;

const outcomes = () =>
  world.gate.outcomes.map(({ outcome }) => (outcome.kind === 'failed' ? outcome.message : outcome.kind));
const open = () => world.gate.hold();
const until = async (client: Client, type: string) => short(await client.until(type));
const settled = () => new Promise((resolve) => setTimeout(resolve, 60));

describe('while somebody is asked about the rest', () => {
  const keyOf = (client: Client) => {
    const at = client.received.indexOf(Buffer.from([0x4b, 0, 0, 0]));
    const bytes = client.received.subarray(at, at + 1 + client.received.readUInt32BE(at + 1));
    return parseBackendKeyData({ type: 0x4b, bytes, first: true, last: true });
  };

  it("a cancel withdraws it, in the server's own words", async () => {
    const client = await world.raw();
    const key = keyOf(client);
    client.send(build.query('select * from big'));
    const hold = await open();
    const cancelling = await RawClient.connect(world.port);
    cancelling.send(build.cancelRequest(key.pid, key.secret));
    const frames = await client.until('Z');
    assert.equal(short(frames), 'T D×1000 N E(57014) Z(I)');
    assert.equal(parseServerMessage(frames.at(-2)!).message, 'canceling statement due to user request');
    assert.equal(hold.withdrawn, 'canceling statement due to user request');
    await cancelling.end();
    assert.equal(await until(client.send(build.query('select 1')), 'Z'), 'T D×1 C(SELECT 1) Z(I)');
  });

  it('a client that leaves withdraws it, and what runs is cancelled', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big'));
    const hold = await open();
    client.socket.destroy();
    await world.gate.until(() => world.gate.outcomes.length === 1);
    assert.equal(hold.withdrawn, 'the client left while this was waiting');
    assert.deepEqual(world.gate.ends(), ['57014']);
  });

  it('the end of the session withdraws it with its reason, and nothing more reaches the client', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big'));
    const hold = await open();
    for (const session of world.registry.list()) session.end('ended by Alice');
    const frames = await client.until('E');
    assert.equal(short(frames), 'T D×1000 N E(57P01)');
    assert.equal(hold.withdrawn, 'ended by Alice');
    await client.end();
  });

  it('a drain withdraws it, and the session ends behind its answer', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big'));
    const hold = await open();
    const drained = world.sessions.drainSessions(AbortSignal.timeout(5_000));
    assert.equal(short(await client.until('Z')), 'T D×1000 N E(57P01) Z(I)');
    assert.equal(short(await client.until('E')), 'E(57P01)');
    assert.match(hold.withdrawn ?? '', /stopping|drain|shut/i);
    await drained;
  });

  it('a target that is gone is found out, and the hold ends', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big'));
    const hold = await open();
    await client.until('N');
    client.target.gateway.destroy();
    for (let i = 0; i < 50 && hold.withdrawn === undefined; i++) {
      hold.context.tell({ kind: 'waiting', text: 'still waiting' });
      await settled();
    }
    assert.match(hold.withdrawn ?? '', /target closed the connection/);
    await client.until('E');
    assert.deepEqual(world.gate.ends(), ['unknown']);
  });

  it('a client that sends too much behind it withdraws it', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big'));
    const hold = await open();
    client.send(build.query(`select '${'x'.repeat(70_000)}'`));
    assert.equal(await until(client, 'Z'), 'T D×1000 N E(53400) Z(I)');
    assert.match(hold.withdrawn ?? '', /were sent behind a held statement/);
    assert.match(await until(client, 'Z'), /C\(SELECT 1\) Z\(I\)$/);
  });
});

describe('a client that has said its last word', () => {
  it('is asked for by nobody', async () => {
    const client = await world.raw();
    client.send(build.query('select * from big'));
    client.socket.end();
    await world.gate.until(() => world.gate.outcomes.length === 1);
    assert.equal(world.gate.holds.length, 0);
    assert.match(outcomes()[0] ?? '', /^stopped after 1,000 rows: the client left/);
  });
});
