/** One parse for texts that differ in compared numbers: the answer is the one a parse of its own would have given. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { maskText } from '../../masking/detectors.ts';
import { describedCatalog } from './catalog/describe.ts';
import { templated } from './inspect/template.ts';
import { classify, createInspector } from './inspect.ts';
import type { StatementFacts } from './types.ts';

const snapshot = describedCatalog({
  tables: { 'public.a': ['id', 'name', 'b'], 'public.b': ['id', 'a'] },
  views: { 'public.v': { columns: ['id'], reads: ['public.a'], runs: ['public.f'] } },
  functions: { 'public.f': 'code' },
});
const maskLiteral = (text: string) => maskText(text).text;
const newInspector = () =>
  createInspector({
    serverMajor: 18,
    catalog: {
      ageMs: () => 0,
      current: () => ({ snapshot, fresh: true }),
      refresh: async () => snapshot,
      close: async () => {},
    },
    maskLiteral,
    cacheEntries: 100,
    workerDeadlineMs: 5_000,
  });
const context = { frame: 'f', searchPath: ['public'] };
const inspector = newInspector();
after(() => inspector.close());

/** Undefined for what is refused. */
const found = async (look: () => Promise<readonly StatementFacts[]> | readonly StatementFacts[]) => {
  try {
    return await look();
  } catch {
    return undefined;
  }
};
const itself = (text: string) => found(() => classify(text, { serverMajor: 18, catalog: snapshot, maskLiteral }));
const after1 = (text: string) => found(() => inspector.inspect(text, context));

const word = fc.constantFrom(
  ...'select from where and or not a b v id name f count sum case when then else end is null true false in between'.split(
    ' ',
  ),
  ...'limit offset order by group having join on left as distinct all values union except exists current_date for update'.split(
    ' ',
  ),
);
const number = fc.oneof(fc.nat({ max: 2_000 }), fc.constantFrom(0, 1, 999_999_999, 1_234_567_890));
const odd = fc.constantFrom(
  '=',
  '=',
  '=',
  '(',
  ')',
  ',',
  '.',
  '*',
  '<',
  '>',
  '= =',
  '>=',
  '<>',
  '=>',
  '1.5',
  '1e3',
  '1_0',
  '0x1',
  ';',
  '',
);
const token = fc.oneof({ weight: 5, arbitrary: word }, { weight: 4, arbitrary: odd }, { weight: 3, arbitrary: number });
const comparison = fc.tuple(
  fc.constantFrom('id', 'a.id', 'b', 'f(id)', '1', 'true'),
  fc.constantFrom(' = ', '=', ' =', ' > '),
  number,
);
const compared = comparison.map((parts) => parts.join(''));
/** One in three is plain, so that enough of them have a template at all. */
const tail = fc.oneof(
  { weight: 2, arbitrary: fc.array(fc.oneof(token, compared), { maxLength: 8 }) },
  { weight: 1, arbitrary: fc.array(compared, { maxLength: 3 }).map((more) => more.flatMap((one) => ['and', one])) },
);
const start = fc.constantFrom(
  'select * from a where id =',
  'SELECT name FROM a, b WHERE a.id = b.id AND b.id =',
  'select f(id) from a where id =',
  'select id from v where id =',
  'select * from a where id in (select id from b where a =',
  'select 1 where 1 =',
  'select * into c from a where id =',
);

/** Another text that differs in its numbers alone. */
const renumbered = (text: string, by: number) =>
  text.replace(/(?<![\w.])\d{1,9}(?![\w.])/g, (digits) => String((Number(digits) + by) % 999_999_999));

/** Without the mark of which other one it was found by. */
const alone = ({ like: _, ...facts }: StatementFacts) => facts;

describe('texts that differ in compared numbers', () => {
  it('are found to do what each does by itself, whatever stands around the numbers', async () => {
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(start, number, tail, fc.nat({ max: 5_000 }), async (begin, value, more, by) => {
        const first = `${begin} ${value} ${more.join(' ')}`;
        const second = renumbered(first, by);
        await after1(first);
        const [one, two] = [templated(first), templated(second)];
        if (one && one.template === two?.template && (await itself(first))) shared++;
        assert.deepEqual((await after1(second))?.map(alone), await itself(second), `after ${first}`);
      }),
      { numRuns: 1_500 },
    );
    assert.ok(shared > 100, `only ${shared} were ever answered by a template`);
  });

  it('are shown masked where a number is an SSN by the name it stands beside', async () => {
    for (const [first, second] of [
      ['select ssn = 1 from a where id = 1', 'select ssn = 219099999 from a where id = 2'],
      ['select ssn = 219099999 from a where b = 1', 'select ssn = 1 from a where b = 2'],
    ] as const) {
      assert.equal(templated(first)?.template, templated(second)?.template);
      await inspector.inspect(first, context);
      const [facts] = await inspector.inspect(second, context);
      assert.doesNotMatch(facts?.shown ?? '', /219099999/);
      assert.deepEqual(facts && [alone(facts)], await itself(second));
    }
  });

  it('are each looked at where a number could decide whether a condition limits what they lock', async () => {
    for (const [first, second] of [
      ['select * from a where null = 1 for update', 'select * from a where null = 0 for update'],
      [
        'select * from a where case when true then 1 end = 1 for update',
        'select * from a where case when true then 1 end = 2 for update',
      ],
      ['select * from a where id = 1 for update', 'select * from a where id = 2 for update'],
    ] as const) {
      assert.equal(templated(first)?.template, templated(second)?.template);
      const one = await after1(first);
      const two = await after1(second);
      assert.deepEqual(two, await itself(second));
      assert.notEqual(one?.[0]?.effects, two?.[0]?.effects, 'found by a look of its own');
    }
  });

  it('have no template where anything could change how the rest is read', () => {
    for (const text of [
      'select * from a where 1 = 1',
      'select * from a where id = 1; drop table a',
      "select * from a where name = 'x' and id = 1",
      'select * from a where "id" = 1',
      'select * from a where id = 1 -- x',
      'select * from a where id /**/ = 1',
      'select * from a where id = $1 and b = 1',
      'select * from a where id = 1::text',
      'select * from a where id == 1',
      'select * from a where id >= 1',
      'select * from a where id <= 1',
      'select * from a where id *= 1',
      'select * from a where id => 1',
      'select * from a where id = -1',
      'select * from a where id = 1234567890',
      'select * from a where id = 1.5',
      'select * from a where id = 1e5',
      'select * from a where id = 0x1f',
      'select * from a where id = 1_000',
      'select * from a where id = .5',
      'select * from a where id = 1\u00a0',
      'select * from a where \u0131d = 1',
      'select * from a limit 1',
      'update a set id = 1',
      'with x as (delete from a) select * from x where id = 1',
      'set work_mem = 1',
      'selectx from a where id = 1',
      `select * from a where ${' '.repeat(1_024)} id = 1`,
    ]) {
      assert.equal(templated(text), undefined, text);
    }
  });
});
