/** Real clients under hold, as far as they come without another package manager; `npm run drivers` has them all. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { AT_HAND, CLIENTS } from './drivers/clients.ts';
import { SCENARIOS } from './drivers/scenarios.ts';
import { Stage } from './drivers/stage.ts';

/** What another end-to-end test does not show already: what each client makes of a wait in its own code. */
const PLAYED = {
  psql: ['begin-deny', 'prepared', 'pipelined', 'cancel', 'beside'],
  pg: ['expire', 'begin-approve', 'pipelined', 'cancel', 'timeout', 'beside'],
};

describe('a real client under hold', { timeout: 200_000 }, () => {
  let stage: Stage;

  before(async () => {
    stage = await Stage.start();
  });
  after(() => stage?.stop());

  for (const [name, program] of Object.entries(AT_HAND))
    for (const scenario of SCENARIOS.filter((each) => PLAYED[name as keyof typeof PLAYED].includes(each.name)))
      it(`${name} ${scenario.claim}`, async () => {
        const client = CLIENTS.find((each) => each.name === name);
        assert.ok(client);
        const { failure } = await stage.play(name, program, client, scenario);
        assert.equal(failure, undefined, failure);
      });
});
