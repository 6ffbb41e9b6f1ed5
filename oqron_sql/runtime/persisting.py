"""Loops that nothing ends but their owner, or the end of the store."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from oqron_sql.errors import StoreClosed, StoreUnavailable

logger = logging.getLogger("oqron_sql")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


async def persist(
    what: str, step: Callable[[], Awaitable[object]], done: Callable[[], bool]
) -> None:
    """Repeat `step` until `done`; after a failure pause, longer each time, and go on.

    Raises:
        StoreClosed: the store is not connected, which no pause mends.
    """
    failures = 0
    while not done():
        try:
            await step()
        except StoreClosed:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, and tried again
            failures += 1
            longest = min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE)
            pause = random.uniform(0.5, 1) * longest  # noqa: S311 - spreads, guards nothing
            warn_of(error, "%s failed, trying again in %.1f s", what, pause)
            await asyncio.sleep(pause)
        else:
            failures = 0


def on_failure(call: Callable[[BaseException], None], task: asyncio.Task[None]) -> None:
    """Call `call` with the error that ended a task, if one did."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        call(error)


def warn_of(error: Exception, message: str, *args: object) -> None:
    """Log that something failed which will be tried again; a database that is away in one line."""
    known = isinstance(error, StoreUnavailable | StoreClosed | TimeoutError)
    said = str(error) or type(error).__name__
    logger.warning(f"{message}: %s", *args, said, exc_info=None if known else error)
