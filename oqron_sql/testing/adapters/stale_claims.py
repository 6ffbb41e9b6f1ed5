"""Claims that ran out, and what their holders may still do."""

from __future__ import annotations

import pytest

from oqron_sql.contract.adapters import BrokerCounts, Strategy
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.errors import ClaimLost, InvalidInput
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import (
    BROKER,
    HOUR,
    ME,
    MINUTE,
    OTHER,
    SECOND,
    claim,
    each_raises,
    publish,
    take,
    take_one_by_one,
)


@needs("movable_clock")
async def test_a_claim_that_ran_out_is_claimed_by_somebody_else(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B3] Once."""
    await publish(broker, "a")
    assert (await take(broker, ttl=MINUTE)).deliveries == 1
    await harness.advance(MINUTE - 10 * SECOND)
    assert await claim(broker, consumer=OTHER) == []
    await harness.advance(11 * SECOND)
    again = await take(broker, consumer=OTHER)
    assert (again, again.deliveries) == ("a", 2)
    assert await claim(broker) == []


@pytest.mark.parametrize("strategy", Strategy)
@needs("movable_clock")
async def test_place_and_priority_outlast_a_claim(
    broker: AsyncBroker, harness: AdapterHarness, strategy: Strategy
) -> None:
    """[B3] [B7]"""
    for each, priority in (("a", 2), ("b", 0), ("c", 1), ("d", 1)):
        await publish(broker, each, priority=priority)
    await broker.nack(BROKER, (await claim(broker, 3, ttl=MINUTE))[2])  # so c is at the head
    await claim(broker, 1, ttl=MINUTE)
    await harness.advance(HOUR)
    await publish(broker, "e", priority=1)
    expected = {"fifo": "cabde", "lifo": "cedba", "priority": "bcdea"}[strategy]
    assert "".join(await take_one_by_one(broker, strategy)) == expected


@needs("movable_clock")
async def test_a_stale_claim_changes_nothing(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[B4] Not even where the consumer bears the same name."""
    await publish(broker, "a")
    stale = await take(broker, ttl=MINUTE)
    await harness.advance(HOUR)
    held = await take(broker, ttl=MINUTE)
    await each_raises(
        ClaimLost,
        (broker.ack, BROKER, stale),
        (broker.nack, BROKER, stale),
        (broker.nack, BROKER, stale, HOUR, 5),
        (broker.extend_lock, stale, ME, HOUR, BROKER),
        (broker.extend_lock, stale, ME, HOUR),
    )
    assert await broker.counts(BROKER) == BrokerCounts(claimed=1)
    await broker.extend_lock(held, ME, HOUR, BROKER)
    assert await broker.ack(BROKER, held) is True
    assert await broker.ack(BROKER, stale) is False
    assert await broker.nack(BROKER, stale) is False


