"""Trees of jobs over several queues, run by workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from oqron_sql import AsyncStore, Context, FlowProducer, JobOptions, JobState
from oqron_sql.contract import Deduplication
from oqron_sql.errors import InvalidInput, JobFailed
from oqron_sql.runtime import FlowJob
from tests.runtime.steps import Looks, in_state, until, worker_of, working

PAGES, REPORTS, MAIL = "pages", "reports", "mail"
ONCE = Deduplication(key="once")


@pytest_asyncio.fixture
async def crews(store: AsyncStore) -> AsyncIterator[None]:
    """A worker for each of three queues: a page is its number, a report the sum of its pages."""
    async with AsyncExitStack() as stack:
        for queue in (PAGES, REPORTS, MAIL):
            worker = worker_of(store, queue)

            @worker.handler("page")
            async def page(context: Context[int]) -> int:
                if context.data < context.attempt <= 1:
                    raise RuntimeError("it cannot be printed")
                return abs(context.data)

            @worker.handler()
            async def add_up(context: Context[Any]) -> int:
                return sum((await context.children()).values())

            await stack.enter_async_context(working(worker))
        yield


def report(*pages: int, attempts: int = 1, **options: Any) -> FlowJob:
    """Return a report that waits for its pages; a negative one fails at first."""
    children = [FlowJob(PAGES, "page", n, JobOptions(attempts=attempts)) for n in pages]
    return FlowJob(REPORTS, "report", opts=JobOptions(**options), children=children)


async def test_a_tree_is_run_from_its_leaves(store: AsyncStore, crews: None) -> None:
    """Three levels, three queues, one transaction; what children return is for their parent."""
    flow = await FlowProducer(store).add(
        FlowJob(MAIL, "send", children=[report(1, 2, 3), report(4, 5), report()])
    )
    assert await flow.job.result(10) == 15
    assert [await each.job.result(1) for each in flow.children] == [6, 9, 0]
    assert [await each.job.result(1) for each in flow.children[0].children] == [1, 2, 3]


async def test_a_child_that_is_retried_counts_once(store: AsyncStore, crews: None) -> None:
    flow = await FlowProducer(store).add(report(-1, 2, -3, attempts=2))
    assert await flow.job.result(10) == 6


async def test_a_failure_goes_all_the_way_up(store: AsyncStore, crews: None) -> None:
    producer = FlowProducer(store)
    flow = await producer.add(FlowJob(MAIL, "send", children=[report(1, -2)]))
    with pytest.raises(JobFailed, match="Child failed: Child failed: RuntimeError: it cannot"):
        await flow.job.result(10)
    ignored = report(1, -2, fail_parent_on_child_failure="ignore")
    flow = await producer.add(FlowJob(MAIL, "send", children=[ignored]))
    assert await flow.job.result(10) == 1
    removed = report(-2, fail_parent_on_child_failure="remove")
    flow = await producer.add(FlowJob(MAIL, "send", children=[removed]))
    assert await flow.job.result(10) == 0
    assert await flow.children[0].job.get() is None


async def test_a_cancelled_child_goes_all_the_way_up(store: AsyncStore) -> None:
    flow = await FlowProducer(store).add(FlowJob(MAIL, "send", children=[report(1)]))
    page = flow.children[0].children[0].job
    assert await page.cancel() is True
    with pytest.raises(JobFailed, match="Child failed: Child failed: Job cancelled"):
        await flow.job.result(1)


async def test_a_tree_is_saved_whole_or_not_at_all(store: AsyncStore) -> None:
    bad = FlowJob(PAGES, "page", {1, 2})
    with pytest.raises(InvalidInput):
        await FlowProducer(store).add(FlowJob(MAIL, "send", children=[report(1), bad]))
    assert await store.list_queues() == []
    for opts in (JobOptions(delay=timedelta(hours=1)), JobOptions(deduplication=ONCE)):
        with pytest.raises(InvalidInput, match="cannot be asked of a job with children"):
            await FlowProducer(store).add(
                FlowJob(MAIL, "send", opts=opts, children=[FlowJob(PAGES, "page", 1)])
            )


async def test_a_child_that_another_stands_for_is_not_waited_for(
    store: AsyncStore, crews: None
) -> None:
    """Its handle is that of the job that stands for it."""
    await store.pause_job_name(PAGES, "held")
    producer = FlowProducer(store)
    held = FlowJob(PAGES, "held", 1, JobOptions(deduplication=ONCE))
    first = await producer.add(held)
    flow = await producer.add(FlowJob(REPORTS, "report", children=[held, *report(2).children]))
    assert flow.children[0].job.id == first.job.id
    assert await flow.job.result(10) == 2


async def test_a_parent_is_told_of_at_once(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another queue, without waiting for its worker to look."""
    looks = Looks(store, monkeypatch)
    pages, reports = worker_of(store, PAGES, poll=60), worker_of(store, REPORTS, poll=60)
    pages.handler()(lambda context: 1)
    reports.handler()(lambda context: 2)
    async with working(pages), working(reports):
        await until(lambda: store.has_subscribers(REPORTS))
        await looks.rest()
        flow = await FlowProducer(store).add(report(1, 2))
        await in_state(store, flow.job.id, JobState.COMPLETED, REPORTS)
