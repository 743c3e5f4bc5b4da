/** `/gate` end to end: two gateways, two bots, the emulated workspace, psql. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Message, shownBy, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';

describe('/gate', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;

  /** What only this person sees, in answer to what they typed. */
  const gate = async (
    user: string,
    text: string,
    options: { channel?: string; ms?: number } = {},
  ): Promise<Message> => {
    const channel = options.channel ?? world.channel;
    const before = new Set((await slack.messages({ user, channel })).map(({ ts }) => ts));
    const typed = await slack.post('/command', { user, channel, command: '/gate', text });
    assert.equal(typed.ok, true, JSON.stringify(typed));
    return slack.message((_shown, message) => message.ephemeral === true && !before.has(message.ts), {
      user,
      ms: options.ms ?? 15_000,
    });
  };

  before(async () => {
    world = await startWorld({ gateways: 2, bots: 2 });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  after(() => world.stop());

  it('status: both gateways, to an admin', async () => {
    const answer = await gate(PEOPLE.carol, 'status');
    console.log(shownBy(answer));
  });
});