@needs("movable_clock")
async def test_without_a_broker_a_claim_tells_which(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """A lost one is lost, wherever the consumer has the id now; the id alone does not tell."""
    await publish(broker, "a")
    stale = await take(broker, ttl=MINUTE)
    await harness.advance(HOUR)
    held = await take(broker)
    with pytest.raises(ClaimLost) as lost:
        await broker.extend_lock(stale, ME, HOUR)
    assert (lost.value.broker, lost.value.message_id) == (None, "a")
    await broker.publish("another", "a")
    (there,) = await broker.claim("another", ME, 1, HOUR)
    for each in (held, there):
        await broker.extend_lock(each, ME, HOUR)
    with pytest.raises(InvalidInput, match="in several") as refused:
        await broker.extend_lock("a", ME, HOUR)
    assert (refused.value.field, refused.value.value) == ("broker", None)


@needs("movable_clock")
async def test_a_late_ack_is_accepted_if_nobody_else_claimed(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B4] But a late extension is not, nor is there anything to hand back."""
    await publish(broker, "a", "b")
    held, other = await claim(broker, ttl=MINUTE)
    await harness.advance(HOUR)
    for given in (held, "a"):
        with pytest.raises(ClaimLost):
            await broker.extend_lock(given, ME, HOUR, BROKER)
        with pytest.raises(ClaimLost):
            await broker.extend_lock(given, ME, HOUR)
        assert await broker.nack(BROKER, given, HOUR) is False
    assert await broker.counts(BROKER) == BrokerCounts(waiting=2)
    assert await broker.ack(BROKER, held) is True
    assert await claim(broker, consumer=OTHER) == ["b"]
    with pytest.raises(ClaimLost):
        await broker.ack(BROKER, other)


@needs("movable_clock")
async def test_an_extension_counts_from_now(broker: AsyncBroker, harness: AdapterHarness) -> None:
    await publish(broker, "a", "short")
    for _ in range(2):
        await claim(broker, 1, ttl=10 * MINUTE)
    for _ in range(3):
        await harness.advance(5 * MINUTE)
        await broker.extend_lock("a", ME, 10 * MINUTE, BROKER)
    assert await claim(broker, consumer=OTHER) == ["short"]
    await broker.extend_lock("a", ME, MINUTE, BROKER)
    await harness.advance(2 * MINUTE)
    assert await claim(broker, consumer=OTHER) == ["a"]


async def test_a_claimed_id_that_is_published_waits_after_its_ack(broker: AsyncBroker) -> None:
    """[B5] It is never exposed twice."""
    await publish(broker, "a", "b")
    held = await take(broker)
    await publish(broker, "a", priority=7)
    await publish(broker, "a", priority=5)
    assert await claim(broker, consumer=OTHER) == ["b"]
    assert await broker.counts(BROKER) == BrokerCounts(claimed=2)
    await broker.extend_lock(held, ME, HOUR, BROKER)
    await publish(broker, "c", priority=6)
    assert await broker.ack(BROKER, held) is True
    assert await broker.ack(BROKER, held) is False
    assert await broker.counts(BROKER) == BrokerCounts(waiting=2, claimed=1)
    again, last = await claim(broker, strategy="priority")
    assert (again, again.deliveries, last) == ("a", 1, "c")
    with pytest.raises(ClaimLost):
        await broker.ack(BROKER, held)
    assert await broker.ack(BROKER, again) is True
    assert await broker.size(BROKER) == 2


@needs("movable_clock")
async def test_its_delay_begins_with_the_ack(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[B5]"""
    await publish(broker, "a")
    held = await take(broker)
    await publish(broker, "a", delay=MINUTE)
    await harness.advance(HOUR)
    await broker.ack(BROKER, held)
    assert await broker.counts(BROKER) == BrokerCounts(delayed=1)
    await harness.advance(2 * MINUTE)
    assert await claim(broker) == ["a"]


async def test_handing_back_answers_a_publication(broker: AsyncBroker) -> None:
    """[B5]"""
    await publish(broker, "a", priority=3)
    held = await take(broker)
    await publish(broker, "a", priority=9, delay=HOUR)
    assert await broker.nack(BROKER, held) is True
    again = await take(broker)
    assert again.deliveries == 2
    assert await broker.ack(BROKER, again) is True
    assert await broker.size(BROKER) == 0
    await publish(broker, "b")
    held = await take(broker)
    await publish(broker, "b")
    await broker.nack(BROKER, held)
    assert await broker.ack(BROKER, "b") is True
    assert await broker.size(BROKER) == 0


@needs("movable_clock")
async def test_redelivery_answers_a_publication(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B5] But a late ack, before it, does not."""
    await publish(broker, "a", "b")
    held = await claim(broker, ttl=MINUTE)
    await publish(broker, "a", "b")
    await harness.advance(HOUR)
    again = await take(broker)
    assert again == "a"
    assert await broker.ack(BROKER, again) is True
    assert await broker.ack(BROKER, held[1]) is True
    assert await claim(broker) == ["b"]


@needs("movable_clock")
async def test_a_publication_after_the_deadline_is_a_new_one(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B5] Which the claim before it does not take away."""
    await publish(broker, "a")
    stale = await take(broker, ttl=MINUTE)
    await harness.advance(HOUR)
    await publish(broker, "b")
    await publish(broker, "a")
    assert await broker.ack(BROKER, stale) is False
    assert await broker.counts(BROKER) == BrokerCounts(waiting=2)
    first, second = await claim(broker)
    assert (first, second, second.deliveries) == ("b", "a", 1)


@needs("movable_clock")
async def test_removing_asks_for_no_claim(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[B4] Not even that it is still the one."""
    await publish(broker, "a")
    stale = await take(broker, ttl=MINUTE)
    await harness.advance(HOUR)
    held = await take(broker, consumer=OTHER)
    assert await broker.remove(BROKER, stale) is True
    assert await broker.ack(BROKER, held) is False
    assert await broker.size(BROKER) == 0


async def test_removing_forgets_a_publication(broker: AsyncBroker) -> None:
    """[B5] And lets the holder know."""
    await publish(broker, "a")
    held = await take(broker)
    await publish(broker, "a")
    assert await broker.remove(BROKER, "a") is True
    assert await broker.remove(BROKER, held) is False
    assert await broker.size(BROKER) == 0
    assert await broker.ack(BROKER, held) is False
    with pytest.raises(ClaimLost):
        await broker.extend_lock(held, ME, HOUR, BROKER)
