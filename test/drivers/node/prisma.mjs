/** Prisma 7 on its `pg` adapter: the pool's options are the adapter's, the transaction API is its own. */
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from './generated/index.js';
import { del, insert, plain, play, scenario, step, table, url } from './speak.mjs';

const adapter = new PrismaPg({
  connectionString: url,
  max: 1,
  ...(scenario === 'timeout' ? { query_timeout: 3_000 } : {}),
});
/** The default is 5 s: a transaction that waits for a person needs longer than the rule's `expires_in_transaction`. */
const prisma = new PrismaClient({ adapter, transactionOptions: { timeout: 180_000, maxWait: 10_000 } });

const shape = (error) => {
  const cause = error?.meta?.driverAdapterError?.cause;
  return {
    ...plain(error),
    sqlstate: cause?.originalCode ?? cause?.code ?? error?.code,
    message: `${error?.message} ${cause?.originalMessage ?? ''}`,
  };
};
const run = (sql) => prisma.$executeRawUnsafe(sql);

await play(
  {
    run,
    shape,
    prepared: (v) => prisma.$executeRawUnsafe(`UPDATE ${table} SET v = $1`, v),
    timed: run,
    beside: async () => {
      await step('findMany', async () => (await prisma.customers.findMany({ take: 3 })).length);
      await step('count', () => prisma.customers.count());
      await step('$transaction([])', () =>
        prisma.$transaction([prisma.customers.count(), prisma.customers.findFirst()]).then(() => 1),
      );
      await step('isolation', () =>
        prisma.$transaction((tx) => tx.customers.count(), { isolationLevel: 'Serializable' }),
      );
      await step('upsert', () =>
        prisma.$queryRaw`SELECT id, name FROM customers WHERE id = ${1}`.then((rows) => rows.length),
      );
    },
    end: () => prisma.$disconnect(),
  },
  {
    'begin-approve': async () => {
      await step('commit', () =>
        prisma
          .$transaction(async (tx) => {
            await tx.$executeRawUnsafe(insert(4));
            await step('held', () => tx.$executeRawUnsafe(del), shape);
          })
          .then(() => 1),
      );
      await step('after', () => run('SELECT 1'));
    },
    'begin-deny': async () => {
      const ended = await prisma
        .$transaction(async (tx) => {
          await tx.$executeRawUnsafe(insert(4));
          await step('held', () => tx.$executeRawUnsafe(del), shape);
          await step('next', () => tx.$executeRawUnsafe('SELECT 1'), shape);
          throw new Error('rolled back by the caller');
        })
        .catch((error) => error);
      await step('rollback', () => ended.message);
      await step('after', () => run('SELECT 1'));
    },
  },
);
