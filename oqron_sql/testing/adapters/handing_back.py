"""Handing claimed ids back."""

from __future__ import annotations

import pytest

from oqron_sql.contract.adapters import BrokerCounts
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.errors import ClaimLost
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import (
    BROKER,
    HOUR,
    ME,
    MINUTE,
    NOW,
    OTHER,
    SECOND,
    claim,
    publish,
    take,
    take_one_by_one,
)


async def test_what_is_handed_back_is_claimed_next(broker: AsyncBroker) -> None:
    """[39] [46] [48] By whatever strategy looks for the oldest or the newest."""
    await publish(broker, *"abcd")
    for strategy in ("fifo", "lifo", "fifo", "lifo"):
        held = await take(broker)
        assert held == "a"
        assert await broker.nack(BROKER, held) is True
        assert await claim(broker, 1, strategy, consumer=OTHER) == ["a"]
        assert await broker.nack(BROKER, "a") is True
    assert await claim(broker) == ["a", "b", "c", "d"]


async def test_several_that_are_handed_back_keep_their_order(broker: AsyncBroker) -> None:
    await publish(broker, *"abcde")
    held = await claim(broker, 3)
    for each in (held[1], held[0], held[2]):
        await broker.nack(BROKER, each)
    assert await take_one_by_one(broker, "fifo") == ["a", "b", "c", "d", "e"]
    for name in "bd":
        await broker.nack(BROKER, name)
    await publish(broker, "f")
    assert await take_one_by_one(broker, "lifo") == ["d", "b", "f"]


async def test_the_head_is_that_of_its_priority(broker: AsyncBroker) -> None:
    """[B7]"""
    for each, priority in (("a", 1), ("b", 1), ("c", 0), ("d", 2)):
        await publish(broker, each, priority=priority)
    for each in await claim(broker, 4):
        if each in "bd":
            await broker.nack(BROKER, each)
        else:
            await broker.remove(BROKER, each)
    await publish(broker, "urgent")
    await publish(broker, "old", priority=1)
    assert await claim(broker, strategy="priority") == ["urgent", "b", "old", "d"]


async def test_a_priority_can_be_given_on_the_way_back(broker: AsyncBroker) -> None:
    """[B7]"""
    await publish(broker, *"abc", priority=5)
    held = await claim(broker)
    await broker.nack(BROKER, held[0], priority=9)
    await broker.nack(BROKER, held[1])
    await broker.nack(BROKER, held[2], priority=0)
    assert await claim(broker, strategy="priority") == ["c", "b", "a"]


@needs("movable_clock")
async def test_what_is_handed_back_for_later_waits(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[40] [47] [B7] It takes its place when it falls due, with its priority."""
    await publish(broker, "a", priority=3)
    await publish(broker, "b")
    held = await take(broker)
    assert await broker.nack(BROKER, held, MINUTE) is True
    assert await claim(broker) == ["b"]
    assert await broker.counts(BROKER) == BrokerCounts(delayed=1, claimed=1)
    await harness.advance(MINUTE + SECOND)
    await publish(broker, "c", priority=4)
    await publish(broker, "d", priority=3)
    assert await claim(broker, 1, consumer=OTHER) == ["a"]
    await broker.nack(BROKER, "a", SECOND, 4)
    await harness.advance(MINUTE)
    assert await claim(broker, strategy="priority") == ["d", "c", "a"]


@needs("movable_clock")
async def test_handing_back_for_later_gives_up_the_head(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    await publish(broker, "a", "b")
    for delay in (NOW, SECOND):
        await broker.nack(BROKER, await take(broker), delay)
    await harness.advance(MINUTE)
    await publish(broker, "c")
    assert await claim(broker, 1, "lifo") == ["c"]
    assert await claim(broker) == ["b", "a"]


async def test_what_is_not_claimed_stays_as_it_is(broker: AsyncBroker) -> None:
    """[B6]"""
    assert await broker.nack(BROKER, "unknown") is False
    assert await broker.nack(BROKER, "unknown", HOUR, 3) is False
    assert await broker.size(BROKER) == 0
    await publish(broker, "a", "b")
    await publish(broker, "later", delay=HOUR)
    assert await broker.nack(BROKER, "b") is False
    assert await broker.nack(BROKER, "b", HOUR, -1) is False
    assert await broker.nack(BROKER, "later") is False
    assert await broker.counts(BROKER) == BrokerCounts(waiting=2, delayed=1)
    assert await claim(broker, strategy="priority") == ["a", "b"]


async def test_handing_back_twice_is_harmless(broker: AsyncBroker) -> None:
    """[B6] As after a reply that was lost."""
    await publish(broker, "a")
    held = await take(broker)
    assert await broker.nack(BROKER, held, HOUR) is True
    assert await broker.nack(BROKER, held) is False
    assert await broker.ack(BROKER, held) is False
    for given in (held, "a"):
        with pytest.raises(ClaimLost):
            await broker.extend_lock(given, ME, HOUR, BROKER)
    assert await broker.counts(BROKER) == BrokerCounts(delayed=1)
    await broker.remove(BROKER, "a")
    assert await broker.nack(BROKER, held) is False
    assert await broker.size(BROKER) == 0


async def test_deliveries_are_counted(broker: AsyncBroker) -> None:
    await publish(broker, "a")
    for n in range(1, 4):
        held = await take(broker)
        assert held.deliveries == n
        await broker.nack(BROKER, held)
    await publish(broker, "a")
    assert (await take(broker)).deliveries == 1
