"""psycopg 3, asynchronous: an AsyncConnection in autocommit."""

import asyncio

import psycopg
from psycopg.types import TypeInfo

from speak import TABLE, URL, notice, play, step, told


class Client:
    async def open(self):
        self.connection = await psycopg.AsyncConnection.connect(URL, autocommit=True)
        self.connection.add_notice_handler(lambda diagnostic: notice(diagnostic.message_primary))
        return self

    async def run(self, sql):
        return (await self.connection.execute(sql)).rowcount

    async def status(self):
        return self.connection.info.transaction_status.name

    async def prepared(self, value):
        text = f"UPDATE {TABLE} SET v = %s"
        return (await self.connection.execute(text, [value], prepare=True)).rowcount

    async def batch(self, texts):
        async with self.connection.pipeline():
            cursors = [await self.connection.execute(text) for text in texts]
        return [cursor.rowcount for cursor in cursors]

    async def cancelled(self, sql):
        held = asyncio.create_task(self.run(sql))
        await told()
        await self.connection.cancel_safe()
        return await held

    async def timed(self, sql):
        async with asyncio.timeout(3):
            return await self.run(sql)

    async def beside(self):
        connection = self.connection

        async def transactions():
            async with connection.transaction():
                async with connection.transaction():
                    await connection.execute("SELECT 1")

        async def isolated():
            await connection.set_isolation_level(psycopg.IsolationLevel.SERIALIZABLE)
            await connection.set_read_only(True)
            async with connection.transaction():
                await connection.execute("SELECT 1")
            await connection.set_isolation_level(None)
            await connection.set_read_only(None)

        async def types():
            return (await TypeInfo.fetch(connection, "jsonb")).oid

        async def named_cursor():
            async with connection.transaction():
                async with connection.cursor("readings") as cursor:
                    await cursor.execute("SELECT id FROM customers WHERE id <= 10")
                    return len(await cursor.fetchmany(3))

        async def two_phase_names():
            return len([row async for row in connection.cursor().stream("SELECT id FROM customers WHERE id < 5")])

        await step("nested transactions", transactions)
        await step("isolation", isolated)
        await step("TypeInfo.fetch", types)
        await step("named cursor", named_cursor)
        await step("stream", two_phase_names)
        for sql in ("SET statement_timeout = 30000", "SHOW server_version", "DEALLOCATE ALL", "DISCARD ALL"):
            await step(sql, lambda sql=sql: self.run(sql))

    async def end(self):
        await self.connection.close()


async def main():
    await play(await Client().open())


asyncio.run(main())
