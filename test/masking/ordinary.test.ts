/** Masking does not stand in the way of what people, drivers and reports send all day. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Comparison } from './compare.ts';
import { ORDINARY } from './ordinary.ts';
import { comparePsql } from './psql.ts';
import { openRoute, type Route } from './route.ts';

/** Of ordinary work. */
const MAY_BE_ASKED = 0.05;

describe('masked columns', () => {
  let route: Route;
  before(async () => {
    route = await openRoute('gateway');
  });
  after(() => route?.close());

  it('do not stand in the way of ordinary work', async () => {
    const comparison = await Comparison.open(route);
    const different: string[] = [];
    const asked: string[] = [];
    for (const work of ORDINARY) {
      const { held, wrong } = await comparison.compare(work);
      if (held) asked.push(work.id);
      if (wrong.length > 0) different.push(`${work.id}: ${wrong.join('; ')}`);
    }
    await comparison.close();
    assert.deepEqual(different, []);
    assert.ok(asked.length <= MAY_BE_ASKED * ORDINARY.length, `somebody is asked about ${asked.join(', ')}`);
  });

  it('do not stand in the way of psql', async () => {
    assert.deepEqual(await comparePsql(route), []);
  });
});
