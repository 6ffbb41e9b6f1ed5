"""Many callers at once: one wins, nothing is lost, nothing is handed out twice."""

from __future__ import annotations

import asyncio
from collections import Counter

from oqron_sql.contract.adapters import BrokerCounts, Claim, Message, Strategy
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.errors import ClaimLost
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import (
    BROKER,
    HOUR,
    MINUTE,
    SPACE,
    at_once,
    callers,
    publish,
    save,
    take,
    together,
)

STRATEGIES = [*Strategy]


async def test_one_of_fifty_saves_what_is_absent(
    storage: AsyncStorage, harness: AdapterHarness
) -> None:
    """[S19]"""
    stores = await callers(harness.storage, storage, harness)
    for turn in range(2):
        told = await together(
            stores[n % 8].save_if_absent(SPACE, f"id-{turn}", {"by": n}) for n in range(50)
        )
        assert told.count(True) == 1
        assert await storage.get(SPACE, f"id-{turn}") == {"by": told.index(True)}


async def test_no_increment_is_lost(storage: AsyncStorage, harness: AdapterHarness) -> None:
    """[S20] Neither on a document that is there, nor on one that they make."""
    stores = await callers(harness.storage, storage, harness)
    await save(storage, there={"n": 0, "kept": []})
    for each, many in (("new", 20), ("there", 200)):
        sums = await together(stores[n % 8].increment(SPACE, each, "n") for n in range(many))
        assert sorted(sums) == list(range(1, many + 1))
    assert await storage.get(SPACE, "there") == {"n": 200, "kept": []}
    assert await storage.get(SPACE, "new") == {"n": 20}


async def test_one_of_many_sets_what_it_compared(
    storage: AsyncStorage, harness: AdapterHarness
) -> None:
    """[S21]"""
    stores = await callers(harness.storage, storage, harness)
    await save(storage, a={"version": 0})
    for version in range(2):
        told = await together(
            stores[n % 8].compare_and_set(
                SPACE, "a", {"version": version}, {"version": version + 1, "by": n}
            )
            for n in range(50)
        )
        assert told.count(True) == 1
        found = await storage.get(SPACE, "a")
        assert found == {"version": version + 1, "by": told.index(True)}


async def test_changes_of_one_document_exclude_each_other(
    storage: AsyncStorage, harness: AdapterHarness
) -> None:
    """[S20] [S21] Increments, comparisons and bulks at once, on one document and its neighbours."""
    stores = await callers(harness.storage, storage, harness)
    await save(storage, a={"n": 0, "steps": 0}, b={"n": 0})

    async def work(number: int) -> int:
        mine, done = stores[number % 8], 0
        for _ in range(5):
            await mine.increment(SPACE, "a", "n")
            await mine.increment(SPACE, "b", "n")
            await mine.bulk_save(SPACE, [("c", {"by": number}), ("d", {"by": number})])
            document = await mine.get(SPACE, "a") or {}
            steps = document["steps"]
            done += await mine.compare_and_set(SPACE, "a", {"steps": steps}, {"steps": steps + 1})
        return done

    done = await together(work(number) for number in range(8))
    assert await storage.get(SPACE, "a") == {"n": 40, "steps": sum(done)}
    assert await storage.get(SPACE, "b") == {"n": 40}
    assert sum(done) > 0
    pair = await storage.get_many(SPACE, ["c", "d"])
    assert pair["c"] == pair["d"]


