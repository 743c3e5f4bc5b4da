/** What the process that accepts does by itself: counts, keeps numbers, agrees on a configuration, reads one key. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { workerCount, workersLine } from '../../config/workers.ts';
import type { MetricsAsJson } from '../../web/metrics.ts';
import { Counts } from './counts.ts';
import type { Member } from './member.ts';
import { KeptMetrics } from './metrics.ts';
import { Renewal } from './renewal.ts';

describe('places of all workers', () => {
  it('are all taken or none', () => {
    const counts = new Counts();
    const both = [
      { key: 'principal', most: 5 },
      { key: 'connection', most: 1 },
    ];
    assert.equal(counts.take(1, 1, both), undefined);
    assert.deepEqual(counts.take(2, 1, both), { full: 'connection', count: 1 });
    for (let place = 2; place <= 5; place++) assert.equal(counts.take(2, place, both.slice(0, 1)), undefined);
    assert.deepEqual(counts.take(2, 6, both.slice(0, 1)), { full: 'principal', count: 5 });
  });

  it('are given back once, and all of them when their worker has ended', () => {
    const counts = new Counts();
    const one = [{ key: 'principal', most: 2 }];
    counts.take(1, 1, one);
    counts.take(2, 1, one);
    counts.give(1, 1);
    counts.give(1, 1);
    assert.equal(counts.take(1, 2, one), undefined);
    assert.deepEqual(counts.take(1, 3, one), { full: 'principal', count: 2 });
    counts.forget(2);
    assert.equal(counts.take(1, 3, one), undefined);
    counts.add(1, 4, ['principal']);
    assert.deepEqual(counts.take(1, 5, one), { full: 'principal', count: 3 });
  });
});

describe('numbers of ended workers', () => {
  it('are added up for what is counted, and dropped for what is a state', () => {
    const of = (value: number) =>
      [
        { name: 'total', help: '', type: 'counter', aggregator: 'sum', values: [{ value, labels: { a: 'x' } }] },
        { name: 'now', help: '', type: 'gauge', aggregator: 'sum', values: [{ value, labels: {} }] },
      ] as unknown as MetricsAsJson;
    const kept = new KeptMetrics();
    kept.keep(of(2));
    kept.keep(of(3));
    assert.deepEqual(
      kept.all().map(({ name, values }) => [name, values]),
      [['total', [{ value: 5, labels: { a: 'x' } }]]],
    );
  });
});

describe('a new configuration', () => {
  type Answer = { digest: string } | { refused: string };
  const first = { path: 'x', text: 'one' };
  /** What it was told in the end. */
  const worker = (
    answer: Answer | (() => Promise<Answer>),
    change: Partial<Pick<Member, 'state' | 'started'>> = {},
  ) => {
    const told: string[] = [];
    const ask = async (kind: string, value: { why?: string }) => {
      if (kind === 'consider') return typeof answer === 'function' ? answer() : answer;
      told.push(value.why ?? kind);
      return undefined;
    };
    const kill = () => told.push('killed');
    return { state: 'serving', started: first, channel: { ask }, kill, told, ...change };
  };
  type Worker = ReturnType<typeof worker>;
  const renewalOf = (workers: () => readonly Worker[]) => new Renewal(first, workers as unknown as () => Member[]);
  const second = () => ({ path: 'x', text: 'two' });
  const renewed = async (...answers: Answer[]) => {
    const workers = answers.map((answer) => worker(answer));
    const renewal = renewalOf(() => workers);
    await renewal.take(second);
    return { told: workers.flatMap(({ told }) => told), inForce: renewal.written.text };
  };

  it('is taken up when all workers read the same', async () => {
    assert.deepEqual(await renewed({ digest: 'a' }, { digest: 'a' }), { told: ['take', 'take'], inForce: 'two' });
  });

  it('is refused by all when one of them refuses it, or reads something else', async () => {
    const one = await renewed({ refused: 'no secret' }, { refused: 'no secret' });
    assert.deepEqual(one, { told: ['no secret', 'no secret'], inForce: 'one' });
    const other = await renewed({ digest: 'a' }, { digest: 'b' });
    assert.equal(other.inForce, 'one');
    assert.match(other.told.join(), /keeps changing.*keeps changing/);
  });

  it('is in force nowhere but in workers that took it up: one that began to serve with the old one meanwhile ends', async () => {
    const late = worker({ digest: 'a' }, { state: 'starting' });
    const there = worker(async () => {
      late.state = 'serving';
      return { digest: 'a' };
    });
    const leaving = worker({ digest: 'a' }, { state: 'leaving' });
    const renewal = renewalOf(() => [there, late, leaving]);
    await renewal.take(second);
    assert.deepEqual([there.told, late.told, leaving.told], [['take'], ['killed'], ['take']]);
    const next = worker({ digest: 'a' }, { started: renewal.written });
    await renewalOf(() => [next]).take(second);
    assert.deepEqual(next.told, ['take']);
  });

  it('ends a worker that could not be told of it', async () => {
    const deaf = worker({ digest: 'a' });
    const { ask } = deaf.channel;
    deaf.channel.ask = async (kind, value) => {
      if (kind === 'take') throw new Error('no answer to take within 10000 ms');
      return ask(kind, value);
    };
    const there = worker({ digest: 'a' });
    await renewalOf(() => [deaf, there]).take(second);
    assert.deepEqual([deaf.told, there.told], [['killed'], ['take']]);
  });

  it('waits for a worker that can read it: what nobody has read is never in force', async () => {
    const workers: Worker[] = [];
    const renewal = renewalOf(() => workers);
    const taken = renewal.take(second);
    const dying = worker(async () => {
      workers.splice(0, 1, worker({ refused: 'no secret' }));
      throw new Error('the other process has ended');
    });
    workers.push(dying);
    await taken;
    assert.equal(renewal.written.text, 'one');
    assert.deepEqual(workers[0]?.told, ['no secret']);
  });
});

describe('workers', () => {
  it('are as many as written, or as there are cores, within reason', () => {
    assert.deepEqual(
      [1, 4, 64].map((n) => workerCount(n)),
      [1, 4, 64],
    );
    assert.deepEqual(
      [2, 8, 96].map((cores) => workerCount('auto', () => cores)),
      [2, 8, 8],
    );
    assert.deepEqual(
      [0, 65, 1.5, '2', undefined, 'many'].map((odd) => workerCount(odd)),
      [1, 1, 1, 1, 1, 1],
    );
  });

  it('are read from a plain line; anything else is left to the parser', () => {
    assert.equal(workersLine('listen: {}\n'), 1);
    assert.equal(workersLine('listen: {}\nworkers: 3\nrules: []\n'), 3);
    assert.equal(workersLine('workers: auto # all\n'), 'auto');
    for (const text of ['# workers: 3\n', '{"workers": 3}', 'workers: "auto"\n', 'a:\n  workers: 3\n'])
      assert.equal(workersLine(text), undefined, text);
  });
});
