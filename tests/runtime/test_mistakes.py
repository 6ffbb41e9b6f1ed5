"""Mistakes of callers: each is told what was wrong and what is wanted, in the words of the call."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from oqron_sql import BlockingQueue, JobOptions, MemoryStore, SQLStore, Worker
from oqron_sql.errors import ConfigurationError, InvalidInput, InvalidJobState
from oqron_sql.runtime import BlockingFlowProducer, FlowJob, Scheduler
from tests.runtime.steps import QUEUE

INSTANT = datetime(2030, 1, 1, tzinfo=UTC)
KEYWORDS = "options: must be JobOptions, and single ones are keywords, as in attempts=3"


def queue_of(store: MemoryStore) -> Any:
    """Return a queue that a type checker lets pass anything."""
    return BlockingQueue(QUEUE, store)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"backoff": "exponential"}, "backoff: must be a Backoff, as in Backoff("),
        ({"backoff": 5}, "backoff: must be a Backoff"),
        ({"group": 5}, "group: must be a Group"),
        ({"deduplication": 5}, "deduplication: must be a Deduplication"),
        ({"repeat": "daily"}, "repeat: must be a Repeat"),
        (
            {"delay": math.nan},
            'delay: must be a timedelta, seconds or a text like "5 minutes" (got nan)',
        ),
        ({"timeout": math.inf}, "timeout: must not be longer than a century"),
        ({"delay": "9999999999 weeks"}, "delay: must not be longer than a century"),
        ({"delay": -5}, "delay: must not be negative"),
        ({"timeout": "soon"}, "timeout: must read like"),
        ({"remove_on_fail": "soon"}, "remove_on_fail: must read like"),
        ({"delay": INSTANT}, "delay: an instant is not taken: give what is left until it, as in"),
        ({"delay": b"soon"}, "delay: must be a timedelta, seconds or a text like"),
    ],
    ids=str,
)
def test_an_option_is_told_by_its_name(wrong: dict[str, Any], said: str) -> None:
    store = MemoryStore()
    with pytest.raises(InvalidInput) as caught:
        queue_of(store).add("job", **wrong)
    assert str(caught.value).startswith(said)
    assert store.list_queues() == []


def test_options_made_by_themselves_take_no_names() -> None:
    made: Any = JobOptions
    for wrong in ({"group": "ada"}, {"deduplication": "key"}, {"backoff": "fixed"}):
        with pytest.raises(InvalidInput, match=r": must be a (Group|Deduplication|Backoff), as in"):
            made(**wrong)


@pytest.mark.parametrize(
    "call",
    [
        lambda queue: queue.add("job", {}, {"attempts": 3}),
        lambda queue: queue.add("job", {}, {"attempts": 3}, delay=5),
        lambda queue: queue.add_bulk([("job", {}, {"attempts": 3})]),
        lambda queue: queue.every("1 hour", "job", {}, {"attempts": 3}),
        lambda queue: BlockingQueue(QUEUE, queue.store, {"attempts": 3}).add("job"),  # type: ignore[arg-type]
        lambda queue: BlockingFlowProducer(queue.store).add(FlowJob(QUEUE, "job", opts={"n": 3})),  # type: ignore[arg-type]
    ],
)
def test_options_are_no_mapping(call: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(queue_of(MemoryStore()))
    assert str(caught.value).startswith(KEYWORDS)


def test_an_option_that_is_none_may_be_like_one_that_is() -> None:
    queue = queue_of(MemoryStore())
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: queue.add("job", atempts=3), r"no option 'atempts' \(did you mean 'attempts'\?\)"),
        (lambda: queue.add_bulk([("job", 1)], delai=3), r"'delai' \(did you mean 'delay'\?\)"),
        (
            lambda: queue.every("1 hour", "job", strat=1),
            r"'strat' \(did you mean 'start'\?\)",
        ),
        (lambda: queue.add("job", xyz=1), "there is no option 'xyz'$"),
    ]
    for call, said in calls:
        with pytest.raises(TypeError, match=said):
            call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda q: Worker(QUEUE, q.store, lease=-1), "lease: must not be negative"),
        (lambda q: Worker(QUEUE, q.store, poll=math.nan), "poll: must be a timedelta, seconds or"),
        (lambda q: Worker(QUEUE, q.store, grace=-1), "grace: must not be negative"),
        (lambda q: Worker(QUEUE, q.store).adjust(lease=-1), "lease: must not be negative"),
        (lambda q: Worker(QUEUE, q.store).adjust(grace=-1), "grace: must not be negative"),
        (lambda q: Scheduler(QUEUE, q.store, poll=-1), "poll: must not be negative"),
        (lambda q: q.handle("id").result(-1), "timeout: must not be negative"),
        (lambda q: q.clean("failed", -1), "grace: must not be negative"),
        (lambda q: q.schedule(-1, "job"), "delay: must not be negative"),
        (lambda q: q.schedule(INSTANT, "job"), "delay: an instant is not taken: give what is left"),
        (lambda q: q.every(-1, "job"), "interval: must not be negative"),
    ],
)
def test_a_span_is_told_by_the_name_of_its_argument(call: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(queue_of(MemoryStore()))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("wrong", [{"job": print}, print, [print]])
def test_handlers_are_a_registry(wrong: Any) -> None:
    store = MemoryStore()
    for call in (
        lambda: Worker(QUEUE, store, wrong),
        lambda: Worker(QUEUE, store).include(wrong),
    ):
        with pytest.raises(InvalidInput, match="handlers: must be a Handlers"):
            call()


def test_a_job_that_is_not_there_is_said_to_be_missing() -> None:
    queue = queue_of(MemoryStore())
    for call in (queue.retry, queue.promote):
        with pytest.raises(InvalidJobState, match="there is no job 'nope'; it may have been rem"):
            call("nope")


def test_a_session_is_none_that_cannot_be_joined() -> None:
    with SQLStore("sqlite://") as store:
        with pytest.raises(ConfigurationError, match="no session was given"):
            store.using(None)  # type: ignore[arg-type]
        for wrong in ("abc", "sqlite://", store.run(lambda tx: tx.conn.engine)):
            with pytest.raises(
                ConfigurationError,
                match="; a Session or Connection of SQLAlchemy is wanted",
            ):
                BlockingQueue(QUEUE, store).add("job", session=wrong)
