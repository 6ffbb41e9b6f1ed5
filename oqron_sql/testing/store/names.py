"""Names compare byte for byte, whatever they are made of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from oqron_sql.contract import (
    AsyncStore,
    Complete,
    Deduplication,
    FetchOptions,
    Group,
    Job,
    JobState,
    SearchFilter,
    StoreEvent,
)
from oqron_sql.contract.events import EventType
from oqron_sql.errors import InvalidName
from oqron_sql.testing.steps import (
    HOUR,
    MINUTE,
    QUEUE,
    WORKER,
    completed,
    contents,
    fetch,
    finish,
    job,
    leased,
    now_of,
    read,
    save,
    take,
)

# Some database somewhere holds each of these for the same as another one.
ALIKE = [
    *("a", "A", "á", "a\u0301", "å", "ａ", "a ", " a", "a  ", "a\u00a0", "a\u200b"),
    *("ss", "ß", "ẞ", "i", "ı", "I", "İ", "ﬁ", "fi", "σ", "ς", "😀", "😁", "😀 "),
    *("%", "_", "*", "__", "\\", "\\\\", "'", "''", '"', "`", ";", "--", ":a", "?", "{}", "$1"),
    *("0", "00", "-0", "0.0", "1e0", "NULL", "null", "None", "a:b", "a/b", "a.b", "a|b"),
]
LONG = ["x" * 255, "y" + "x" * 254, "x" * 254, "😀" * 255, "😀" * 254 + "😁"]
INVALID: list[Any] = ["", "x" * 256, "a\0", "a\nb", "\t", "\x1f", "\ud83d", None, 1, b"a"]
NAMES = [*ALIKE, *LONG]


async def test_queues_are_told_apart(store: AsyncStore) -> None:
    made = [job(str(n), queue=name) for n, name in enumerate(NAMES)]
    await save(store, *made)
    for each in made:
        assert await store.count_jobs(each.queue_name, JobState.WAITING) == 1
        assert (await take(store, queue=each.queue_name)).id == each.id
        assert await fetch(store, queue=each.queue_name) is None
    assert {info.name for info in await store.list_queues()} == set(NAMES)
    await store.obliterate("a", force=True)
    assert {info.name for info in await store.list_queues()} == set(NAMES) - {"a"}
    found = await store.search_jobs(SearchFilter(queue_name="A"))
    assert [each.queue_name for each in found.jobs] == ["A"]


async def test_ids_are_told_apart(store: AsyncStore) -> None:
    made = [job(name, job_id=name) for name in NAMES]
    assert await store.save_bulk(QUEUE, made) == NAMES
    assert await store.count_jobs(QUEUE, JobState.WAITING) == len(NAMES)
    for each in made:
        assert (await read(store, each)).name == each.id
    for name in ("A", "😁", "a "):
        await store.update_job(QUEUE, name, {"progress": 7})
        found = await store.find_job_by_id(name)
        assert found is not None
        assert (found.id, found.progress) == (name, 7)
    await store.remove_job(QUEUE, "á")
    jobs = await store.list_jobs(QUEUE, JobState.WAITING, 0, 1000)
    assert {each.id for each in jobs} == set(NAMES) - {"á"}
    assert {each.id for each in jobs if each.progress} == {"A", "😁", "a "}


async def test_job_names_are_told_apart(store: AsyncStore) -> None:
    await store.save_bulk(QUEUE, [job(name) for name in NAMES])
    for name in NAMES:
        assert (await take(store, job_name=name)).name == name
        assert await fetch(store, job_name=name) is None


async def test_paused_names_are_told_apart(store: AsyncStore) -> None:
    await store.save_bulk(QUEUE, [job(name) for name in NAMES])
    paused = NAMES[::2]
    for name in paused:
        await store.pause_job_name(QUEUE, name)
    assert sorted(await store.get_paused_job_names(QUEUE)) == sorted(paused)
    found = await store.fetch_jobs(QUEUE, WORKER, MINUTE, len(NAMES))
    assert {each.name for each in found} == set(NAMES[1::2])
    await store.resume_job_name(QUEUE, "a")
    assert [each.name for each in await store.fetch_jobs(QUEUE, WORKER, MINUTE, 9)] == ["a"]


async def test_deduplication_keys_are_told_apart(store: AsyncStore) -> None:
    made = [job(deduplication=Deduplication(key=name)) for name in NAMES]
    assert await store.save_bulk(QUEUE, made) == [each.id for each in made]
    for each in made:
        found = await store.find_by_deduplication_key(QUEUE, each.deduplication_key or "")
        assert found is not None
        assert found.id == each.id


async def test_groups_are_told_apart(store: AsyncStore) -> None:
    for round_number in range(2):
        bulk = [job(str(round_number), group=Group(id=name)) for name in NAMES]
        await store.save_bulk(QUEUE, bulk)
    opts = FetchOptions(group_concurrency=1)
    found = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 2 * len(NAMES), opts)
    assert sorted(each.group_id or "" for each in found) == sorted(NAMES)
    for name in NAMES:
        assert await store.get_group_active_count(QUEUE, name) == 1
        assert await store.get_waiting_group_count(QUEUE, name) == 1
    others = [name for name in NAMES if name != "a"]
    left = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 9, FetchOptions(exclude_groups=others))
    assert [each.group_id for each in left] == ["a"]


async def test_workers_are_told_apart(store: AsyncStore) -> None:
    await store.save_bulk(QUEUE, [job() for _ in NAMES])
    for name in NAMES:
        held = await take(store, name)
        assert (held.locked_by, (await read(store, held)).locked_by) == (name, name)


async def test_parents_are_told_apart(store: AsyncStore) -> None:
    for name in ("a", "A", "a ", "😀", "😁"):
        parent, child = job(job_id=name, queue="parents"), job(queue="children")
        parent.state, parent.pending_children_count = JobState.WAITING_CHILDREN, 1
        child.parent_id, child.parent_queue_name = name, "parents"
        await store.save_flow([child, parent])
    await finish(store, Complete(await take(store, queue="children")))
    assert (await take(store, queue="parents")).id == "a"
    assert await fetch(store, queue="parents") is None
    assert len(await store.get_children_jobs("parents", "A")) == 1


async def test_metrics_tell_names_apart(store: AsyncStore) -> None:
    names = ["a", "A", "á", "a ", "😀", "😁"]
    for name in names:
        await completed(store, name)
    now = await now_of(store)
    found = await store.get_metrics(QUEUE, "hour", now - 2 * HOUR, now)
    counts: dict[str, int] = {}
    for each in found:
        counts[each.job_name] = counts.get(each.job_name, 0) + each.completed_count
    assert counts == dict.fromkeys(names, 1) | {"__all__": len(names)}


async def test_events_tell_queues_apart(store: AsyncStore) -> None:
    seen: list[str] = []
    for name in NAMES:
        store.subscribe(name, lambda event: seen.append(event.queue_name))
    for name in NAMES:
        await store.publish(StoreEvent(type=EventType.QUEUE_DRAINED, queue_name=name))
    assert seen == NAMES


Naming = Callable[[AsyncStore, Any], Coroutine[Any, Any, object]]


def with_member(**members: Any) -> Job:
    """Return a job with members that were not checked."""
    made = job()
    for name, value in members.items():
        setattr(made, name, value)
    return made


NAMING: dict[str, Naming] = {
    "queue": lambda s, bad: s.save_job(bad, with_member(queue_name=bad)),
    "name": lambda s, bad: s.save_job(QUEUE, with_member(name=bad)),
    "id": lambda s, bad: s.save_job(QUEUE, with_member(id=bad)),
    "key": lambda s, bad: s.save_job(QUEUE, with_member(deduplication_key=bad)),
    "group": lambda s, bad: s.save_job(QUEUE, with_member(group_id=bad)),
    "bulk": lambda s, bad: s.save_bulk(QUEUE, [job(), with_member(name=bad)]),
    "flow": lambda s, bad: s.save_flow([job(), with_member(queue_name=bad)]),
    "worker": lambda s, bad: s.fetch_next_job(QUEUE, bad, MINUTE),
    "workers": lambda s, bad: s.fetch_jobs(QUEUE, bad, MINUTE, 2),
    "pause": lambda s, bad: s.pause_job_name(QUEUE, bad),
    "update-key": lambda s, bad: s.update_job(QUEUE, "held", {"deduplication_key": bad}),
    "update-group": lambda s, bad: s.update_job(QUEUE, "held", {"group_id": bad}),
}


async def test_what_cannot_be_a_name_is_refused(store: AsyncStore) -> None:
    await leased(store, job_id="held")
    before = await contents(store)
    for kind, call in NAMING.items():
        for bad in INVALID:
            if bad is None and ("key" in kind or "group" in kind):
                continue  # which means none
            with pytest.raises(InvalidName) as refused:
                await call(store, bad)
            assert refused.value.value == bad, kind
    assert await contents(store) == before
    assert await store.get_paused_job_names(QUEUE) == []
    assert [info.name for info in await store.list_queues()] == [QUEUE]
