"""Concurrent saves share one statement and one commit; a lone one does not wait for company."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from oqron_sql.contract.model import Job
from oqron_sql.errors import OqronError, StoreUnavailable

Entry = tuple[str, Job]
SaveEach = Callable[[Sequence[Entry]], Awaitable[list[str | OqronError]]]


class Gathering:
    """Saves what arrives while a save is under way together, as soon as that has ended.

    Each caller waits for the commit that holds its own job, and one that cannot be saved fails
    alone. The gain is largest where a commit costs most.
    """

    def __init__(self, save_each: SaveEach) -> None:
        self._save_each = save_each
        self._waiting: list[tuple[Entry, asyncio.Future[str]]] = []
        self._under_way: asyncio.Task[None] | None = None

    async def save(self, queue: str, job: Job) -> str:
        """Save `job` with whatever else is to be saved at this moment; return its id."""
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(((queue, job), outcome))
        if self._under_way is None:
            self._under_way = asyncio.ensure_future(self._save_all())
        return await outcome

    async def _save_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._settle(batch)
        finally:
            self._under_way = None

    async def _settle(self, batch: list[tuple[Entry, asyncio.Future[str]]]) -> None:
        try:
            saved: Sequence[str | BaseException] = await self._save_each(
                [entry for entry, _ in batch]
            )
        except StoreUnavailable as error:
            saved = [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - the callers get it, each its own
            if len(batch) > 1:
                for one in batch:
                    await self._settle([one])
                return
            saved = [error]
        for (_, outcome), result in zip(batch, saved, strict=True):
            if outcome.done():  # its caller was cancelled meanwhile
                continue
            if isinstance(result, BaseException):
                outcome.set_exception(result)
            else:
                outcome.set_result(result)
