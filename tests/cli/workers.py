"""What a user's module may have in it, for `oqron-sql worker tests.cli.workers:...`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from oqron_sql import AsyncMemoryStore, AsyncSQLStore, Context, Worker
from oqron_sql.runtime import Handlers

QUEUE = "mail"
NOWHERE = "sqlite:////nowhere/at/all/mail.db"

handlers = Handlers()
number = 5


@handlers.handler("welcome")
async def welcome(context: Context[Any]) -> int:
    """Do as the payload says; return who did it."""
    if context.data == "fail":
        raise ValueError("no such address")
    if context.data == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(context.data, float):
        await asyncio.sleep(context.data)
    return os.getpid()


worker = Worker(QUEUE, AsyncSQLStore(NOWHERE), handlers, poll=0.1)
idle = Worker(QUEUE, AsyncMemoryStore())


def make() -> Worker:
    return worker


async def make_awaited() -> Handlers:
    return handlers


@contextlib.asynccontextmanager
async def make_within() -> AsyncIterator[Worker]:
    print("entered", file=sys.stderr)
    yield worker
    print("left", file=sys.stderr)


def make_with(what: str) -> Worker:
    return worker


def make_nothing() -> None:
    pass


def broken() -> Worker:
    raise RuntimeError("the configuration is not there")
