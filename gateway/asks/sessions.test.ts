/** `/gate sessions` and what a kill would end, as one gateway answers: to those who see all, and to others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LiveSession } from '../listeners/listener.ts';
import type { Asker } from './asks.ts';
import { sessionsAnswers } from './sessions.ts';

const ended: string[] = [];
const session = (id: string, connection: string, sponsor: string): LiveSession =>
  ({
    id,
    connection,
    principal: { issuer: 'https://i', subject: `sub-${id}`, kind: 'agent', name: `bot-${id}`, groups: [], sponsor },
    startedAt: 1,
    lastOperationAt: 1,
    end: () => ended.push(id),
  }) as unknown as LiveSession;

const answers = sessionsAnswers({
  gateway: 'gw-1',
  registry: { list: () => [session('a', 'orders', 'U0BOB'), session('b', 'billing', 'U0EVE')] },
  connections: () => ['billing', 'orders', 'payroll'],
  redact: (text) => text,
  now: () => 1,
});
const asker = (user: string, more: Partial<Asker> = {}): Asker => ({
  user,
  team: 'T0',
  name: user,
  admin: false,
  approver: false,
  own: (_, sponsor) => sponsor === user,
  channel: 'C0',
  ask: 'ask',
  ...more,
});
const sessions = async (who: Asker, connection?: string) =>
  answers.sessions({ do: 'sessions', ...(connection === undefined ? {} : { connection }) }, who);

describe('sessions', () => {
  it('names to others only connections on which their own agents are; one they are not on is as one that is not there', async () => {
    for (const connection of ['billing', 'payroll', 'nowhere']) {
      const text = `Nobody of yours is connected to ${connection}; yours are connected to orders.`;
      assert.deepEqual(await sessions(asker('U0BOB'), connection), { ok: true, text, sections: [] });
      const nobody = `Nobody of yours is connected to ${connection}.`;
      assert.deepEqual(await sessions(asker('U0GUS'), connection), { ok: true, text: nobody, sections: [] });
    }
    assert.match(JSON.stringify(await sessions(asker('U0BOB'), 'orders')), /bot-a on orders/);
  });

  it('names all connections to approvers and admins who ask for one that is not there', async () => {
    for (const role of [{ admin: true }, { approver: true }]) {
      const { ok, text } = await sessions(asker('U0CAROL', role), 'nowhere');
      assert.deepEqual(
        [ok, text],
        [false, 'There is no connection nowhere here. There are: billing, orders, payroll.'],
      );
    }
  });

  it('says whom a kill would end by id, name, subject and issuer#subject, and ends nobody by saying so', async () => {
    const check = (what: string) =>
      answers['kill-check']({ do: 'kill-check', what }, asker('U0CAROL', { admin: true }));
    for (const what of ['a', 'bot-a', 'sub-a', 'https://i#sub-a'])
      assert.match(JSON.stringify(await check(what)), /"1 session on gateway gw-1".*bot-a .*on orders, session a/);
    assert.deepEqual(await check('nobody-called-so'), { ok: true, text: '' });
    assert.deepEqual(ended, []);
  });
});
