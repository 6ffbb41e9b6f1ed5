"""Waiting for an id: who waits is woken at once, and takes nothing if it gives up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from oqron_sql.contract.adapters import BrokerCounts, Claim, Strategy
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.errors import InvalidInput
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import (
    BROKER,
    HOUR,
    ME,
    MILLISECOND,
    MINUTE,
    NOW,
    PATIENCE,
    claim,
    publish,
    take,
)

LONG = timedelta(seconds=PATIENCE)
SHORT = 100 * MILLISECOND
WAKING = 2.0  # seconds: far more than it takes, so that a busy machine fails no test


def wait(
    broker: AsyncBroker,
    timeout: timedelta = LONG,
    strategy: Strategy | str = "fifo",
    consumer: str = ME,
) -> Coroutine[Any, Any, Claim | None]:
    return broker.claim_blocking(BROKER, consumer, MINUTE, timeout, strategy)


async def begin(broker: AsyncBroker, **options: Any) -> asyncio.Task[Claim | None]:
    """Start to wait, and go on when it most likely does; that it does is not needed."""
    task = asyncio.create_task(wait(broker, **options))
    await asyncio.sleep(0.05)
    assert not task.done()
    return task


async def woken(task: asyncio.Task[Claim | None], *, after: timedelta = NOW) -> str | None:
    """Return what the task claims, which must not be by looking once more when its time is up."""
    async with asyncio.timeout(WAKING + after.total_seconds()):
        return await task


@needs("claim_blocking")
async def test_what_waits_is_claimed_at_once(broker: AsyncBroker) -> None:
    """[65]"""
    await publish(broker, *"abc", priority=1)
    await publish(broker, "urgent")
    found = [await wait(broker, strategy=each) for each in ("lifo", "priority", "fifo")]
    assert found == ["urgent", "a", "b"]
    assert await wait(broker, timedelta.max) == "c"
    assert found[0] is not None
    assert found[0].deliveries == 1
    assert await broker.ack(BROKER, found[0]) is True


@needs("claim_blocking")
async def test_nothing_comes_of_waiting_in_vain(broker: AsyncBroker) -> None:
    """[67] [B12] Short times are not rounded up."""
    assert await wait(broker, NOW) is None
    await publish(broker, "later", delay=HOUR)
    begun = time.monotonic()
    assert await wait(broker, SHORT) is None
    assert 0.09 <= time.monotonic() - begun < 0.9
    assert await broker.counts(BROKER) == BrokerCounts(delayed=1)


@needs("claim_blocking")
@pytest.mark.parametrize("strategy", Strategy)
async def test_publishing_wakes(broker: AsyncBroker, strategy: Strategy) -> None:
    """[66] [B12]"""
    task = await begin(broker, timeout=timedelta.max, strategy=strategy)
    await publish(broker, "a")
    assert await woken(task) == "a"
    assert await broker.counts(BROKER) == BrokerCounts(claimed=1)


@needs("claim_blocking", "shared_data")
async def test_another_instance_wakes(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[B12]"""
    other = await harness.broker()
    task = await begin(broker)
    await publish(other, "a")
    assert await woken(task) == "a"


@needs("claim_blocking")
async def test_falling_due_wakes(broker: AsyncBroker) -> None:
    """[60] Whether it was published before or meanwhile, or is a claim that runs out."""
    await publish(broker, "a", delay=2 * SHORT)
    assert await woken(await begin(broker), after=2 * SHORT) == "a"
    task = await begin(broker)
    await publish(broker, "later", delay=HOUR)
    await publish(broker, "b", delay=SHORT)
    assert await woken(task, after=SHORT) == "b"
    await broker.extend_lock("b", ME, SHORT, BROKER)
    assert await woken(await begin(broker), after=SHORT) == "b"


@needs("claim_blocking")
async def test_handing_back_wakes(broker: AsyncBroker) -> None:
    await publish(broker, "a")
    held = await take(broker)
    task = await begin(broker)
    await broker.nack(BROKER, held)
    assert await woken(task) == "a"
    task = await begin(broker)
    await publish(broker, "a")
    await asyncio.sleep(0.02)  # which may wake it too, for nothing
    await broker.ack(BROKER, "a")
    assert await woken(task) == "a"


@needs("claim_blocking")
async def test_a_pause_is_waited_out(broker: AsyncBroker) -> None:
    """[B10]"""
    await publish(broker, "a")
    await broker.pause(BROKER)
    begun = time.monotonic()
    assert await wait(broker, SHORT) is None
    assert time.monotonic() - begun >= 0.09
    task = await begin(broker)
    await publish(broker, "b")
    await asyncio.sleep(0.02)  # only time shows that it is not woken
    assert not task.done()
    await broker.resume(BROKER)
    assert await woken(task) == "a"


@needs("claim_blocking")
async def test_waiting_holds_up_nobody(broker: AsyncBroker) -> None:
    """[B12]"""
    tasks = [await begin(broker) for _ in range(2)]
    begun = time.monotonic()
    await publish(broker, "a", name="elsewhere")
    (held,) = await claim(broker, name="elsewhere")
    await broker.extend_lock(held, ME, HOUR, "elsewhere")
    assert await broker.ack("elsewhere", held) is True
    assert await broker.size(BROKER) == 0
    assert time.monotonic() - begun < WAKING
    await publish(broker, "a", "b")
    assert sorted(map(str, await asyncio.gather(*tasks))) == ["a", "b"]


@needs("claim_blocking")
async def test_who_gives_up_claims_nothing(broker: AsyncBroker) -> None:
    tasks = [await begin(broker) for _ in range(3)]
    for task in tasks[:2]:
        task.cancel()
    assert [type(each) for each in await asyncio.gather(*tasks[:2], return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 2
    await publish(broker, "a")
    assert await woken(tasks[2]) == "a"
    await publish(broker, "b")
    assert await claim(broker) == ["b"]


@needs("claim_blocking")
async def test_no_call_is_slept_through(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[B12] Publishing just as others begin to wait, and finish waiting."""
    other = broker if "shared_data" in harness.missing else await harness.broker()
    taken: list[str] = []

    async def consume(number: int) -> None:
        while (found := await wait(broker, LONG, consumer=f"consumer-{number}")) != "end":
            assert found is not None, "an id was not seen"
            taken.append(found)
            await broker.ack(BROKER, found)
        await broker.nack(BROKER, found)

    consumers = [asyncio.create_task(consume(number)) for number in range(3)]
    for n in range(60):
        await publish(other, f"id-{n}")
        await asyncio.sleep(0.001 * (n % 3))
    await publish(other, "end", priority=9)
    await asyncio.gather(*consumers)
    assert sorted(taken) == sorted(f"id-{n}" for n in range(60))


@needs("claim_blocking")
async def test_a_timeout_is_a_span_of_time(broker: AsyncBroker) -> None:
    for wrong in (-MILLISECOND, 1.5):
        with pytest.raises(InvalidInput):
            await wait(broker, wrong)  # type: ignore[arg-type]  # is what is tested
    with pytest.raises(InvalidInput):
        await wait(broker, LONG, "newest")
