/** Every client: how it is had, what is known of it beforehand, and what its own means are called. */
import type { Expected } from './scenarios.ts';
import type { Program } from './story.ts';
import { cargo, go, installed, java, node, python, repository } from './toolchains.ts';

export type Client = Expected & {
  readonly name: string;
  /** The program, ready to run, and the client's version; or why it cannot be had here. */
  have(): Promise<{ program: Program; version: string } | { skipped: string }>;
  /** Scenarios that the client has no means for, and why. */
  readonly without?: Readonly<Record<string, string>>;
  /** What its means are called, for the table. */
  readonly words: { readonly shows: string; readonly cancel: string; readonly timeout: string };
};

export const CLIENTS: readonly Client[] = [
  {
    name: 'psql',
    have: () => installed('psql', ['--import', 'tsx', 'test/drivers/psql.ts']),
    notices: true,
    counts: true,
    timeout: /timeout\(1\) ended psql: 124/,
    words: { shows: 'NOTICE, in the terminal', cancel: 'Ctrl-C', timeout: '`timeout 60 psql`' },
  },
  {
    name: 'pgbench',
    have: () => installed('pgbench', ['--import', 'tsx', 'test/drivers/pgbench.ts']),
    notices: true,
    counts: false,
    endsOnError: true,
    noSqlstate: true,
    timeout: /ended pgbench: 124/,
    cancel: /ended pgbench/,
    words: { shows: 'NOTICE, on stderr', cancel: 'Ctrl-C, which ends it', timeout: '`timeout 60 pgbench`' },
  },
  {
    name: 'pg',
    have: () => node('pg', 'pg.mjs'),
    notices: true,
    counts: true,
    status: { open: 'T', failed: 'E' },
    timeout: /Query read timeout/,
    words: { shows: "`client.on('notice')`", cancel: '`client.cancel()`', timeout: '`query_timeout` of a pool' },
  },
  {
    name: 'postgres.js',
    have: () => node('postgres', 'postgres.mjs'),
    notices: true,
    counts: true,
    timeout: /57014/,
    words: { shows: '`onnotice`', cancel: '`query.cancel()`', timeout: 'none of its own: a timer and `cancel()`' },
  },
  {
    name: 'Prisma',
    have: () => node('@prisma/client', 'prisma.mjs'),
    notices: false,
    counts: true,
    ownTransactions: true,
    timeout: /timeout/i,
    without: { pipelined: 'sends one statement at a time', cancel: 'has no cancel' },
    words: { shows: 'nothing', cancel: '', timeout: '`query_timeout` of the adapter’s pool' },
  },
  {
    name: 'psycopg 3',
    have: () => python('psycopg', 'psycopg_client.py'),
    notices: true,
    counts: true,
    status: { open: 'INTRANS', failed: 'INERROR' },
    timeout: /TimeoutError/,
    words: { shows: '`add_notice_handler`', cancel: '`conn.cancel_safe()`', timeout: '`asyncio.timeout`' },
  },
  {
    name: 'asyncpg',
    have: () => python('asyncpg', 'asyncpg_client.py'),
    notices: true,
    counts: true,
    timeout: /TimeoutError/,
    without: { pipelined: 'one statement at a time on a connection' },
    words: { shows: '`add_log_listener`', cancel: 'cancelling the task', timeout: '`command_timeout`' },
    cancel: /CancelledError/,
  },
  {
    name: 'pgx v5',
    have: () => go(),
    notices: true,
    counts: true,
    status: { open: 'T', failed: 'E' },
    timeout: /deadline exceeded|timeout/i,
    words: { shows: '`OnNotice`', cancel: '`PgConn().CancelRequest`', timeout: 'the context’s deadline' },
  },
  {
    name: 'tokio-postgres',
    have: () => cargo(),
    notices: true,
    counts: true,
    timeout: /elapsed/i,
    words: {
      shows: '`AsyncMessage::Notice`',
      cancel: '`CancelToken`',
      timeout: '`tokio::time::timeout`, then the token',
    },
  },
  {
    name: 'pgjdbc',
    have: () => java(),
    notices: true,
    counts: true,
    status: { open: 'OPEN', failed: 'FAILED' },
    timeout: /57014/,
    words: { shows: '`Statement.getWarnings`', cancel: '`Statement.cancel`', timeout: '`setQueryTimeout`' },
  },
];

/** The same scenarios with what the repository has by itself: for `npm test`. */
export const AT_HAND: Readonly<Record<'psql' | 'pg', Program>> = {
  psql: { argv: [process.execPath, '--import', 'tsx', 'test/drivers/psql.ts'], cwd: repository },
  pg: { argv: [process.execPath, 'test/drivers/node/pg.mjs'], cwd: repository },
};
