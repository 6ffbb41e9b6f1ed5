"""What comes of a job's attempts: it is tried again, given up, or done by somebody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import AsyncStore, Context, JobState
from oqron_sql.contract import Backoff, Complete
from oqron_sql.errors import GiveUp, JobFailed
from oqron_sql.testing import StoreHarness
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.steps import QUEUE, ended, in_state, queue_of, worker_of, working


async def test_jobs_nobody_runs_fail(store: AsyncStore, caplog: pytest.LogCaptureFixture) -> None:
    queue, worker = queue_of(store), worker_of(store)
    async with working(worker):
        jobs = await queue.add_bulk([("unheard-of", None)] * 30, attempts=2)
        for job in jobs:
            found = await ended(store, job.id)
            assert (found.state, found.attempts_made) == (JobState.FAILED, 2)
            assert "no handler for jobs named 'unheard-of'" in (found.failed_reason or "")


async def test_a_job_is_tried_again(store: AsyncStore, harness: StoreHarness) -> None:
    """As often as it may, after the delay it asks for, with a record of each attempt."""
    queue, worker = queue_of(store), worker_of(store)
    asked: list[tuple[int, str]] = []

    @worker.handler("flaky")
    async def flaky(context: Context[int]) -> str:
        if context.attempt <= context.data:
            raise RuntimeError(f"attempt {context.attempt}")
        return "at last"

    @worker.backoff("patient")
    def patient(failures: int, error: BaseException) -> str:
        asked.append((failures, str(error)))
        return "1 hour"

    hour = timedelta(hours=1)
    async with working(worker):
        first = await queue.add("flaky", 2, attempts=3)
        found = await ended(store, first.id)
        assert (found.state, found.returnvalue) == (JobState.COMPLETED, "at last")
        records = [(each.status, each.error) for each in found.attempt_logs]
        wrong = [("failed", f"RuntimeError: attempt {n}") for n in (1, 2)]
        assert records == [*wrong, ("completed", None)]
        assert "attempt 1" in found.stacktrace[0]
        assert "in flaky" in found.stacktrace[0]

        for backoff in (
            Backoff(type="fixed", delay=hour),
            Backoff(type="exponential", delay=hour),
            Backoff(type="custom", strategy="patient"),
        ):
            job = await queue.add("flaky", 1, attempts=2, backoff=backoff)
            found = await in_state(store, job.id, JobState.DELAYED)
            assert found.delay_until is not None
            assert found.attempt_logs[0].ended_at is not None
            waits = found.delay_until - found.attempt_logs[0].ended_at
            spread = hour / 4 if backoff.type == "exponential" else timedelta(seconds=1)
            assert hour - spread <= waits <= hour + spread
            await harness.advance(2 * hour)
            assert (await ended(store, job.id)).returnvalue == "at last"
        assert asked == [(1, "attempt 1")]

        job = await queue.add("flaky", 9, attempts=2)
        found = await ended(store, job.id)
        assert (found.state, found.attempts_made) == (JobState.FAILED, 2)
        assert found.failed_reason == "RuntimeError: attempt 2"


async def test_a_handler_may_give_up(store: AsyncStore) -> None:
    queue, worker = queue_of(store), worker_of(store)

    @worker.handler("hopeless")
    def hopeless(context: Context[Any]) -> None:
        raise GiveUp("there is no such address")

    @worker.handler("leaves")
    async def leaves(context: Context[Any]) -> None:
        raise SystemExit(3)

    class Odd(BaseException):
        """As some libraries have it, lest somebody catches it."""

    @worker.handler("odd")
    async def odd(context: Context[Any]) -> None:
        raise Odd("not an Exception")

    async with working(worker):
        job = await queue.add("hopeless", PAYLOAD, attempts=5)
        with pytest.raises(JobFailed, match="GiveUp: there is no such address"):
            await job.result(10)
        assert (await ended(store, job.id)).attempts_made == 1
        found = await ended(store, (await queue.add("leaves", PAYLOAD)).id)
        assert found.failed_reason == "SystemExit: 3"
        found = await ended(store, (await queue.add("odd")).id)
        assert found.failed_reason == "Odd: not an Exception"


async def test_what_cannot_be_stored_fails_alone(store: AsyncStore) -> None:
    """The outcomes that were to be recorded with it are."""
    queue, worker = queue_of(store), worker_of(store)

    @worker.handler("returns")
    async def returns(context: Context[int]) -> Any:
        return {1, 2} if context.data == 3 else context.data

    jobs = await queue.add_bulk([("returns", n) for n in range(8)], attempts=3)
    async with working(worker):
        found = [await ended(store, job.id) for job in jobs]
    assert [job.returnvalue for job in found] == [0, 1, 2, None, 4, 5, 6, 7]
    assert found[3].state is JobState.FAILED
    assert "is a set, which JSON does not have" in (found[3].failed_reason or "")


async def test_an_outcome_that_was_recorded_before_is_no_loss(
    store: AsyncStore, caplog: pytest.LogCaptureFixture
) -> None:
    queue, worker = queue_of(store), worker_of(store)

    @worker.handler()
    async def finishes(context: Context[Any]) -> str:
        await store.finish_jobs(QUEUE, [Complete(context.job, "by hand")])
        return "by the worker"

    async with working(worker):
        job = await queue.add("job", PAYLOAD)
        assert await job.result(10) == "by hand"
    assert "lost its lease" not in caplog.text
