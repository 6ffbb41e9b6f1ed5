"""In which order ids are claimed: a strategy is how one looks at them, not where they are."""

from __future__ import annotations

import pytest

from oqron_sql.contract.adapters import Message, Strategy
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import (
    BROKER,
    HOUR,
    MINUTE,
    SECOND,
    claim,
    publish,
    take_one_by_one,
)

PRIORITIES = {"a": 5, "b": 0, "c": -1, "d": 5, "e": 0, "f": 2**31 - 1, "g": -(2**31)}
ORDERS = {Strategy.FIFO: "abcdefg", Strategy.LIFO: "gfedcba", Strategy.PRIORITY: "gcbeadf"}


async def publish_all(broker: AsyncBroker) -> None:
    for each, priority in PRIORITIES.items():
        await broker.publish(BROKER, each, priority=priority)


@pytest.mark.parametrize("strategy", Strategy)
async def test_ids_come_in_the_order_of_the_strategy(
    broker: AsyncBroker, strategy: Strategy
) -> None:
    """[51] [52] [53] [54] [B1] [B2] In one claim, one by one, and in parts."""
    await publish_all(broker)
    assert "".join(await claim(broker, strategy=strategy)) == ORDERS[strategy]
    for each in PRIORITIES:
        await broker.remove(BROKER, each)
    await publish_all(broker)
    assert "".join(await take_one_by_one(broker, str(strategy))) == ORDERS[strategy]
    for each in PRIORITIES:
        await broker.remove(BROKER, each)
    await publish_all(broker)
    parts = [await claim(broker, 3, strategy) for _ in range(3)]
    assert "".join(each for part in parts for each in part) == ORDERS[strategy]


@pytest.mark.parametrize("strategy", Strategy)
@needs("movable_clock")
async def test_any_strategy_drains_everything(
    broker: AsyncBroker, harness: AdapterHarness, strategy: Strategy
) -> None:
    """[B1] However the ids came to wait."""
    await publish_all(broker)
    await publish(broker, "delayed", delay=SECOND, priority=3)
    await publish(broker, "delayed-plain", delay=SECOND)
    await publish(broker, "nacked", "delayed-again", "lapsed", priority=-7)
    for each in await claim(broker, 2, "priority") + await claim(broker, 3, "lifo"):
        await broker.nack(BROKER, each)
    await broker.nack(BROKER, (await claim(broker, 1, "priority"))[0], SECOND)
    await claim(broker, 3, "fifo", ttl=SECOND)
    await harness.advance(MINUTE)
    taken = await take_one_by_one(broker, strategy)
    expected = {*PRIORITIES, "delayed", "delayed-plain", "nacked", "delayed-again", "lapsed"}
    assert (set(taken), len(taken)) == (expected, len(expected))


async def test_strategies_can_alternate(broker: AsyncBroker) -> None:
    """[B1]"""
    await publish_all(broker)
    taken = [
        (await claim(broker, 1, strategy))[0]
        for strategy in ("lifo", "fifo", "priority", "lifo", "priority", "fifo", "lifo")
    ]
    assert "".join(taken) == "gacfbde"


async def test_what_is_new_takes_its_place(broker: AsyncBroker) -> None:
    """[B1] While others are already being claimed by every strategy."""
    await publish_all(broker)
    for strategy in Strategy:
        await claim(broker, 1, strategy)
    await publish(broker, "urgent", priority=-3)
    await publish(broker, "new", priority=2)
    assert await claim(broker, 1, "lifo") == ["new"]
    assert await claim(broker, 1, "priority") == ["urgent"]
    assert await claim(broker, 1, "fifo") == ["b"]


async def test_equal_priorities_go_by_publication(broker: AsyncBroker) -> None:
    """[54] Not by the text of the id."""
    ids = ["z", "a", "Z", "10", "9", "m"]
    await broker.publish_batch(BROKER, [Message(each, priority=1) for each in ids])
    assert await claim(broker, strategy="priority") == ids
    for each in ids:
        await broker.nack(BROKER, each)
    assert await claim(broker, strategy="lifo") == ids[::-1]


@needs("movable_clock")
async def test_the_order_is_by_place_not_by_publication(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B8] What fell due stands among the published ones by when it did."""
    await publish(broker, "due-third", delay=3 * SECOND)
    await publish(broker, "due-first", delay=SECOND)
    await publish(broker, "at-once")
    await harness.advance(2 * SECOND)
    await publish(broker, "published-between")
    await harness.advance(HOUR)
    await publish(broker, "published-last")
    expected = ["at-once", "due-first", "published-between", "due-third", "published-last"]
    assert await claim(broker) == expected
    for each in expected:
        await broker.remove(BROKER, each)
    await publish(broker, "due", delay=SECOND)
    await publish(broker, "at-once")
    await harness.advance(MINUTE)
    await publish(broker, "newest")
    assert await claim(broker, strategy="lifo") == ["newest", "due", "at-once"]
