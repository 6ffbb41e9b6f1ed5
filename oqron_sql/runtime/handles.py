"""A job that was added: how to wait for it, and what to do about it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from oqron_sql.contract import AsyncStore, Job, Store
from oqron_sql.runtime import watching
from oqron_sql.runtime.orders import Span, after


class JobHandle:
    """One job of a queue, by its id, for callers that await."""

    __slots__ = ("_store", "id", "queue")

    def __init__(self, store: AsyncStore, queue: str, job_id: str) -> None:
        self._store, self.queue, self.id = store, queue, job_id

    def __repr__(self) -> str:
        return f"<job {self.id!r} of {self.queue!r}>"

    async def result(self, timeout: Span | None = None) -> Any:
        """Wait for the job to end and return what it returned.

        Raises:
            JobFailed: it failed, with its reason.
            JobNotFound: there is no such job, or not any more.
            TimeoutError: it did not end within `timeout`.
        """
        return await watching.result_of(self._store, self.queue, self.id, _seconds(timeout))

    def observe(self) -> AsyncGenerator[Job, None]:
        """Yield the job now and whenever it has changed, until it has ended or is gone."""
        return watching.changes_of(self._store, self.queue, self.id)

    async def get(self) -> Job | None:
        """Return the job as it is now, or None."""
        return await self._store.get_job(self.queue, self.id)

    async def cancel(self) -> bool:
        """Stop it if it runs, fail it if it has not begun; False if it has ended."""
        return await self._store.cancel_job(self.queue, self.id, unstarted=True)


class BlockingJobHandle:
    """One job of a queue, by its id, for callers that block; as `JobHandle` otherwise."""

    __slots__ = ("_store", "id", "queue")

    def __init__(self, store: Store, queue: str, job_id: str) -> None:
        self._store, self.queue, self.id = store, queue, job_id

    def __repr__(self) -> str:
        return f"<job {self.id!r} of {self.queue!r}>"

    def result(self, timeout: Span | None = None) -> Any:
        """Wait for the job to end and return what it returned.

        Raises:
            JobFailed: it failed, with its reason.
            JobNotFound: there is no such job, or not any more.
            TimeoutError: it did not end within `timeout`.
        """
        return watching.blocking_result_of(self._store, self.queue, self.id, _seconds(timeout))

    def observe(self) -> Generator[Job, None, None]:
        """Yield the job now and whenever it has changed, until it has ended or is gone."""
        return watching.blocking_changes_of(self._store, self.queue, self.id)

    def get(self) -> Job | None:
        """Return the job as it is now, or None."""
        return self._store.get_job(self.queue, self.id)

    def cancel(self) -> bool:
        """Stop it if it runs, fail it if it has not begun; False if it has ended."""
        return self._store.cancel_job(self.queue, self.id, unstarted=True)


def _seconds(timeout: Span | None) -> float | None:
    return None if timeout is None else after(timeout, "timeout").total_seconds()
