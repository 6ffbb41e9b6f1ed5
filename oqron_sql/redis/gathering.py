"""Concurrent calls about one thing share a script; a lone one does not wait for company."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST = 500


class Gathering(Generic[Item, Answer]):
    """Sends what arrives while a batch is under way together, as soon as that has ended."""

    def __init__(self, send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]) -> None:
        self._send = send
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._under_way: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Answer:
        """Send `item` with whatever else is to be sent at this moment; return its own answer.

        A caller that is cancelled leaves its item to be sent.
        """
        outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._under_way is None:
            self._under_way = asyncio.ensure_future(self._send_all())
        return await outcome

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._settle(batch)
        finally:
            self._under_way = None

    async def _settle(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._send([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - the callers get it
            for _, outcome in batch:
                if not outcome.done():
                    outcome.set_exception(error)
            return
        for (_, outcome), answer in zip(batch, answers, strict=True):
            if not outcome.done():  # its caller was cancelled meanwhile
                outcome.set_result(answer)
