"""Ids that are not due yet."""

from __future__ import annotations

import pytest

from oqron_sql.contract.adapters import BrokerCounts, Message, Strategy
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import (
    BROKER,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    claim,
    publish,
    take,
)


@needs("movable_clock")
async def test_a_delayed_id_waits_until_it_is_due(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[41]"""
    await publish(broker, "a", delay=MINUTE)
    assert await claim(broker) == []
    await harness.advance(MINUTE - SECOND * 10)
    assert await claim(broker) == []
    assert await broker.counts(BROKER) == BrokerCounts(delayed=1)
    await harness.advance(SECOND * 11)
    assert await broker.counts(BROKER) == BrokerCounts(waiting=1)
    assert await claim(broker) == ["a"]


@pytest.mark.parametrize("strategy", ["fifo", "priority"])
@needs("movable_clock")
async def test_ids_fall_due_in_the_order_of_their_instants(
    broker: AsyncBroker, harness: AdapterHarness, strategy: str
) -> None:
    """[B8]"""
    delays = {"last": 4 * MINUTE, "second": 2 * MINUTE, "first": MINUTE, "third": 3 * MINUTE}
    await broker.publish_batch(BROKER, [Message(*each) for each in delays.items()])
    await harness.advance(HOUR)
    assert await claim(broker, strategy=strategy) == ["first", "second", "third", "last"]


@needs("movable_clock")
async def test_equal_delays_keep_the_order_of_publication(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    ids = ["z", "a", "m"]
    await broker.publish_batch(BROKER, [Message(each, MINUTE) for each in ids])
    await harness.advance(HOUR)
    assert await claim(broker) == ids


@pytest.mark.parametrize("strategy", Strategy)
@needs("movable_clock")
async def test_hundreds_may_fall_due_at_once(
    broker: AsyncBroker, harness: AdapterHarness, strategy: Strategy
) -> None:
    """[B2] [B3] [B8] And run out at once: each is claimed in its place, and once."""
    ids = [f"id-{n}" for n in range(1100)]
    messages = [Message(each, n * MILLISECOND) for n, each in enumerate(ids, 1)]
    await broker.publish_batch(BROKER, messages)
    await harness.advance(HOUR)
    await publish(broker, "last")
    expected = [*ids, "last"][:: -1 if strategy == "lifo" else 1]
    assert await claim(broker, 2000, strategy, ttl=MINUTE) == expected
    await harness.advance(HOUR)
    again = await claim(broker, 1, strategy) + await claim(broker, 2000, strategy)
    assert again == expected
    assert {each.deliveries for each in again} == {2}


@needs("movable_clock")
async def test_a_delay_keeps_the_priority(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[61] [B7]"""
    await publish(broker, "low", delay=SECOND, priority=9)
    await publish(broker, "high", delay=MINUTE, priority=1)
    await publish(broker, "plain")
    await publish(broker, "highest", delay=2 * MINUTE, priority=-1)
    await harness.advance(HOUR)
    assert await claim(broker, strategy=Strategy.PRIORITY) == ["highest", "plain", "high", "low"]


@needs("movable_clock")
async def test_publishing_again_replaces_the_delay(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B9] In both directions."""
    await publish(broker, "sooner", delay=HOUR)
    await publish(broker, "sooner", delay=MINUTE)
    await publish(broker, "later", delay=MINUTE)
    await publish(broker, "later", delay=HOUR)
    await publish(broker, "delayed-after-all")
    await publish(broker, "delayed-after-all", delay=HOUR)
    await publish(broker, "at-once", delay=HOUR)
    await publish(broker, "at-once")
    assert await claim(broker) == ["at-once"]
    await harness.advance(2 * MINUTE)
    assert await claim(broker) == ["sooner"]
    assert await broker.counts(BROKER) == BrokerCounts(delayed=2, claimed=2)


@needs("movable_clock")
async def test_a_delay_may_be_long_or_tiny(broker: AsyncBroker, harness: AdapterHarness) -> None:
    await publish(broker, "years", delay=HOUR * 24 * 365 * 100)
    await publish(broker, "tiny", delay=MILLISECOND / 10)
    await harness.advance(SECOND)
    assert await take(broker) == "tiny"
    assert await broker.counts(BROKER) == BrokerCounts(delayed=1, claimed=1)
