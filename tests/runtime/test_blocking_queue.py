"""The queue for callers that block has all that the awaited one has."""

from __future__ import annotations

import inspect

from oqron_sql import BlockingQueue, Complete, JobOptions, JobState, MemoryStore, Queue
from oqron_sql.contract import EventType
from tests.runtime.steps import HOUR, QUEUE


def test_the_blocking_queue_does_all_that_the_awaited_one_does() -> None:
    store = MemoryStore()
    queue = BlockingQueue(QUEUE, store, JobOptions(attempts=2))
    told: list[EventType] = []
    store.subscribe(QUEUE, lambda event: told.append(event.type))
    first, *_ = queue.add_bulk([("job", n) for n in range(3)])
    late, now = queue.schedule("in 1 hour", "job"), queue.now("job", delay=HOUR)
    assert [queue.promote(late.id), queue.promote()] == [1, 0]
    assert (repr(queue), repr(now)) == ("<BlockingQueue 'mail'>", f"<job {now.id!r} of 'mail'>")
    found = queue.get(first.id)
    assert found is not None
    assert found.opts.attempts == 2
    assert now.get() is not None
    assert now.cancel() is True
    assert queue.cancel("unknown") is False
    assert [job.data for job in queue.list(JobState.WAITING)] == [0, 1, 2, None]
    assert queue.retry(now.id) == 1
    assert queue.retry(state=JobState.FAILED) == 0
    queue.remove(now.id)
    queue.pause()
    assert queue.paused() == ["__all__"]
    queue.resume()
    assert queue.clean(JobState.WAITING, HOUR) == 0
    (active,) = store.fetch_jobs(QUEUE, "worker", HOUR, 1)
    store.finish_jobs(QUEUE, [Complete(active, "done")])
    assert first.result(1) == "done"
    assert [job.state for job in queue.observe(first.id)] == [JobState.COMPLETED]
    assert [job.state for job in first.observe()] == [JobState.COMPLETED]
    queue.drain()
    assert queue.counts()[JobState.COMPLETED] == 1
    queue.obliterate()
    assert store.list_queues() == []
    assert told[:3] == [EventType.JOB_WAITING] * 3


def test_the_two_queues_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in vars(kind).items()
            if callable(method) and not name.startswith("_")
        }

    assert methods(Queue) == methods(BlockingQueue)
