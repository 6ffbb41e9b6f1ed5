"""What goes in comes out, and what JSON cannot carry is refused (W3)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from oqron_sql.contract import AsyncStore, Complete, JobState
from oqron_sql.errors import PayloadError, PayloadTooLarge
from oqron_sql.testing.harness import requires
from oqron_sql.testing.steps import (
    PAST,
    QUEUE,
    contents,
    finish,
    job,
    leased,
    read,
    save,
    take,
    with_parent,
)

MIB = 1024 * 1024
VIENNA = timezone(timedelta(hours=2))


def nested(depth: int) -> Any:
    """Return lists within lists."""
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


SCALARS: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.123, -0.5, 1e300, 5e-324, 33.3, ""),  # [36]
    *(2**31, 2**53 + 1, 2**63, 2**64, 2**70, -(2**70)),
    *("done", "true", "null", "0", " ", '"', "'", "\\", "{}", "[]", '{"a":1}', '"text"'),
    *("\0", "a\0b", "\x01\x1f\x7f", "\n\t\r", "\u2028\u2029", "\ufeff", "\ufffd"),
    *("😀😁", "日本語", "العربية", "e\u0301", "é", "\\u0000", "%s %(x)s {0} :name ?"),  # [38]
]
STRUCTURES: list[Any] = [
    {"user": {"name": "Ann", "tags": ["a", "b"], "address": {"zip": "1010"}}},  # [35]
    *([], {}, [[]], [{}], {"a": []}, [[1, [2, [3]]]], [1, "a", None, True, 0.5, {}, []]),  # [37]
    {"all": SCALARS},
    {scalar: scalar for scalar in SCALARS if isinstance(scalar, str)},
    {"$datetime": "not a date"},
    {"$datetime": "2024-01-01T00:00:00+00:00"},
    {"$$datetime": 1},
    {"$": 1, "$datetime": 2},
    {"items": [{"id": n, "name": f"item {n}", "ok": n % 2 == 0} for n in range(1000)]},  # [39]
    nested(60),
]
REFUSED: dict[str, Any] = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "nested-infinity": {"a": [float("-inf")]},
    "surrogate": "half a pair \ud83d",
    "surrogate-key": {"\ude00": 1},
    "number-key": {1: "a"},
    "none-key": {"a": {None: 1}},
    "bytes": b"bytes",
    "set": {1, 2},
    "decimal": Decimal("1.5"),
    "object": object(),
    "date": PAST.date(),
    "naive": datetime(2024, 1, 1),  # noqa: DTZ001  # naive on purpose
    "too-deep": nested(100),
}


def same(found: Any, given: Any) -> bool:
    """Whether two values are equal, their types included: True is not 1."""
    if isinstance(given, dict):
        return found == given and all(same(found[key], given[key]) for key in given)
    if isinstance(given, list | tuple):
        return len(found) == len(given) and all(map(same, found, given))
    return type(found) is type(given) and found == given


async def test_every_scalar_comes_back(store: AsyncStore) -> None:
    """[36] [38]"""
    await assert_round_trip(store, SCALARS)


async def test_every_structure_comes_back(store: AsyncStore) -> None:
    """[35] [37] [39]"""
    await assert_round_trip(store, STRUCTURES)


async def assert_round_trip(store: AsyncStore, values: list[Any]) -> None:
    """Assert that each value survives as data and as result, however it is stored and read."""
    made = [job(str(n), value) for n, value in enumerate(values)]
    await store.save_bulk(QUEUE, made)
    for given, value in zip(made, values, strict=True):
        fetched = await take(store)  # [40]
        assert fetched.id == given.id
        assert same(fetched.data, value), f"fetched {fetched.data!r} for {value!r}"
        settled = await finish(store, Complete(fetched, value))
        assert settled.state is JobState.COMPLETED
    listed = {each.id: each for each in await store.list_jobs(QUEUE, JobState.COMPLETED)}
    for given, value in zip(made, values, strict=True):
        found = listed[given.id]
        assert same(found.data, value), f"data {found.data!r} for {value!r}"
        assert same(found.returnvalue, value), f"result {found.returnvalue!r} for {value!r}"


async def test_an_update_stores_every_scalar(store: AsyncStore) -> None:
    made = job()
    await save(store, made)
    for value in SCALARS:
        await store.update_job(QUEUE, made.id, {"data": value, "returnvalue": value})
        found = await read(store, made)
        assert same(found.data, value)
        assert same(found.returnvalue, value)


async def test_what_is_fetched_is_what_was_saved(store: AsyncStore) -> None:
    """[40]"""
    made = job(data={"nested": {"list": [1, "zwei", None]}})
    await save(store, made)
    assert (await take(store)).data == {"nested": {"list": [1, "zwei", None]}}


async def test_dates_inside_a_payload_stay_dates(store: AsyncStore) -> None:
    """W9"""
    given = {"at": PAST.astimezone(VIENNA), "many": [PAST, {"deep": PAST}]}
    made = job(data=given)
    await save(store, made)
    found = (await read(store, made)).data
    assert found == {"at": PAST, "many": [PAST, {"deep": PAST}]}
    assert found["at"].utcoffset() is not None
    exact = datetime(2024, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    await store.update_job(QUEUE, made.id, {"returnvalue": exact})
    assert (await read(store, made)).returnvalue == exact


async def test_tuples_come_back_as_lists(store: AsyncStore) -> None:
    made = job(data=(1, (2, 3), {"a": (4,)}))
    await save(store, made)
    assert (await read(store, made)).data == [1, [2, 3], {"a": [4]}]


async def test_enums_come_back_as_what_they_are(store: AsyncStore) -> None:
    made = job(data=[JobState.ACTIVE])
    await save(store, made)
    assert same((await read(store, made)).data, ["active"])


@requires("large_text")
async def test_a_payload_may_have_a_mebibyte(store: AsyncStore) -> None:
    """Its JSON may, in UTF-8, quotes included."""
    for text in ("x" * (MIB - 2), "é" * (MIB // 2 - 1)):
        made = job(data=text)
        await save(store, made)
        assert (await read(store, made)).data == text
        await store.update_job(QUEUE, made.id, {"returnvalue": text})
        assert (await read(store, made)).returnvalue == text


async def test_a_payload_may_not_have_one_byte_more(store: AsyncStore) -> None:
    for text in ("x" * (MIB - 1), "é" * (MIB // 2 - 1) + "x"):
        with pytest.raises(PayloadTooLarge) as refused:
            await store.save_job(QUEUE, job(data=text))
        assert (refused.value.size, refused.value.limit) == (MIB + 1, MIB)
    assert await store.list_queues() == []
    made = await leased(store)
    before = await contents(store)
    with pytest.raises(PayloadTooLarge):
        await finish(store, Complete(made, "x" * MIB))
    assert await contents(store) == before


Writing = Callable[[AsyncStore, Any], Coroutine[Any, Any, object]]
WRITING: dict[str, Writing] = {
    "save_job": lambda s, bad: s.save_job(QUEUE, job(data=bad)),
    "save_bulk": lambda s, bad: s.save_bulk(QUEUE, [job(data=1), job(data=bad)]),
    "save_flow": lambda s, bad: s.save_flow(with_parent(job(data=1), job(data=bad))),
    "update_job": lambda s, bad: s.update_job(QUEUE, "held", {"progress": 9, "data": bad}),
    "update_job-result": lambda s, bad: s.update_job(
        QUEUE, "held", {"state": JobState.COMPLETED, "returnvalue": bad}
    ),
}


async def test_what_json_cannot_carry_is_refused(store: AsyncStore) -> None:
    held = await leased(store, job_id="held")
    before = await contents(store)
    for what, bad in REFUSED.items():
        for write in WRITING.values():
            with pytest.raises(PayloadError) as refused:
                await write(store, bad)
            assert refused.value.path, what
            assert not isinstance(refused.value, PayloadTooLarge)
        with pytest.raises(PayloadError):
            await finish(store, Complete(held, bad))
    assert await contents(store) == before


async def test_a_refusal_does_not_show_the_payload(store: AsyncStore) -> None:
    with pytest.raises(PayloadError) as refused:
        await save(store, job(data={"password": "hunter2", "value": float("nan")}))
    assert "hunter2" not in str(refused.value)
    assert refused.value.path == "$.value"


async def test_a_fraction_of_progress_is_kept(store: AsyncStore) -> None:
    made = job()
    await save(store, made)
    for progress in (33.3, 0, 100, 0.1 + 0.2):
        await store.update_job(QUEUE, made.id, {"progress": progress})
        assert (await read(store, made)).progress == progress


async def test_logs_take_any_text(store: AsyncStore) -> None:
    made = job()
    await save(store, made)
    nasty = ["NUL \0", "half a pair \ud83d", "'; --", "", "😀", "two\nlines", "%s"]
    await store.append_logs(QUEUE, made.id, nasty)
    found = (await read(store, made)).logs
    assert len(found) == len(nasty)
    assert list(found[2:]) == nasty[2:]
    assert found[0].startswith("NUL ")
    assert found[1].startswith("half a pair ")
    await store.update_job(QUEUE, made.id, {"logs": nasty, "stacktrace": nasty})
    stored = await read(store, made)
    assert stored.logs == stored.stacktrace == found
