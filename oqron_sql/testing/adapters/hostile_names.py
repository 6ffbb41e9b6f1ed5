"""Names are told apart byte for byte, and refused where they cannot be."""

from __future__ import annotations

from typing import Any

from oqron_sql.contract.adapters import Message
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.errors import InvalidName
from oqron_sql.testing.adapter_harness import needs
from oqron_sql.testing.adapters.steps import ME, MINUTE, SPACE, claim, each_raises, until

# Those that somebody might take for the same stand side by side.
HOSTILE = [
    "a", "A", "ä", "a ", " a", "a:b", "a%3Ab", "a%", "%", "a_b", "aXb", "a{b}", "{a}", "{}",
    "a*", "*", "a?", "[ab]", "a\\", "a\\*", "a'b", 'a"b', "a;--", "a/b", "..", ".", "$a", "a\u00a0",
    "😀", "😀😀", "ß", "ss", "ﬀ", "ff", "é", "e\u0301", "İ", "i", "ı", "__paused__", "__all__",
    "null", "None", "0", "00", "1e3", "true", "a" * 120,
]  # fmt: skip
REFUSED: list[Any] = ["", "a\0b", "a\nb", "\ud800", "x" * 256, None, 7, b"a"]


async def test_ids_and_namespaces_are_told_apart(storage: AsyncStorage) -> None:
    for each in HOSTILE:
        assert await storage.save_if_absent(SPACE, each, {"id": each}) is True
        assert await storage.save_if_absent(each, "id", {"namespace": each}) is True
    assert await storage.count(SPACE) == len(HOSTILE)
    found = await storage.get_many(SPACE, HOSTILE)
    assert found == {each: {"id": each} for each in HOSTILE}
    for namespace in HOSTILE:
        assert await storage.list(namespace) == [{"namespace": namespace}]
    assert await storage.bulk_delete(SPACE, HOSTILE[::2]) == len(HOSTILE[::2])
    assert list(await storage.get_many(SPACE, HOSTILE)) == HOSTILE[1::2]


async def test_no_two_pairs_of_names_meet(storage: AsyncStorage) -> None:
    pairs = [("a", "b:c"), ("a:b", "c"), ("a:b:c", "d"), ("a%3Ab", "c"), ("a", "b%3Ac")]
    pairs += [("{a}", "b"), ("{a}b", "b"), ("a\x7f", "b"), ("a", "\x7fb")]
    for pair in pairs:
        assert await storage.save_if_absent(*pair, pair) is True
    for pair in pairs:
        assert await storage.get(*pair) == [*pair]
        assert await storage.delete(*pair) is True


async def test_brokers_and_their_ids_are_told_apart(broker: AsyncBroker) -> None:
    """[B13]"""
    for name in HOSTILE:
        await broker.publish(name, "id")
    await broker.publish_batch("names", [Message(name) for name in HOSTILE])
    assert await claim(broker, name="names") == HOSTILE
    await broker.pause("a")
    for name in HOSTILE:
        assert await broker.is_paused(name) is (name == "a")
        assert await broker.size(name) == 1
        assert await broker.ack("names", name) is True
    await broker.resume("a")
    for name in HOSTILE:
        assert await claim(broker, name=name, consumer=name) == ["id"]
    for name in HOSTILE:
        await broker.extend_lock("id", name, MINUTE)
        assert await broker.ack(name, "id") is True
    assert await broker.size("names") == 0


async def test_keys_and_owners_are_told_apart(lock: AsyncLock) -> None:
    for alike, key in zip([HOSTILE[-1], *HOSTILE], HOSTILE, strict=False):
        assert await lock.acquire(key, ME, MINUTE) is not None
        assert await lock.acquire("owners", key, MINUTE) is not None
        assert await lock.is_owner("owners", alike) is False
        assert await lock.release("owners", key) is True
    for key in HOSTILE:
        assert await lock.release(key, ME) is True


@needs("broadcast")
async def test_channels_are_told_apart(broker: AsyncBroker) -> None:
    heard: list[tuple[str, str]] = []
    names = HOSTILE[:24]
    for name in names:
        await broker.subscribe(name, lambda message, name=name: heard.append((name, message)))  # type: ignore[misc]  # a default binds it
    for name in names:
        await broker.broadcast(name, name)
    await until(lambda: len(heard) >= len(names))
    assert sorted(heard) == sorted((name, name) for name in names)


async def test_what_is_no_name_is_refused_by_a_storage(storage: AsyncStorage) -> None:
    for bad in REFUSED:
        await each_raises(
            InvalidName,
            (storage.save, bad, "a", 1),
            (storage.save, SPACE, bad, 1),
            (storage.save_if_absent, SPACE, bad, 1),
            (storage.get, SPACE, bad),
            (storage.get, bad, "a"),
            (storage.get_many, SPACE, ["a", bad]),
            (storage.list, bad),
            (storage.count, bad),
            (storage.delete, SPACE, bad),
            (storage.increment, SPACE, bad, "n"),
            (storage.compare_and_set, SPACE, bad, {}, {}),
        )
    assert await storage.count(SPACE) == 0


async def test_what_is_no_name_is_refused_by_a_broker(broker: AsyncBroker) -> None:
    for bad in REFUSED:
        await each_raises(
            InvalidName,
            (broker.publish, bad, "a"),
            (broker.publish, "names", bad),
            (broker.claim, bad, ME, 1, MINUTE),
            (broker.claim, "names", bad, 1, MINUTE),
            (broker.extend_lock, bad, ME, MINUTE),
            (broker.extend_lock, "a", bad, MINUTE),
            (broker.ack, "names", bad),
            (broker.nack, "names", bad),
            (broker.remove, bad, "a"),
            (broker.pause, bad),
            (broker.is_paused, bad),
            (broker.size, bad),
        )
    assert await broker.size("names") == 0


async def test_what_is_no_name_is_refused_by_a_lock(lock: AsyncLock) -> None:
    for bad in REFUSED:
        await each_raises(
            InvalidName,
            (lock.acquire, bad, ME, MINUTE),
            (lock.acquire, "key", bad, MINUTE),
            (lock.renew, "key", bad, MINUTE),
            (lock.release, bad, ME),
            (lock.is_owner, "key", bad),
        )
