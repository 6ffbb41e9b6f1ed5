"""The parts of a worker that can be looked at alone."""

from __future__ import annotations

import asyncio
import functools
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql import (
    AsyncMemoryStore,
    AsyncSQLStore,
    BlockingQueue,
    FlowProducer,
    MemoryStore,
    Queue,
    SQLStore,
    Worker,
)
from oqron_sql.contract import Backoff
from oqron_sql.errors import ConfigurationError, Interrupted
from oqron_sql.runtime import BlockingFlowProducer, Context, Scheduler, attempts
from oqron_sql.runtime.backoff import delay_of
from oqron_sql.runtime.deadlines import Deadlines
from oqron_sql.runtime.stores import awaitable
from oqron_sql.runtime.threads import ThreadCall, Threads
from oqron_sql.testing.steps import PAYLOAD
from tests.hosts.hosts import Either
from tests.runtime.faults import Faulty
from tests.runtime.steps import QUEUE, SECOND, until, worker_of, working

ERROR = RuntimeError("boom")


AWAITING: list[Callable[[Any], Any]] = [lambda store: Queue(QUEUE, store), FlowProducer]
BLOCKING: list[Callable[[Any], Any]] = [
    lambda store: BlockingQueue(QUEUE, store),
    BlockingFlowProducer,
]
EITHER: list[Callable[[Any], Any]] = [
    lambda store: Worker(QUEUE, store),
    lambda store: Scheduler(QUEUE, store),
]


