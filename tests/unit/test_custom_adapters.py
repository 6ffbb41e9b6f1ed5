"""Adapters from plain functions and from objects that block."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql.adapters import (
    capabilities,
    create_broker,
    create_lock,
    create_storage,
    create_storage_adapter,
)
from oqron_sql.errors import InvalidAdapter, InvalidInput
from oqron_sql.memory import (
    AsyncMemoryBroker,
    AsyncMemoryLock,
    AsyncMemoryStorage,
    MemoryBroker,
    MemoryLock,
    MemoryStorage,
)

MINUTE = timedelta(minutes=1)


def functions(adapter: Any) -> dict[str, Any]:
    """Return the methods of an adapter as plain functions."""
    names = [name for name in dir(adapter) if not name.startswith("_")]
    return {name: getattr(adapter, name) for name in names if name not in ("run", "data", "clock")}


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(map(str.capitalize, rest))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (create_storage, MemoryStorage),
        (create_broker, MemoryBroker),
        (create_lock, MemoryLock),
        (create_storage, AsyncMemoryStorage),
        (create_broker, AsyncMemoryBroker),
        (create_lock, AsyncMemoryLock),
    ],
    ids=lambda each: each.__name__,
)
def test_objects_and_mappings_make_adapters(make: Any, kind: Any) -> None:
    made = kind()
    assert (make(made) is made) is kind.__name__.startswith("Async")
    given = functions(made)
    for mapping in (given, {camel(name): each for name, each in given.items()}):
        assert functions(make(mapping)).keys() == given.keys()


@pytest.mark.parametrize(
    ("change", "said", "missing"),
    [
        ({"get_many": None}, "'get_many' is missing", {"get_many"}),
        ({"save": "text"}, "'save' cannot be called", set()),
        (
            {"saveIfAbsant": len},
            "'save_if_absant' is no method .did you mean 'save_if_absent'",
            set(),
        ),
        ({"purge": len}, "'purge' is no method", set()),
    ],
    ids=str,
)
def test_what_is_wrong_with_functions_is_said(
    change: dict[str, Any], said: str, missing: set[str]
) -> None:
    given = {**functions(AsyncMemoryStorage()), **change}
    given = {name: each for name, each in given.items() if each is not None}
    with pytest.raises(InvalidAdapter, match=said) as error:
        create_storage(given)
    assert set(error.value.missing) == missing
    assert error.value.port == "storage"


def test_every_problem_is_said_at_once() -> None:
    class Misspelt:
        acquire = len

        def renue(self) -> None: ...

        is_owner = 7

    with pytest.raises(InvalidAdapter) as error:
        create_lock(Misspelt())
    assert error.value.problems == (
        "'renew' is missing (did you mean 'renue'?)",
        "'release' is missing",
        "'is_owner' cannot be called",
    )
    nothing: Any
    for nothing in (None, 7, "text", {}):
        with pytest.raises(InvalidAdapter, match="'acquire' is missing"):
            create_lock(nothing)


async def test_what_is_no_object_yet_is_refused() -> None:
    for given, said in (
        (AsyncMemoryStorage, "AsyncMemoryStorage is a class"),
        (create_storage_adapter(), "awaited first"),
    ):
        with pytest.raises(InvalidAdapter, match=said):
            create_storage(given)
    made = await create_storage_adapter()
    assert create_storage(made) is made


def test_broadcasting_takes_two() -> None:
    given = functions(AsyncMemoryBroker())
    for name in ("broadcast", "subscribe", "claim_blocking"):
        del given[name]
    assert capabilities(create_broker(given)) == frozenset()
    waits = {**given, "claimBlocking": AsyncMemoryBroker().claim_blocking}
    assert capabilities(create_broker(waits)) == {"claim_blocking"}
    with pytest.raises(InvalidAdapter, match="'broadcast' is missing"):
        create_broker({**given, "subscribe": len})


async def test_plain_functions_run_in_threads_and_coroutines_do_not() -> None:
    here, ran = threading.current_thread(), dict[str, bool]()

    def acquire(key: str, owner: str, ttl: timedelta) -> int:
        ran["acquire"] = threading.current_thread() is here
        return 1

    async def renew(key: str, owner: str, ttl: timedelta) -> bool:
        ran["renew"] = threading.current_thread() is here
        return True

    async def late() -> bool:
        return True

    lock = create_lock(
        {"acquire": acquire, "renew": renew, "release": lambda *_: late(), "isOwner": lambda *_: 0}
    )
    assert await lock.acquire("key", "me", MINUTE) == 1
    assert await lock.renew("key", "me", MINUTE) is True
    assert await lock.release("key", "me") is True
    assert ran == {"acquire": False, "renew": True}
    assert repr(lock) == "<lock of functions>"


async def test_a_claim_of_somebody_who_gave_up_is_handed_back() -> None:
    """A function that blocks cannot be interrupted, but what it brings is not kept."""
    bare, began, go_on = MemoryBroker(), threading.Event(), threading.Event()

    def claim(*args: Any) -> Any:
        began.set()
        go_on.wait(10)
        return MemoryBroker.claim(bare, *args)

    broker = create_broker({**functions(bare), "claim": claim})
    bare.publish("queue", "a")
    task = asyncio.create_task(broker.claim("queue", "me", 1, MINUTE))
    await asyncio.to_thread(began.wait, 10)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bare.counts("queue").waiting == 1


async def test_giving_up_is_heard_though_the_call_fails() -> None:
    began, go_on = threading.Event(), threading.Event()

    def acquire(*args: Any) -> int:
        began.set()
        go_on.wait(10)
        raise LookupError("too late")

    lock = create_lock({**functions(MemoryLock()), "acquire": acquire})
    task = asyncio.create_task(lock.acquire("key", "me", MINUTE))
    await asyncio.to_thread(began.wait, 10)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_handlers_of_a_blocking_broker_are_checked_and_stopped() -> None:
    broker, heard = create_broker(MemoryBroker()), list[Any]()

    async def awaited(message: Any) -> None: ...

    with pytest.raises(InvalidInput):
        await broker.subscribe("news", awaited)
    stop = await broker.subscribe("news", heard.append)
    await broker.broadcast("news", 1)
    await stop()
    await broker.broadcast("news", 2)
    await asyncio.sleep(0.01)  # only time shows that it does not come
    assert 2 not in heard


async def test_many_may_wait_in_threads_at_once() -> None:
    """And the others are not held up by them."""
    broker = create_broker(MemoryBroker())
    waiting = [
        asyncio.create_task(broker.claim_blocking("queue", f"c-{n}", MINUTE, MINUTE))
        for n in range(20)
    ]
    await asyncio.sleep(0.05)  # they wait by then; one that does not yet holds up nobody
    begun = time.monotonic()
    assert await broker.size("queue") == 0
    for n in range(20):
        await broker.publish("queue", f"id-{n}")
    found = await asyncio.gather(*waiting)
    assert sorted(map(str, found)) == sorted(f"id-{n}" for n in range(20))
    assert time.monotonic() - begun < 0.9
