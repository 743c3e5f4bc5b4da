"""A client's side of a run: scenario and table come from the command line, what it sees goes out as JSON lines."""

import asyncio
import json
import os
import sys
import time

SCENARIO, TABLE = sys.argv[1:3]
URL = os.environ["DRIVER_URL"]
DELETE = f"DELETE FROM {TABLE}"


def insert(number):
    return f"INSERT INTO {TABLE} VALUES ({number}, 0)"


def _say(line):
    print(json.dumps(line), flush=True)


def notice(text):
    _say({"notice": text})


async def step(name, act):
    """Awaits act() and tells its value, or its error's class, SQLSTATE and message."""
    began = time.monotonic()

    def took():
        return round((time.monotonic() - began) * 1000)

    try:
        value = await act()
        _say({"step": name, "value": value, "ms": took()})
    except (Exception, asyncio.CancelledError) as error:
        seen = {"class": type(error).__name__, "message": str(error)}
        sqlstate = getattr(error, "sqlstate", None)
        if sqlstate:
            seen["sqlstate"] = sqlstate
        _say({"step": name, "error": seen, "ms": took()})


async def told():
    """The runner's next word: the request is on a card now."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def play(client):
    """The scenarios in terms of what both clients here can do."""
    run = client.run

    async def one():
        return await run("SELECT 1 AS one")

    async def held():
        return await run(DELETE)

    async def begun():
        await run("BEGIN")
        await run(insert(4))
        await step("held", held)
        if client.status:
            await step("status", client.status)

    if SCENARIO == "begin-approve":
        await begun()
        await step("commit", lambda: run("COMMIT"))
    elif SCENARIO == "begin-deny":
        await begun()
        await step("next", one)
        await step("rollback", lambda: run("ROLLBACK"))
    elif SCENARIO == "prepared":
        await step("held", lambda: client.prepared(10))
        await step("again", lambda: client.prepared(20))
    elif SCENARIO == "pipelined":
        await step("batch", lambda: client.batch([insert(4), DELETE, insert(5)]))
    elif SCENARIO == "cancel":
        await step("held", lambda: client.cancelled(DELETE))
    elif SCENARIO == "timeout":
        await step("held", lambda: client.timed(DELETE))
    elif SCENARIO == "beside":
        await client.beside()
        await step("beside", one)
    else:
        await step("held", held)
    await step("after", one)
    await client.end()
