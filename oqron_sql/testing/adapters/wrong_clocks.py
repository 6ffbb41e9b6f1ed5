"""The now of the adapters is their server's, not that of a client whose clock is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from oqron_sql.contract.adapters import BrokerCounts
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.testing.adapter_harness import needs
from oqron_sql.testing.adapters.steps import (
    BROKER,
    HOUR,
    ME,
    MINUTE,
    OTHER,
    claim,
    names,
    publish,
    save,
    take,
)

skews = pytest.mark.parametrize("skew", [HOUR, -HOUR], ids=["fast", "slow"])


def now_with(skew: timedelta) -> time_machine.travel:
    """Let this process's clock be wrong."""
    return time_machine.travel(datetime.now(UTC) + skew, tick=True)


@skews
@needs("server_clock")
async def test_a_wrong_clock_does_not_change_a_claim(broker: AsyncBroker, skew: timedelta) -> None:
    """[I5]"""
    await publish(broker, "a")
    await publish(broker, "later", delay=MINUTE)
    held = await take(broker, ttl=MINUTE)
    with now_with(skew):
        assert await claim(broker, consumer=OTHER) == []
        assert await broker.counts(BROKER) == BrokerCounts(delayed=1, claimed=1)
        await publish(broker, "b")
        await broker.extend_lock(held, ME, MINUTE, BROKER)
        await broker.publish(BROKER, "much-later", MINUTE)
    assert await claim(broker, consumer=OTHER) == ["b"]
    assert await broker.counts(BROKER) == BrokerCounts(delayed=2, claimed=2)


@skews
@needs("server_clock")
async def test_a_wrong_clock_does_not_change_who_has_a_lock(
    lock: AsyncLock, skew: timedelta
) -> None:
    """[I5]"""
    await lock.acquire("mine", ME, MINUTE)
    with now_with(skew):
        assert await lock.acquire("mine", OTHER, MINUTE) is None
        assert await lock.renew("mine", ME, MINUTE) is True
        assert await lock.acquire("other", OTHER, MINUTE) is not None
    assert await lock.is_owner("mine", ME) is True
    assert await lock.acquire("other", ME, MINUTE) is None


@skews
@needs("server_clock")
async def test_a_wrong_clock_does_not_change_the_order_of_documents(
    storage: AsyncStorage, skew: timedelta
) -> None:
    """[I5]"""
    await save(storage, a={"name": "a"})
    with now_with(skew):
        await save(storage, b={"name": "b"})
    await save(storage, c={"name": "c"})
    assert await names(storage) == ["c", "b", "a"]
