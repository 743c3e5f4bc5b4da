"""asyncpg: one connection; what its pool sends between two loans is among what it does besides."""

import asyncio

import asyncpg

from speak import SCENARIO, TABLE, URL, notice, play, step, told


def count(tag):
    """'DELETE 3' → 3"""
    last = tag.split()[-1]
    return int(last) if last.isdigit() else None


class Client:
    status = None

    async def open(self):
        timeout = 3 if SCENARIO == "timeout" else None
        self.connection = await asyncpg.connect(URL, command_timeout=timeout)
        self.connection.add_log_listener(lambda _, message: notice(message.message))
        self.statement = None
        return self

    async def run(self, sql):
        return count(await self.connection.execute(sql))

    async def prepared(self, value):
        if not self.statement:
            self.statement = await self.connection.prepare(f"UPDATE {TABLE} SET v = $1")
        await self.statement.fetch(value)
        return count(self.statement.get_statusmsg())

    async def cancelled(self, sql):
        held = asyncio.create_task(self.run(sql))
        await told()
        held.cancel()
        return await held

    async def timed(self, sql):
        return await self.run(sql)

    async def beside(self):
        connection = self.connection

        async def transactions():
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                async with connection.transaction():
                    await connection.fetchval("SELECT 1")

        async def cursor():
            async with connection.transaction():
                rows = connection.cursor("SELECT id FROM customers WHERE id <= $1", 10, prefetch=3)
                return len([row async for row in rows])

        async def introspection():
            return str(await connection.fetchval("SELECT c FROM customers c WHERE id = 1"))[:4]

        async def pool():
            async with asyncpg.create_pool(URL, min_size=1, max_size=1) as loans:
                for _ in range(2):
                    async with loans.acquire() as loan:
                        await loan.fetchval("SELECT 1")

        async def codec():
            await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=str)
            return await connection.fetchval("SELECT '{}'::jsonb")

        await step("transactions", transactions)
        await step("cursor", cursor)
        await step("introspection of a row type", introspection)
        await step("set_type_codec", codec)
        await step("pool", pool)
        await step("reset", connection.reset)
        await step("executemany", lambda: connection.executemany("SELECT $1::int", [[1], [2]]))

    async def end(self):
        await self.connection.close()


async def main():
    await play(await Client().open())


asyncio.run(main())
