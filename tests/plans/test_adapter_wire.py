"""How many round trips an operation of an adapter takes: an exact number for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from oqron_sql.adapters.async_sql import AsyncSQLAdapters
from oqron_sql.contract.adapters import Claim, Message
from oqron_sql.contract.ids import new_id
from tests.backends import Backends
from tests.plans.wire import DRIVERS, WARM, counted, skip_unless_asked_for, statements

QUEUE, SPACE, HOUR, ME = "queue", "things", timedelta(hours=1), "me"

# Of those with more than one, the first and the last are BEGIN and COMMIT, unless one statement
# tells that the next is needed. Hints to other processes are on, and go with a statement. SQLite
# has no wire; what is counted there are its statements.
ROUND_TRIPS: dict[str, dict[str, int]] = {
    "publish":           {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "publish 1000":      {"postgresql": 4, "mariadb": 4, "sqlite": 4},
    "claim 10, oldest":  {"postgresql": 1, "mariadb": 4, "sqlite": 1},
    "claim 10, newest":  {"postgresql": 1, "mariadb": 4, "sqlite": 1},
    "claim 10, lowest":  {"postgresql": 1, "mariadb": 4, "sqlite": 1},
    "claim of nothing":  {"postgresql": 2, "mariadb": 4, "sqlite": 2},
    "ack":               {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "nack":              {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "extend_lock":       {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "save":              {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "get":               {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "delete":            {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "list":              {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "acquire a new lock":   {"postgresql": 3, "mariadb": 3, "sqlite": 3},
    "acquire again":     {"postgresql": 2, "mariadb": 2, "sqlite": 2},
    "acquire in vain":   {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "renew":             {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "broadcast":         {"postgresql": 1, "mariadb": 1, "sqlite": 1},
    "save and publish":  {"postgresql": 4, "mariadb": 4, "sqlite": 4},
}  # fmt: skip
Call = Callable[[AsyncSQLAdapters, list[Claim]], Awaitable[object]]


async def save_and_publish(adapters: AsyncSQLAdapters, _: list[Claim]) -> None:
    async with adapters.transaction() as tx:
        await tx.storage.save(SPACE, new_id(), {})
        await tx.broker.publish(QUEUE, new_id())


HELD = ("ack", "nack", "extend_lock")
CALLS: dict[str, Call] = {
    "publish": lambda a, _: a.broker.publish(QUEUE, new_id()),
    "publish 1000": lambda a, _: a.broker.publish_batch(
        QUEUE, [Message(new_id()) for _ in range(1000)]
    ),
    "claim 10, oldest": lambda a, _: a.broker.claim(QUEUE, ME, 10, HOUR),
    "claim 10, newest": lambda a, _: a.broker.claim(QUEUE, ME, 10, HOUR, "lifo"),
    "claim 10, lowest": lambda a, _: a.broker.claim(QUEUE, ME, 10, HOUR, "priority"),
    "claim of nothing": lambda a, _: a.broker.claim("empty", ME, 10, HOUR),
    "ack": lambda a, claims: a.broker.ack(QUEUE, claims[0]),
    "nack": lambda a, claims: a.broker.nack(QUEUE, claims[0]),
    "extend_lock": lambda a, claims: a.broker.extend_lock(claims[0], ME, HOUR, QUEUE),
    "save": lambda a, _: a.storage.save(SPACE, "a", {"n": 1}),
    "get": lambda a, _: a.storage.get(SPACE, "a"),
    "delete": lambda a, _: a.storage.delete(SPACE, "a"),
    "list": lambda a, _: a.storage.list(SPACE, limit=10),
    "acquire a new lock": lambda a, _: a.lock.acquire(new_id(), ME, HOUR),
    "acquire again": lambda a, _: a.lock.acquire("key", ME, HOUR),
    "acquire in vain": lambda a, _: a.lock.acquire("key", "somebody else", HOUR),
    "renew": lambda a, _: a.lock.renew("key", ME, HOUR),
    "broadcast": lambda a, _: a.broker.broadcast("news", {"n": 1}),
    "save and publish": save_and_publish,
}


async def measure(adapters: AsyncSQLAdapters, count: Callable[[], int]) -> dict[str, int]:
    """Return the round trips of each call."""
    measured = {}
    await adapters.broker.publish_batch(QUEUE, [Message(new_id()) for _ in range(5000)])
    await adapters.lock.acquire("key", ME, HOUR)
    for name, call in CALLS.items():
        for _ in range(WARM):
            claims: list[Claim] = []
            if name in HELD:
                claims = await adapters.broker.claim(QUEUE, ME, 1, HOUR)
            elif name == "delete":
                await adapters.storage.save(SPACE, "a", {"n": 1})
            before = count()
            await call(adapters, claims)
            measured[name] = count() - before
    return measured


@pytest.mark.parametrize("driver", DRIVERS)
async def test_round_trips(driver: str, backends: Backends, pytestconfig: pytest.Config) -> None:
    with counted(driver, backends, pytestconfig) as (kind, url, count):
        async with AsyncSQLAdapters(url) as adapters:
            measured = await measure(adapters, count)
    assert measured == {name: each[kind] for name, each in ROUND_TRIPS.items()}


async def test_statements_of_sqlite(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    skip_unless_asked_for("sqlite", pytestconfig)
    async with AsyncSQLAdapters(f"sqlite:///{tmp_path / 'wire.db'}") as adapters:
        measured = await measure(adapters, await statements(adapters.store))
    assert measured == {name: each["sqlite"] for name, each in ROUND_TRIPS.items()}
