"""Brokers that hand out nothing for a while."""

from __future__ import annotations

from oqron_sql.contract.adapters import BrokerCounts
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import BROKER, HOUR, ME, MINUTE, claim, publish, take


async def test_a_paused_broker_hands_out_nothing(broker: AsyncBroker) -> None:
    """[42] [49] [73] [74]"""
    await publish(broker, "a")
    assert await broker.is_paused(BROKER) is False
    for _ in range(2):
        await broker.pause(BROKER)
        assert await broker.is_paused(BROKER) is True
        assert await claim(broker) == []
    await broker.resume(BROKER)
    await broker.resume(BROKER)
    assert await broker.is_paused(BROKER) is False
    assert await claim(broker) == ["a"]


async def test_an_empty_broker_can_be_paused(broker: AsyncBroker) -> None:
    await broker.pause(BROKER)
    assert await broker.size(BROKER) == 0
    await publish(broker, "a")
    assert await claim(broker) == []
    await publish(broker, "b", name="elsewhere")
    assert await broker.is_paused("elsewhere") is False
    assert await claim(broker, name="elsewhere") == ["b"]


async def test_everything_else_goes_on_in_a_pause(broker: AsyncBroker) -> None:
    """[B10]"""
    await publish(broker, *"abcd")
    held = await claim(broker, 3)
    await broker.pause(BROKER)
    await publish(broker, "e")
    await publish(broker, "f", delay=HOUR)
    await broker.extend_lock(held[0], ME, HOUR, BROKER)
    assert await broker.ack(BROKER, held[0]) is True
    assert await broker.nack(BROKER, held[1]) is True
    assert await broker.remove(BROKER, "d") is True
    assert await broker.counts(BROKER) == BrokerCounts(waiting=2, delayed=1, claimed=1)
    assert await claim(broker) == []
    await broker.resume(BROKER)
    assert await claim(broker) == ["b", "e"]


@needs("movable_clock")
async def test_what_falls_due_in_a_pause_waits_for_its_end(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B10]"""
    await publish(broker, "claimed")
    await publish(broker, "delayed", delay=MINUTE)
    await take(broker, ttl=MINUTE)
    await broker.pause(BROKER)
    await harness.advance(HOUR)
    assert await claim(broker) == []
    assert await broker.counts(BROKER) == BrokerCounts(waiting=2)
    await broker.resume(BROKER)
    assert await claim(broker) == ["claimed", "delayed"]


@needs("shared_data")
async def test_a_pause_is_everybody_s(broker: AsyncBroker, harness: AdapterHarness) -> None:
    other = await harness.broker()
    await publish(broker, "a")
    await other.pause(BROKER)
    assert await broker.is_paused(BROKER) is True
    assert await claim(broker) == []
    await broker.resume(BROKER)
    assert await claim(other) == ["a"]


async def test_no_id_pauses_a_broker(broker: AsyncBroker) -> None:
    """[B13] Whatever a pause is stored as."""
    odd = ["__paused__", "__all__", "paused", "$paused", "queue", "delayed", "null", "0", "-1"]
    await publish(broker, *odd)
    assert await broker.is_paused(BROKER) is False
    assert await broker.size(BROKER) == len(odd)
    await broker.pause(BROKER)
    assert await broker.size(BROKER) == len(odd)
    for each in odd[:4]:
        assert await broker.remove(BROKER, each) is True
    assert await broker.is_paused(BROKER) is True
    await broker.resume(BROKER)
    assert await claim(broker) == odd[4:]
