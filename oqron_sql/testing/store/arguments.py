"""What is no count, span, state, number or name is refused before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, cast

import pytest

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    FetchOptions,
    Job,
    JobState,
    JobUpdate,
    Outcome,
    RateLimit,
    Retry,
    SearchFilter,
)
from oqron_sql.contract.model import Granularity
from oqron_sql.errors import InvalidInput, InvalidName
from oqron_sql.testing.steps import (
    MINUTE,
    PAST,
    QUEUE,
    WORKER,
    contents,
    fetch,
    job,
    leased,
    save_new,
)

Call = Callable[[AsyncStore], Coroutine[Any, Any, object]]
BACKWARD = timedelta(seconds=-1)
HELD = "held"
NOT_A_STATE = cast(JobState, "nope")
NO_SPAN = cast(timedelta, 60)
NO_COUNT = cast(int, 1.5)

COUNTS_AND_SPANS: dict[str, Call] = {
    "fetch_jobs n": lambda s: s.fetch_jobs(QUEUE, WORKER, MINUTE, -1),
    "fetch_jobs half a job": lambda s: s.fetch_jobs(QUEUE, WORKER, MINUTE, NO_COUNT),
    "fetch_jobs backward": lambda s: s.fetch_jobs(QUEUE, WORKER, BACKWARD, 1),
    "fetch_jobs number": lambda s: s.fetch_jobs(QUEUE, WORKER, NO_SPAN, 1),
    "fetch_next_job backward": lambda s: s.fetch_next_job(QUEUE, WORKER, BACKWARD),
    "extend_lock backward": lambda s: s.extend_lock(QUEUE, HELD, BACKWARD),
    "extend_lock number": lambda s: s.extend_lock(QUEUE, HELD, NO_SPAN),
    "extend_locks backward": lambda s: s.extend_locks(QUEUE, [job(job_id=HELD)], BACKWARD),
    "finish_jobs backward": lambda s: s.finish_jobs(QUEUE, [Retry(job(), "boom", BACKWARD)]),
    "recover_lost limit": lambda s: s.recover_lost(QUEUE, limit=-1),
    "recover_lost max_lost": lambda s: s.recover_lost(QUEUE, max_lost=-1),
    "get_stalled_jobs limit": lambda s: s.get_stalled_jobs(QUEUE, limit=-1),
    "promote_delayed_jobs limit": lambda s: s.promote_delayed_jobs(QUEUE, limit=-1),
    "clean limit": lambda s: s.clean(QUEUE, JobState.ACTIVE, MINUTE, limit=-1),
    "clean backward": lambda s: s.clean(QUEUE, JobState.ACTIVE, BACKWARD),
    "search_by_name limit": lambda s: s.search_by_name("x", limit=-1),
    "search_by_payload limit": lambda s: s.search_by_payload(QUEUE, "x", limit=-1),
    "search_jobs start": lambda s: s.search_jobs(start=-1),
    "list_flow_parents limit": lambda s: s.list_flow_parents(limit=-1),
    "get_metrics": lambda s: s.get_metrics(QUEUE, cast(Granularity, "day"), PAST, PAST),
}
VALUES: dict[str, Any] = {
    "state": NOT_A_STATE,
    "progress": math.nan,
    "attempts_made": -1,
    "pending_children_count": -1,
}
STATES: dict[str, Call] = {
    "list_jobs": lambda s: s.list_jobs(QUEUE, NOT_A_STATE),
    "count_jobs": lambda s: s.count_jobs(QUEUE, NOT_A_STATE),
    "clean": lambda s: s.clean(QUEUE, NOT_A_STATE, MINUTE),
    "retry_jobs": lambda s: s.retry_jobs(QUEUE, NOT_A_STATE),
    "update_job": lambda s: s.update_job(QUEUE, HELD, {}, expected_state=NOT_A_STATE),
    "search_jobs": lambda s: s.search_jobs(SearchFilter(states=(NOT_A_STATE,))),
    "list_flow_parents": lambda s: s.list_flow_parents(NOT_A_STATE),
}
LOOKUPS: dict[str, Callable[[AsyncStore, str], Coroutine[Any, Any, object]]] = {
    "get_job": lambda s, name: s.get_job(QUEUE, name),
    "get_job queue": lambda s, name: s.get_job(name, HELD),
    "find_job_by_id": lambda s, name: s.find_job_by_id(name),
    "find_by_deduplication_key": lambda s, name: s.find_by_deduplication_key(QUEUE, name),
    "get_job_counts": lambda s, name: s.get_job_counts(name),
    "get_children_jobs": lambda s, name: s.get_children_jobs(QUEUE, name),
    "get_group_active_count": lambda s, name: s.get_group_active_count(QUEUE, name),
    "get_paused_job_names": lambda s, name: s.get_paused_job_names(name),
    "get_next_delayed_timestamp": lambda s, name: s.get_next_delayed_timestamp(name),
    "get_metrics": lambda s, name: s.get_metrics(name, "hour", PAST, PAST),
    "remove_job": lambda s, name: s.remove_job(QUEUE, name),
    "cancel_job": lambda s, name: s.cancel_job(QUEUE, name),
    "extend_lock": lambda s, name: s.extend_lock(QUEUE, name, MINUTE),
    "update_job": lambda s, name: s.update_job(QUEUE, name, {"progress": 1}),
    "resume_job_name": lambda s, name: s.resume_job_name(QUEUE, name),
    "notify_child_completed": lambda s, name: s.notify_child_completed(QUEUE, name),
    "drain": lambda s, name: s.drain(name),
    "obliterate": lambda s, name: s.obliterate(name),
    "recover_lost": lambda s, name: s.recover_lost(name),
    "search_by_name": lambda s, name: s.search_by_name(name),
    "search_by_payload": lambda s, name: s.search_by_payload(QUEUE, name),
    "search_jobs": lambda s, name: s.search_jobs(SearchFilter(name=name)),
}


async def each_is_refused(store: AsyncStore, calls: dict[str, Call]) -> None:
    """Nothing that is called is done, and nothing is changed by the attempt."""
    await leased(store, job_id=HELD)
    before = await contents(store)
    for name, call in calls.items():
        with pytest.raises(InvalidInput):
            print(f"{name}: {await call(store)}")  # noqa: T201  # shown if it is not refused
    assert await contents(store) == before


async def test_what_is_no_count_or_span_is_refused(store: AsyncStore) -> None:
    await each_is_refused(store, COUNTS_AND_SPANS)


async def test_what_is_no_state_is_refused(store: AsyncStore) -> None:
    await each_is_refused(store, STATES)


async def test_what_no_member_can_be_is_refused(store: AsyncStore) -> None:
    await leased(store, job_id=HELD)
    before = await contents(store)
    for name, value in VALUES.items():
        bad: Job = job()
        setattr(bad, name, value)
        updates = cast(JobUpdate, {"failed_reason": "x", name: value})
        with pytest.raises(InvalidInput, match=name):
            await store.save_job(QUEUE, bad)
        with pytest.raises(InvalidInput, match=name):
            await store.save_bulk(QUEUE, [job(), bad])
        with pytest.raises(InvalidInput, match=name):
            await store.update_job(QUEUE, HELD, updates)
    assert await contents(store) == before


async def test_a_name_that_cannot_be_is_never_found(store: AsyncStore) -> None:
    """Nor does it end in an error of the driver, which cannot send some of these."""
    await leased(store, job_id=HELD)
    before = await contents(store)
    for lookup, call in LOOKUPS.items():
        for name in ("\0", "a\0b", "\ud83d", "x" * 5000):
            try:
                found = await call(store, name)
            except InvalidName:
                continue
            counted = isinstance(found, dict) and not any(found.values())
            nothing = found in (None, False, 0, JobState.COMPLETED) or counted
            empty = getattr(found, "total", 1) == 0 or found == []
            assert nothing or empty, f"{lookup} found {found!r}"
    assert await contents(store) == before


async def test_many_are_given_in_a_list(store: AsyncStore) -> None:
    """What can be gone through once is refused, since it would be empty when tried again."""
    held = await leased(store)
    before, once = await contents(store), cast(list[Job], iter([held]))
    for call in (
        lambda jobs: store.save_bulk(QUEUE, jobs),
        lambda jobs: store.save_flow(jobs),
        lambda jobs: store.extend_locks(QUEUE, jobs, MINUTE),
        lambda jobs: store.check_locks(QUEUE, jobs),
    ):
        with pytest.raises(InvalidInput):
            await call(once)
    with pytest.raises(InvalidInput):
        await store.finish_jobs(QUEUE, cast(list[Outcome], map(Complete, [held])))
    assert await contents(store) == before


async def test_nothing_asked_is_nothing_done(store: AsyncStore) -> None:
    await save_new(store, "a")
    limit = RateLimit(max=1, duration=MINUTE)
    for opts in (FetchOptions(), FetchOptions(rate_limit=limit, group_concurrency=1)):
        assert await store.fetch_jobs(QUEUE, WORKER, MINUTE, 0, opts) == []
    assert await store.search_by_name("a", limit=0) == []
    assert await store.clean(QUEUE, JobState.WAITING, timedelta(0), limit=0) == 0
    assert await fetch(store, rate_limit=limit) is not None


async def test_a_state_may_be_its_name(store: AsyncStore) -> None:
    (made,) = await save_new(store, "a")
    await store.update_job(QUEUE, made.id, {"state": cast(JobState, "failed")})
    (found,) = await store.list_jobs(QUEUE, cast(JobState, "failed"))
    assert found.state is JobState.FAILED
