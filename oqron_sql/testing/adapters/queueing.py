"""Publishing, claiming and acknowledging ids."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql.contract.adapters import BrokerCounts, Claim, Message
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.errors import ClaimLost, InvalidInput
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import (
    BROKER,
    HOUR,
    ME,
    MINUTE,
    OTHER,
    claim,
    each_raises,
    publish,
    take,
)


async def test_published_ids_are_claimed_once(broker: AsyncBroker) -> None:
    """[35] [50] [56] [57]"""
    await publish(broker, "a", "b", "c")
    assert await claim(broker) == ["a", "b", "c"]
    assert await claim(broker, consumer=OTHER) == []


async def test_an_empty_broker_hands_out_nothing(broker: AsyncBroker) -> None:
    """[36]"""
    assert await claim(broker) == []
    assert await broker.size(BROKER) == 0
    assert await broker.counts(BROKER) == BrokerCounts()


async def test_no_more_than_the_limit_is_claimed(broker: AsyncBroker) -> None:
    """[37] [55] [58]"""
    await publish(broker, *"abcde")
    assert await claim(broker, 0) == []
    assert await claim(broker, 2) == ["a", "b"]
    assert await claim(broker, 2) == ["c", "d"]
    assert await claim(broker, 2**70) == ["e"]


async def test_hundreds_are_claimed_at_once(broker: AsyncBroker) -> None:
    ids = [f"id-{n}" for n in range(700)]
    await broker.publish_batch(BROKER, [Message(each) for each in ids])
    assert await claim(broker, 1000) == ids


async def test_a_claim_knows_itself(broker: AsyncBroker) -> None:
    await publish(broker, "a", "b")
    first = await take(broker)
    second = await take(broker)
    assert isinstance(first, str)
    assert (first, str(first), first.deliveries) == ("a", "a", 1)
    assert first.token
    assert first.token != second.token


async def test_an_acknowledged_id_is_gone(broker: AsyncBroker) -> None:
    """[38]"""
    await publish(broker, "a", "b")
    for claimed in await claim(broker):
        assert await broker.ack(BROKER, claimed) is True
        assert await broker.ack(BROKER, claimed) is False
        assert await broker.ack(BROKER, str(claimed)) is False
    assert await broker.size(BROKER) == 0
    assert await claim(broker) == []


async def test_an_id_is_acknowledged_in_any_state(broker: AsyncBroker) -> None:
    await publish(broker, "waiting", "claimed")
    await publish(broker, "delayed", delay=HOUR)
    await claim(broker, 1)
    assert [await broker.ack(BROKER, each) for each in ("waiting", "claimed", "delayed")] == [
        True
    ] * 3
    assert await broker.ack(BROKER, "unknown") is False
    assert await broker.size(BROKER) == 0


async def test_an_id_is_removed_in_any_state(broker: AsyncBroker) -> None:
    """[72]"""
    await publish(broker, "waiting", "claimed")
    await publish(broker, "delayed", delay=HOUR)
    await claim(broker, 1)
    assert [await broker.remove(BROKER, each) for each in ("waiting", "claimed", "delayed")] == [
        True
    ] * 3
    assert await broker.remove(BROKER, "unknown") is False
    assert await broker.size(BROKER) == 0


async def test_brokers_are_apart(broker: AsyncBroker) -> None:
    """[45] [64]"""
    await publish(broker, "a", "b")
    await publish(broker, "a", name="elsewhere")
    assert await claim(broker, name="elsewhere") == ["a"]
    assert await broker.size(BROKER) == 2
    (held, _) = await claim(broker)
    assert await broker.ack("elsewhere", "a") is True
    assert await broker.ack(BROKER, held) is True
    await publish(broker, "a", name="elsewhere")
    assert await broker.remove(BROKER, "a") is False
    assert await broker.nack(BROKER, "a") is False
    assert await broker.size("elsewhere") == 1


async def test_publishing_again_moves_to_the_end(broker: AsyncBroker) -> None:
    """[59] [B9] An id is there once, with what was said last."""
    await publish(broker, "a", "b", "c")
    await publish(broker, "a")
    assert await broker.size(BROKER) == 3
    assert await claim(broker) == ["b", "c", "a"]
    await publish(broker, "delayed", delay=HOUR)
    await publish(broker, "before")
    await publish(broker, "delayed")
    assert await claim(broker) == ["before", "delayed"]
    await publish(broker, "d", delay=HOUR, priority=5)
    await publish(broker, "e")
    await publish(broker, "d", priority=-1)
    assert await claim(broker, strategy="priority") == ["d", "e"]


async def test_a_batch_is_published_in_order(broker: AsyncBroker) -> None:
    """[70] Of equal ids the last counts."""
    await publish(broker, "old", "b")
    await broker.publish_batch(
        BROKER,
        [Message("a"), Message("b"), Message("later", delay=HOUR), Message("a", priority=-1)],
    )
    await broker.publish_batch(BROKER, [])
    assert await broker.counts(BROKER) == BrokerCounts(waiting=3, delayed=1)
    assert await claim(broker) == ["old", "b", "a"]


async def test_one_bad_message_keeps_a_batch_out(broker: AsyncBroker) -> None:
    wrong = (Message("b", timedelta(-1)), Message("b", timedelta.max), Message("b", priority=2**31))
    for bad in (Message(""), *wrong):
        with pytest.raises(InvalidInput):
            await broker.publish_batch(BROKER, [Message("a"), bad, Message("c")])
    assert await broker.size(BROKER) == 0


async def test_a_batch_is_a_list_of_messages(broker: AsyncBroker) -> None:
    wrong: Any
    for wrong in ("a", ["a"], Message("a"), (each for each in [Message("a")])):
        with pytest.raises(InvalidInput):
            await broker.publish_batch(BROKER, wrong)
    assert await broker.size(BROKER) == 0


async def test_states_are_counted(broker: AsyncBroker) -> None:
    """[71] [B11]"""
    await publish(broker, *"abcd")
    await publish(broker, "later", "much-later", delay=HOUR)
    await claim(broker, 3)
    counts = await broker.counts(BROKER)
    assert counts == BrokerCounts(waiting=1, delayed=2, claimed=3)
    assert await broker.size(BROKER) == counts.total == 6


@needs("movable_clock")
async def test_what_is_over_counts_as_waiting(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[B11]"""
    await publish(broker, "a", "b", "c")
    await publish(broker, "soon", delay=MINUTE)
    await publish(broker, "later", delay=3 * HOUR)
    await claim(broker, 1, ttl=MINUTE)
    await claim(broker, 1, ttl=3 * HOUR)
    await harness.advance(HOUR)
    assert await broker.counts(BROKER) == BrokerCounts(waiting=3, delayed=1, claimed=1)
    assert await broker.size(BROKER) == 5


