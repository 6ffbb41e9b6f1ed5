"""Two tenants of one place never meet, whatever they and their things are called."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql.adapters import Adapters, Scope, capabilities, create_broker, isolate
from oqron_sql.contract.adapters import Claim
from oqron_sql.errors import ClaimLost, InvalidName
from oqron_sql.memory import (
    AsyncMemoryBroker,
    AsyncMemoryLock,
    AsyncMemoryStorage,
    MemoryDocuments,
    MemoryQueues,
)

MINUTE = timedelta(minutes=1)
ODD = [
    "a", "A", "a:b", ":", "b", "::", "%", "%3A", "a%3Ab", "%253A", "{a}", "*", "?", " ", "a ", "😀",
]  # fmt: skip


def memory() -> tuple[Adapters, MemoryDocuments, MemoryQueues]:
    documents, queues = MemoryDocuments(), MemoryQueues()
    made = AsyncMemoryStorage(documents), AsyncMemoryBroker(queues), AsyncMemoryLock()
    return Adapters(*made), documents, queues


def test_no_choice_of_names_makes_two_scopes_meet() -> None:
    names = [Scope(*pair).name("n", name) for *pair, name in itertools.product(ODD, ODD, ODD)]
    assert len(set(names)) == len(ODD) ** 3


async def test_what_a_person_sees_names_project_environment_and_thing() -> None:
    base, documents, queues = memory()
    adapters = isolate(base, "shop", "live")
    await adapters.storage.save("orders", "7:a", {})
    await adapters.storage.save("rates:daily", "x", {})
    await adapters.broker.publish("emails", "7")
    assert documents.namespaces.keys() == {
        "oqron:shop:live:orders",
        "oqron:shop:live:rates%3Adaily",
    }
    assert list(documents.namespaces["oqron:shop:live:orders"]) == ["7:a"]
    assert queues.queues.keys() == {"oqron:shop:live:emails"}
    await adapters.lock.acquire("leader", "me", MINUTE)
    assert await base.lock.is_owner("oqron:shop:live:leader", "me") is True


async def test_without_names_everybody_is_in_development() -> None:
    base, documents, _ = memory()
    await isolate(base).storage.save("orders", "7", {})
    assert documents.namespaces.keys() == {"oqron:oqronkit:development:orders"}
    assert Scope() == Scope("oqronkit", "development")


async def test_every_method_keeps_to_its_scope() -> None:
    """Whoever has the same names in another scope sees and changes nothing."""
    base, *_ = memory()
    ours, theirs = isolate(base, "a:b", "c"), isolate(base, "a", "b:c")
    storage, broker, lock = ours.storage, ours.broker, ours.lock
    await storage.save("things", "a", {"n": 1})
    await broker.publish("queue", "waiting")
    await broker.publish("queue", "claimed", priority=-1)
    (held,) = await broker.claim("queue", "me", 1, MINUTE, "priority")
    await lock.acquire("key", "me", MINUTE)
    heard: list[Any] = []
    await broker.subscribe("news", heard.append)

    assert await theirs.storage.list("things") == []
    assert await theirs.storage.get("things", "a") is None
    assert await theirs.storage.get_many("things", ["a"]) == {}
    assert await theirs.storage.count("things") == 0
    assert await theirs.storage.delete("things", "a") is False
    assert await theirs.storage.bulk_delete("things", ["a"]) == 0
    assert await theirs.storage.compare_and_set("things", "a", {}, {"n": 9}) is False
    assert await theirs.storage.save_if_absent("things", "a", {"theirs": 1}) is True
    assert await theirs.storage.increment("things", "a", "theirs") == 2
    assert await theirs.broker.size("queue") == 0
    assert await theirs.broker.claim("queue", "me", 9, MINUTE) == []
    assert await theirs.broker.claim_blocking("queue", "me", MINUTE, timedelta(0)) is None
    assert await theirs.broker.ack("queue", held) is False
    assert await theirs.broker.nack("queue", held) is False
    assert await theirs.broker.remove("queue", "waiting") is False
    await theirs.broker.pause("queue")
    await theirs.broker.broadcast("news", "theirs")
    assert await theirs.lock.is_owner("key", "me") is False
    assert await theirs.lock.renew("key", "me", MINUTE) is False
    assert await theirs.lock.release("key", "me") is False
    assert await theirs.lock.acquire("key", "me", MINUTE) is not None

    assert await storage.get("things", "a") == {"n": 1}
    assert await broker.is_paused("queue") is False
    assert await broker.size("queue") == 2
    assert await broker.ack("queue", held) is True
    assert await lock.release("key", "me") is True
    await broker.broadcast("news", "ours")
    await asyncio.sleep(0)
    assert heard == ["ours"]


async def test_an_extension_without_a_broker_keeps_to_its_scope() -> None:
    """Though consumer and id are the same elsewhere."""
    base, *_ = memory()
    ours, theirs = isolate(base, "ours"), isolate(base, "theirs")
    await ours.broker.publish("queue", "a")
    (held,) = await ours.broker.claim("queue", "me", 1, MINUTE)
    for given in ("a", held):
        with pytest.raises(ClaimLost):
            await theirs.broker.extend_lock(given, "me", MINUTE)
    await theirs.broker.publish("other", "a")
    await theirs.broker.claim("other", "me", 1, MINUTE)
    await ours.broker.extend_lock("a", "me", MINUTE)
    await theirs.broker.extend_lock("a", "me", MINUTE)


async def test_a_lost_claim_is_told_by_the_names_that_were_used() -> None:
    base, *_ = memory()
    broker = isolate(base).broker
    await broker.publish("queue", "a")
    (held,) = await broker.claim("queue", "me", 1, MINUTE)
    await broker.ack("queue", held)
    with pytest.raises(ClaimLost) as lost:
        await broker.extend_lock(held, "me", MINUTE, "queue")
    assert (lost.value.broker, lost.value.message_id, lost.value.consumer) == ("queue", "a", "me")
    assert "oqron:" not in str(lost.value)


async def test_claims_pass_through() -> None:
    base, *_ = memory()
    broker = isolate(base).broker
    await broker.publish("queue", "a:b")
    (held,) = await broker.claim("queue", "me", 1, MINUTE)
    assert isinstance(held, Claim)
    assert (held, held.deliveries) == ("a:b", 1)
    await broker.publish("queue", "c")
    waited = await broker.claim_blocking("queue", "me", MINUTE, MINUTE)
    assert isinstance(waited, Claim)


async def test_a_name_must_fit_with_its_scope() -> None:
    base, *_ = memory()
    adapters = isolate(base, "p" * 100, "e" * 100)
    await adapters.storage.save("n" * 47, "a", 1)
    with pytest.raises(InvalidName, match="256 characters"):
        await adapters.storage.save("n" * 48, "a", 1)
    with pytest.raises(InvalidName):
        Scope("p" * 250)
    for wrong in ("", "\0", 7, None):
        with pytest.raises(InvalidName):
            Scope(wrong)  # type: ignore[arg-type]  # is what is tested
        with pytest.raises(InvalidName):
            isolate(base, "p", wrong)  # type: ignore[arg-type]  # is what is tested


async def test_isolation_adds_no_capability() -> None:
    functions = {
        name: getattr(AsyncMemoryBroker(), name)
        for name in dir(AsyncMemoryBroker)
        if name not in ("claim_blocking", "broadcast", "subscribe", "run") and name[0] != "_"
    }
    base = dataclasses.replace(memory()[0], broker=create_broker(functions))
    assert capabilities(isolate(base).broker) == frozenset()
    assert capabilities(isolate(memory()[0]).broker) == {"claim_blocking", "broadcast"}
    with pytest.raises(AttributeError, match="claim_blocking"):
        await isolate(base).broker.claim_blocking("queue", "me", MINUTE, MINUTE)
