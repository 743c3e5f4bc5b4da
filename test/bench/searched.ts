/** A hundred thousand sessions known to one gateway: how long a search takes, whatever is asked for, and what they cost. */
import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Index } from '../../gateway/recordings/search.ts';
import type { Search, SessionSummary } from '../../gateway/recordings/shape.ts';
import { spread } from './figures.ts';
import type { Part } from './stage.ts';

const SESSIONS = 100_000;
const GOAL_MS = 300;
const START = Date.UTC(2026, 0, 1);

export const searched: Part = {
  name: 'searched',
  about: `${SESSIONS.toLocaleString('en-US')} sessions: what the slowest search takes, and memory`,
  run: async ({ options, say }) => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    collect();
    const before = process.memoryUsage().heapUsed;
    const index = new Index(SESSIONS);
    const filling = performance.now();
    index.fill(Array.from({ length: SESSIONS }, (_, n) => JSON.parse(JSON.stringify(summaryOf(n)))));
    const filled = performance.now() - filling;
    collect();
    const megabytes = (process.memoryUsage().heapUsed - before) / 2 ** 20;
    const slowest: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      let most = 0;
      for (const [name, query] of Object.entries(QUERIES)) {
        const from = performance.now();
        const { sessions } = index.search(query, ({ sponsor }) => name !== 'of nobody' || sponsor === 'U-nobody');
        const ms = performance.now() - from;
        if (round === 0) say(`searched, ${name}: ${ms.toFixed(1)} ms, ${sessions.length} found`);
        most = Math.max(most, ms);
      }
      slowest.push(most);
    }
    const took = spread(slowest);
    return [
      {
        part: 'searched',
        what: `the slowest of ${Object.keys(QUERIES).length} searches over ${SESSIONS.toLocaleString('en-US')} sessions, ms`,
        cells: { gateway: took.median.toFixed(1) },
        compared: `${megabytes.toFixed(0)} MB of memory; read in within ${filled.toFixed(0)} ms`,
        goal: { text: '≤ 300', met: took.median <= GOAL_MS ? 'met' : 'not met' },
        figures: { ms: took },
      },
    ];
  },
};

/** Those that nothing answers look at every session. */
const QUERIES: Readonly<Record<string, Search>> = {
  newest: {},
  'of nobody': {},
  'a text': { text: 'invoice_77' },
  'a text of nothing': { text: 'nothing is called so' },
  'a long text': { text: 'x'.repeat(100_000) },
  'a text as a pattern': { text: '(a+)+$' },
  'another alphabet': { text: '名前' },
  'a relation': { relation: 'public.invoice_4999' },
  'a verdict of an agent': { verdict: 'refused', agent: 'agent-42' },
  'a sponsor on a connection': { sponsors: ['U0042'], connection: 'orders-3' },
  'a day': { since: START, until: START + 86_400_000 },
  live: { live: true },
};

const summaryOf = (n: number): SessionSummary => {
  const [session, startedAt] = [randomUUID(), START + n * 300_000];
  const day = new Date(startedAt).toISOString().slice(0, 10).replaceAll('-', '/');
  return {
    v: 1,
    session,
    gateway: 'gw-1',
    connection: `orders-${n % 20}`,
    environment: 'production',
    protocol: 'postgres',
    principal: `https://login.example.com#agent-${n % 500}`,
    principalKind: 'agent',
    name: `agent-${n % 500}`,
    sponsor: `U${String(n % 100).padStart(4, '0')}`,
    startedAt,
    endedAt: startedAt + 60_000,
    reason: '',
    operations: 20,
    held: 1,
    denied: 0,
    failed: 0,
    verdicts: n % 10_000 === 0 ? ['allow', 'refused'] : ['allow', 'hold'],
    relations: Array.from({ length: 5 }, (_, at) => `public.invoice_${(n * 5 + at) % 5_000}`),
    file: `${day}/${startedAt}-${session}.jsonl.enc`,
    bytes: 40_000,
    sha256: 'ab'.repeat(32),
  };
};