class Delegate:
    """A store of somebody else's, which passes everything on."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_store_of_the_wrong_kind_is_refused_before_anything_is_lost() -> None:
    awaited: list[Any] = [AsyncMemoryStore(), AsyncSQLStore("sqlite://", migrate="off")]
    awaited += [Faulty(awaited[0]), Either(MemoryStore()), Delegate(awaited[1])]
    blocking: list[Any] = [MemoryStore(), SQLStore("sqlite://", migrate="off")]
    blocking += [Delegate(each) for each in blocking]
    for stores, fit, wrong, said in (
        (awaited, AWAITING, BLOCKING, "use (Queue|FlowProducer), or a store that blocks"),
        (blocking, BLOCKING, AWAITING, "use Blocking(Queue|FlowProducer), or a store that is aw"),
    ):
        for store in stores:
            for make in (*fit, *EITHER):
                assert make(store).store is store
            for make in wrong:
                with pytest.raises(ConfigurationError, match=said):
                    make(store)


@pytest.mark.parametrize("store", [None, "sqlite://", AsyncSQLStore, object()])
def test_what_is_no_store_is_refused(store: Any) -> None:
    for make in (*AWAITING, *BLOCKING, *EITHER):
        with pytest.raises(ConfigurationError, match=r"needs a store, such as .* and got (an|the)"):
            make(store)


def test_delays_double_and_are_spread() -> None:
    backoff = Backoff(type="exponential", delay=SECOND)
    for failures, expected in ((1, 1), (2, 2), (5, 16), (40, 24 * 3600), (4000, 24 * 3600)):
        delays = [delay_of(backoff, failures, ERROR, {}).total_seconds() for _ in range(50)]
        assert expected * 0.75 <= min(delays) < max(delays) <= expected * 1.25
    assert delay_of(None, 3, ERROR, {}) == timedelta(0)
    assert delay_of(Backoff(delay=SECOND), 3, ERROR, {}) == SECOND


def test_a_strategy_that_fails_costs_nothing_but_its_delay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backoff = Backoff(type="custom", strategy="mine", delay=SECOND)
    assert delay_of(backoff, 2, ERROR, {"mine": lambda failures, error: failures * 60}) == (
        2 * timedelta(minutes=1)
    )
    assert delay_of(backoff, 2, ERROR, {}) == SECOND
    assert delay_of(backoff, 2, ERROR, {"mine": lambda failures, error: 1 / 0}) == SECOND
    useless: list[Any] = [None, -1, "soon", math.nan, math.inf, timedelta.max, 1e12]
    for each in useless:
        assert delay_of(backoff, 2, ERROR, {"mine": functools.partial(_same, each)}) == SECOND
    assert caplog.text.count("'mine' is of no use") == 2 + len(useless)


def _same(value: Any, failures: int, error: BaseException) -> Any:
    return value


def test_the_text_of_an_error_is_bounded_and_always_had() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert attempts._text(ValueError("no")) == "ValueError: no"
    assert attempts._text(ValueError()) == "ValueError"
    assert attempts._text(Mute()) == "Mute: and its text cannot be had"
    assert len(attempts._text(ValueError("x" * 10_000_000))) < 100_000


async def test_deadlines_expire_in_time_and_only_then() -> None:
    expired: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()
    wheel: Deadlines[str] = Deadlines(lambda item: expired.append((item, loop.time())))
    started = loop.time()
    slots = {f"item {n}": wheel.set(f"item {n}", 0.1 + n / 100) for n in range(20)}
    wheel.set("soon", 0.01)
    wheel.set("much later", 3600)
    for n in range(0, 20, 2):
        wheel.clear(f"item {n}", slots[f"item {n}"])
    await until(lambda: len(expired) == 11)  # the last of which is due after all that were cleared
    assert [item for item, _ in expired] == ["soon", *(f"item {n}" for n in range(1, 20, 2))]
    for item, at in expired[1:]:
        due = started + 0.1 + int(item.removeprefix("item ")) / 100
        assert due <= at <= due + 0.15
    wheel.clear("soon", 0)
    wheel.close()


def test_an_interruption_stays_in_its_call() -> None:
    """However close to its end it comes, the thread and its next call never see it."""
    threads, ended = Threads(4), threading.Semaphore(0)
    kinds: Counter[str] = Counter()

    def report(value: Any, error: BaseException | None) -> None:
        kinds[type(error).__name__] += 1
        ended.release()

    def quick() -> int:
        return sum(range(random.randrange(300)))

    for n in range(5000):
        call = ThreadCall(quick, report)
        threads.submit(call)
        if n % 2:
            call.interrupt()
            call.interrupt()
    for _ in range(5000):
        assert ended.acquire(timeout=10)
    assert set(kinds) == {"NoneType", "Interrupted"}
    assert kinds["NoneType"] >= 2500
    threads.close()


def test_a_thread_is_ended_in_the_middle_of_its_work() -> None:
    threads, done = Threads(1), threading.Event()
    began, errors = threading.Event(), []

    def spin() -> None:
        began.set()
        while True:
            pass

    def report(value: Any, error: BaseException | None) -> None:
        errors.append(error)
        done.set()

    call = ThreadCall(spin, report)
    threads.submit(call)
    assert began.wait(5)
    call.interrupt()
    assert done.wait(5)
    assert isinstance(errors[0], Interrupted)
    threads.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_blocking_store_will_do(kind: str, tmp_path: Any) -> None:
    """Its calls are made in threads; the heartbeat has threads of its own."""
    store: Any = MemoryStore() if kind == "memory" else SQLStore(f"sqlite:///{tmp_path}/jobs.db")
    store.connect()
    worker = worker_of(store, lease=0.6)

    @worker.handler()
    def slow(context: Context[Any]) -> str:
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            context.check()
            time.sleep(0.01)
        return "done"

    async with working(worker):
        job = BlockingQueue(QUEUE, store).add("slow", PAYLOAD)
        assert await asyncio.to_thread(job.result, 10) == "done"
    found = job.get()
    assert found is not None
    assert found.lost_count == 0
    store.disconnect()


async def test_a_store_that_is_awaited_is_left_as_it_is() -> None:
    awaited = AsyncMemoryStore()
    assert awaitable(awaited) is awaited
    wrapped = awaitable(MemoryStore())
    await wrapped.connect()
    assert await wrapped.get_job(QUEUE, "unknown") is None
    assert not wrapped.has_subscribers(QUEUE)
    await wrapped.disconnect()


async def test_what_is_for_threads_is_refused_in_the_loop() -> None:
    worker = worker_of(MemoryStore())
    refused: list[Exception] = []

    @worker.handler()
    async def confused(context: Context[Any]) -> None:
        try:
            context.run(context.children())
        except ConfigurationError as error:
            refused.append(error)

    async with working(worker):
        BlockingQueue(QUEUE, worker.store).add("job", PAYLOAD)  # type: ignore[arg-type]  # it is blocking
        await until(lambda: refused)
    assert "await the call itself" in str(refused[0])
