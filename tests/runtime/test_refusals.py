"""What is wrong with handlers, leases and stores is told at once, and in words."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oqron_sql import AsyncMemoryStore, AsyncSQLStore, AsyncStore, Context, SQLStore
from oqron_sql.errors import ConfigurationError, InvalidInput, StoreClosed
from oqron_sql.runtime import Handlers, Scheduler, Worker
from oqron_sql.testing.steps import PAYLOAD
from tests.runtime.faults import Faulty
from tests.runtime.steps import QUEUE, Gate, ended, queue_of, until, worker_of, working

OWNERS: list[Callable[[], Any]] = [Handlers, lambda: worker_of(AsyncMemoryStore())]


async def send(context: Context[Any]) -> None:
    """Do nothing, as a handler does."""


class Takes:
    def context(self, context: Context[Any]) -> None:
        pass

    def nothing(self) -> None:
        pass

    async def __call__(self, context: Context[Any], much: int = 1) -> None:
        pass


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(context: Context[Any]) -> Any:
        return function(context, "a connection")

    return wrapper


@pytest.mark.parametrize("owner", OWNERS)
def test_a_decorator_that_is_not_called_is_refused(owner: Callable[[], Any]) -> None:
    made = owner()
    with pytest.raises(ConfigurationError, match=r"write @….handler\('send'\) .* @….handler\(\) "):
        made.handler(send)
    with pytest.raises(ConfigurationError, match=r"@….batch_handler\('send', size=3\) .*\(size=3"):
        made.batch_handler(send, size=3)
    with pytest.raises(InvalidInput):
        made.handler(7)
    assert (made.handlers if isinstance(made, Worker) else made).names == ()


def test_a_strategy_has_a_name() -> None:
    with pytest.raises(InvalidInput, match="name"):
        worker_of(AsyncMemoryStore()).backoff(lambda failures, error: 1)  # type: ignore[arg-type]  # a mistake


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("wrong", [5, None, "send", object()])
def test_what_is_no_function_is_no_handler(owner: Callable[[], Any], wrong: Any) -> None:
    for register in (owner().handler("x"), owner().batch_handler("x", size=2)):
        with pytest.raises(ConfigurationError, match="is a function, and not an object of type"):
            register(wrong)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: None, "<lambda> cannot be called with .* alone: too many positional"),
        (lambda context, database: None, "missing a required argument: 'database'"),
        (lambda context, *, database: None, "missing a required argument: 'database'"),
        (lambda *, context: None, "too many positional"),
        (Takes().nothing, "Takes.nothing cannot be called"),
        (functools.partial(lambda context: None, 1), "too many positional"),
    ],
)
def test_who_cannot_be_given_a_context_is_refused(call: Any, said: str) -> None:
    for register in (Handlers().handler("x"), Handlers().batch_handler("x", size=2)):
        with pytest.raises(ConfigurationError, match=said):
            register(call)


@pytest.mark.parametrize(
    "call",
    [
        send,
        print,
        dict,
        Takes(),
        Takes().context,
        lambda *contexts: None,
        lambda context, database=None: None,
        functools.partial(lambda database, context: None, "a connection"),
        wrapped(lambda context, database: None),
        max,  # which does not tell what it takes
    ],
)
def test_who_can_be_given_a_context_is_a_handler(call: Any) -> None:
    handlers = Handlers()
    assert handlers.handler("x")(call) is call
    assert handlers.names == ("x",)


async def test_a_worker_without_handlers_says_so(caplog: pytest.LogCaptureFixture) -> None:
    worker = worker_of(AsyncMemoryStore())
    for _ in range(2):
        async with working(worker):
            assert caplog.text.count("has no handlers, so every job will fail") == 1
        caplog.clear()
        worker.handler("x")(send)
        async with working(worker):
            pass
        assert "no handlers" not in caplog.text
        worker = worker_of(AsyncMemoryStore())


async def test_an_unknown_name_is_told_in_a_line_with_those_that_are_known(
    store: AsyncStore, caplog: pytest.LogCaptureFixture
) -> None:
    worker = worker_of(store)
    for name in ("welcome", "invoice"):
        worker.handler(name)(send)
    said = "no handler for jobs named 'welcom'; it has handlers for 'invoice', 'welcome'; did you"
    async with working(worker):
        found = await ended(store, (await queue_of(store).add("welcom", PAYLOAD)).id)
        assert f"{said} mean 'welcome'?" in (found.failed_reason or "")
        assert not found.stacktrace
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert said in record.message
    assert record.exc_info is None

    for n in range(20):
        worker.handler(f"n{n:02}")(send)
    async with working(worker):
        found = await ended(store, (await queue_of(store).add("else", PAYLOAD)).id)
        assert (found.failed_reason or "").endswith("'n07', 'n08', …")


async def test_a_lease_that_cannot_be_kept_is_refused() -> None:
    store = AsyncMemoryStore()
    for lease in (0.01, "299 ms"):
        with pytest.raises(InvalidInput, match=r"lease: must be at least 0\.3 s"):
            Worker(QUEUE, store, lease=lease)
        with pytest.raises(InvalidInput, match=r"lease: must be at least 0\.3 s"):
            Worker(QUEUE, store).adjust(lease=lease)
    Worker(QUEUE, store, lease=0.3).adjust(lease="300 ms")


def closing(url: str) -> list[Any]:
    return [AsyncSQLStore(url), SQLStore(url)]


def in_one_line(caplog: pytest.LogCaptureFixture) -> str:
    """Return the one error that was told, and see that nothing was told with a traceback."""
    assert all(each.exc_info is None for each in caplog.records), caplog.text
    (error,) = (each.message for each in caplog.records if each.levelno >= logging.ERROR)
    return error


@pytest.mark.parametrize("n", [0, 1])
async def test_a_store_that_was_never_connected_ends_who_uses_it(
    tmp_path: Path, n: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = closing(f"sqlite:///{tmp_path}/jobs.db")[n]
    worker = worker_of(store)
    worker.handler()(send)
    for user in (worker, Scheduler([QUEUE, "another"], store, poll=0.05)):
        for _ in range(2):
            with pytest.raises(
                StoreClosed, match=r"before connect\(\); .*`await store.connect\(\)`"
            ):
                await user.run()
            assert in_one_line(caplog).startswith(f"{user!r} ends: the store was used before conn")
            caplog.clear()


@pytest.mark.parametrize("n", [0, 1])
async def test_a_store_that_is_closed_meanwhile_ends_who_uses_it(
    tmp_path: Path, n: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="oqron_sql")  # whatever a test before has set
    url = f"sqlite:///{tmp_path}/jobs.db"
    store, gate = closing(url)[n], Gate()
    worker = worker_of(store)

    @worker.handler()
    async def waits(context: Context[Any]) -> None:
        context.log("it begins")
        await gate(context)

    async with AsyncSQLStore(url) as another:
        await settled(store.connect())
        job = await queue_of(another).add("job", PAYLOAD)
        with pytest.raises(StoreClosed, match="after disconnect"):  # noqa: PT012 - at its end
            async with worker:
                await gate.entered()
                await settled(store.disconnect())
                await until(lambda: gate.stopped)
                await until(lambda: "has closed" in caplog.text)
        assert "after disconnect()" in in_one_line(caplog)
        assert gate.stopped == [job.id]
        await worker.close()

        caplog.clear()
        await settled(store.connect())
        with pytest.raises(StoreClosed):  # noqa: PT012 - at its end
            async with Scheduler(QUEUE, store, poll=0.05):
                await settled(store.disconnect())
                await until(lambda: "ends: the store was used after" in caplog.text)
        in_one_line(caplog)


async def test_what_fails_in_the_block_is_what_is_told(tmp_path: Path) -> None:
    store = AsyncSQLStore(f"sqlite:///{tmp_path}/jobs.db")
    for user in (worker_of(store), Scheduler(QUEUE, store)):
        with pytest.raises(KeyError):
            async with user:
                raise KeyError


async def test_the_heartbeat_connects_no_store_of_the_callers(store: AsyncStore) -> None:
    """One that was closed meanwhile, in memory, would be another and empty."""
    faulty, gate = Faulty(store), Gate()
    faulty.twinless = True
    worker = worker_of(faulty, lease=0.6)
    worker.handler()(gate)
    async with working(worker):
        await queue_of(store).add("job", PAYLOAD)
        await until(lambda: faulty.calls["check_locks"] and faulty.calls["extend_locks"])
        assert not faulty.calls["connect"]


async def settled(made: Any) -> None:
    """Await what a store's method returned, if it is to be awaited."""
    if made is not None:
        await made