async def test_a_claim_is_extended_by_its_consumer_alone(broker: AsyncBroker) -> None:
    """[43] [44] [62] [63]"""
    await publish(broker, "a", "waiting")
    held = await take(broker)
    await broker.extend_lock(held, ME, HOUR, BROKER)
    await broker.extend_lock("a", ME, HOUR, BROKER)
    await broker.extend_lock("a", ME, HOUR)
    for each, consumer, name in (
        ("a", OTHER, BROKER),
        ("waiting", ME, BROKER),
        ("unknown", ME, BROKER),
        ("a", ME, "elsewhere"),
        ("a", OTHER, None),
    ):
        with pytest.raises(ClaimLost):
            await broker.extend_lock(each, consumer, HOUR, name)
    assert await broker.ack(BROKER, held) is True
    with pytest.raises(ClaimLost):
        await broker.extend_lock(held, ME, HOUR, BROKER)


async def test_an_extension_says_which_broker_if_there_are_several(broker: AsyncBroker) -> None:
    for name in (BROKER, "elsewhere"):
        await publish(broker, "a", name=name)
        await claim(broker, name=name)
    with pytest.raises(InvalidInput):
        await broker.extend_lock("a", ME, HOUR)
    await broker.extend_lock("a", ME, HOUR, "elsewhere")
    await broker.ack("elsewhere", "a")
    await broker.extend_lock("a", ME, HOUR)


async def test_what_cannot_be_is_refused_before_anything_happens(broker: AsyncBroker) -> None:
    await publish(broker, "a")
    none = timedelta(0)
    await each_raises(
        InvalidInput,
        (broker.publish, BROKER, "b", timedelta(seconds=-1)),
        (broker.publish, BROKER, "b", timedelta.max),
        (broker.publish, BROKER, "b", none, 2**31),
        (broker.publish, BROKER, "b", none, -(2**31) - 1),
        (broker.publish, BROKER, "b", none, 0.5),
        (broker.claim, BROKER, ME, -1, MINUTE),
        (broker.claim, BROKER, ME, 1, none),
        (broker.claim, BROKER, ME, 1, -MINUTE),
        (broker.claim, BROKER, ME, 1, timedelta.max),
        (broker.claim, BROKER, ME, 1, MINUTE, "newest"),
        (broker.extend_lock, "a", ME, none, BROKER),
        (broker.nack, BROKER, "a", -MINUTE),
        (broker.nack, BROKER, "a", none, 2**31),
    )
    assert await broker.counts(BROKER) == BrokerCounts(waiting=1)


async def test_a_claim_that_is_cut_short_holds_nothing(broker: AsyncBroker) -> None:
    """Wherever it is interrupted: either its caller has the ids, or everybody may have them."""
    for n in range(24):
        await publish(broker, "a", "b", "c")
        claiming = asyncio.create_task(broker.claim(BROKER, ME, 2, HOUR))
        await asyncio.sleep(0.0003 * (n % 12))
        claiming.cancel()
        held: list[Claim] = []
        with contextlib.suppress(asyncio.CancelledError):
            held = await claiming
        counts = await broker.counts(BROKER)
        assert (counts.waiting, counts.claimed) == (3 - len(held), len(held))
        for each in [*held, *await claim(broker, 3)]:
            assert await broker.ack(BROKER, each) is True