async def test_ids_are_claimed_once_each(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[B14] By any mixture of strategies, some handed back on the way."""
    brokers = await callers(harness.broker, broker, harness)
    ids = [f"id-{n}" for n in range(200)]
    hands = at_once(ids, 8)
    done: Counter[str] = Counter()

    async def work(number: int) -> None:
        mine, strategy = brokers[number], STRATEGIES[number % 3]
        await mine.publish_batch(
            BROKER, [Message(each, priority=n % 3) for n, each in enumerate(hands[number])]
        )
        while sum(done.values()) < len(ids):
            claims = await mine.claim(BROKER, f"consumer-{number}", 7, HOUR, strategy)
            for n, claimed in enumerate(claims):
                if n == 3 and claimed.deliveries == 1:
                    assert await mine.nack(BROKER, claimed) is True
                else:
                    assert await mine.ack(BROKER, claimed) is True
                    done[claimed] += 1
            await asyncio.sleep(0)

    await together(work(number) for number in range(8))
    assert done == Counter(ids)
    assert await broker.size(BROKER) == 0


@needs("movable_clock")
async def test_what_ran_out_is_delivered_to_one(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B3] [B4] And of the old and the new holder, only the new one may finish."""
    brokers = await callers(harness.broker, broker, harness)
    ids = [f"id-{n}" for n in range(40)]
    await broker.publish_batch(BROKER, [Message(each) for each in ids])
    old = await broker.claim(BROKER, "old", 40, MINUTE)
    await harness.advance(HOUR)
    parts = await together(
        each.claim(BROKER, f"consumer-{n}", 10, HOUR) for n, each in enumerate(brokers)
    )
    # Whoever found the ids locked by another came away with fewer; they are there for the next.
    rest = await broker.claim(BROKER, "late", len(ids), HOUR)
    new = [claimed for part in [*parts, rest] for claimed in part]
    assert sorted(new) == sorted(ids)
    assert {claimed.deliveries for claimed in new} == {2}

    async def finish(number: int, claimed: Claim) -> bool:
        try:
            return await brokers[number % 8].ack(BROKER, claimed)
        except ClaimLost:
            return False

    told = await together(finish(n, each) for n, each in enumerate([*old, *new]))
    assert told == [False] * 40 + [True] * 40


async def test_publishing_and_acknowledging_agree(
    broker: AsyncBroker, harness: AdapterHarness
) -> None:
    """[B5] A publication is answered after it was made, and by one delivery at a time."""
    brokers = await callers(harness.broker, broker, harness)
    for _ in range(10):
        await publish(broker, "a")
        held = await take(broker)
        published, told = await asyncio.gather(
            brokers[1].publish(BROKER, "a"), brokers[0].ack(BROKER, held)
        )
        assert (published, told) == (None, True)
        assert await broker.counts(BROKER) == BrokerCounts(waiting=1)
        again = await take(broker)
        assert await broker.ack(BROKER, again) is True
        assert await broker.size(BROKER) == 0


async def test_an_id_is_acknowledged_once(broker: AsyncBroker, harness: AdapterHarness) -> None:
    brokers = await callers(harness.broker, broker, harness)
    await publish(broker, "a")
    held = await take(broker)
    told = await together(each.ack(BROKER, held) for each in brokers)
    assert told.count(True) == 1


async def test_one_of_a_hundred_takes_the_lock(lock: AsyncLock, harness: AdapterHarness) -> None:
    """[L6]"""
    locks = await callers(harness.lock, lock, harness)
    numbers: list[int] = []
    for _ in range(2):
        told = await together(
            locks[n % 8].acquire("the-lock", f"owner-{n}", MINUTE) for n in range(100)
        )
        (winner,) = [n for n, number in enumerate(told) if number is not None]
        numbers += [number for number in told if number is not None]
        assert await lock.is_owner("the-lock", f"owner-{winner}") is True
        assert await lock.release("the-lock", f"owner-{winner}") is True
    assert numbers == sorted(set(numbers))


async def test_who_has_the_lock_is_alone(lock: AsyncLock, harness: AdapterHarness) -> None:
    """[L6] And sees a higher number than whoever had it before."""
    locks = await callers(harness.lock, lock, harness)
    inside: list[int] = []
    numbers: list[int] = []

    async def work(number: int) -> None:
        mine, owner, left = locks[number], f"owner-{number}", 3
        while left:
            fence = await mine.acquire("the-lock", owner, HOUR)
            if fence is not None:
                inside.append(number)
                await asyncio.sleep(0)
                assert inside == [number]
                numbers.append(fence)
                inside.clear()
                assert await mine.release("the-lock", owner) is True
                left -= 1
            await asyncio.sleep(0)

    await together(work(number) for number in range(8))
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 24
