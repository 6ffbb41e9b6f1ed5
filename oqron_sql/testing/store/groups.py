"""Groups take turns, and none has more active jobs than allowed."""

from __future__ import annotations

from collections import Counter

import pytest

from oqron_sql.contract import AsyncStore, Complete, FetchOptions, Group, Job, JobState
from oqron_sql.testing.steps import (
    MINUTE,
    QUEUE,
    WORKER,
    fetch,
    finish,
    job,
    read,
    save,
    take,
    take_names,
)


async def grouped(store: AsyncStore, *names: str) -> list[Job]:
    """Save a job for each name, in the group of its first letter; "-" stands for none."""
    made = [job(n, group=None if n[0] == "-" else Group(id=n[0])) for n in names]
    await save(store, *made)
    return made


async def in_turn(store: AsyncStore, n: int, cap: int = 10) -> list[str]:
    """Return the groups that `n` fetches are served from."""
    found = [await take(store, group_concurrency=cap) for _ in range(n)]
    return [each.group_id or "-" for each in found]


async def test_the_group_option_is_the_group(store: AsyncStore) -> None:
    """[63]"""
    (made,) = await grouped(store, "a1")
    found = await read(store, made)
    assert (found.group_id, found.opts.group) == ("a", Group(id="a"))


async def test_active_jobs_are_counted_per_group(store: AsyncStore) -> None:
    """[64]"""
    await grouped(store, "a1", "b1")
    for total in (1, 2):
        await take(store, group_concurrency=10)
        counts = [await store.get_group_active_count(QUEUE, group) for group in "ab"]
        assert sum(counts) == total
    assert await store.get_group_active_count("elsewhere", "a") == 0


async def test_waiting_jobs_are_counted_per_group(store: AsyncStore) -> None:
    """[65]"""
    await grouped(store, "a1", "a2", "b1")
    counts = [await store.get_waiting_group_count(QUEUE, group) for group in "abc"]
    assert counts == [2, 1, 0]
    await take(store)
    counts = [await store.get_waiting_group_count(QUEUE, group) for group in "abc"]
    assert counts == [1, 1, 0]


async def test_groups_take_turns(store: AsyncStore) -> None:
    """[66]"""
    await grouped(store, "a1", "a2", "b1", "b2")
    turns = await in_turn(store, 4)
    assert set(turns[:2]) == set(turns[2:]) == {"a", "b"}


async def test_the_least_recently_served_group_is_next(store: AsyncStore) -> None:
    await grouped(store, "a1", "b1", "a2", "b2", "a3", "b3")
    assert sorted(await in_turn(store, 2)) == ["a", "b"]
    await grouped(store, "c1", "c2")
    turns = await in_turn(store, 4)
    assert turns[0] == "c"
    assert sorted(turns[1:3]) == ["a", "b"]
    assert turns[3] == "c"


async def test_a_group_has_no_more_than_its_cap(store: AsyncStore) -> None:
    """[67]"""
    await grouped(store, "c1", "c2")
    assert (await take(store, group_concurrency=1)).group_id == "c"
    assert await fetch(store, group_concurrency=1) is None
    assert (await take(store, group_concurrency=2)).name == "c2"


async def test_a_finished_job_makes_room(store: AsyncStore) -> None:
    await grouped(store, "c1", "c2", "c3")
    first = await take(store, group_concurrency=1)
    await finish(store, Complete(first))
    second = await take(store, group_concurrency=1)
    assert (second.name, await fetch(store, group_concurrency=1)) == ("c2", None)
    await store.remove_job(QUEUE, second.id)
    assert (await take(store, group_concurrency=1)).name == "c3"


async def test_a_full_group_does_not_stop_the_others(store: AsyncStore) -> None:
    await grouped(store, *["a"] * 20, "b1", "-1")
    assert Counter(await in_turn(store, 3, cap=1)) == Counter("ab-")
    assert await fetch(store, group_concurrency=1) is None


async def test_excluding_groups_is_enough_for_turns(store: AsyncStore) -> None:
    """[68]"""
    await grouped(store, "X1", "Y1")
    assert (await take(store, exclude_groups=["X"])).group_id == "Y"
    assert await fetch(store, exclude_groups=["X"]) is None
    assert (await take(store, exclude_groups=["Y", "Z"])).group_id == "X"


async def test_jobs_without_a_group_are_not_excluded(store: AsyncStore) -> None:
    await grouped(store, "a1", "-1")
    assert (await take(store, exclude_groups=["a"])).name == "-1"


async def test_jobs_without_a_group_are_served_too(store: AsyncStore) -> None:
    """[69]"""
    await grouped(store, "a1", "-1")
    assert sorted(await in_turn(store, 2)) == ["-", "a"]


async def test_jobs_without_a_group_have_no_cap(store: AsyncStore) -> None:
    await grouped(store, "-1", "-2", "-3")
    assert await take_names(store, 3, group_concurrency=1) == ["-1", "-2", "-3"]


async def test_jobs_without_a_group_take_one_turn(store: AsyncStore) -> None:
    await grouped(store, "-1", "-2", "a1", "a2")
    turns = await in_turn(store, 4)
    assert set(turns[:2]) == set(turns[2:]) == {"-", "a"}


async def test_active_groups_do_not_starve_the_ungrouped(store: AsyncStore) -> None:
    await grouped(store, "a1", "-1")
    await take(store, group_concurrency=1, exclude_groups=["b"])
    await take(store, group_concurrency=1, exclude_groups=["b"])
    await grouped(store, "-2")
    assert (await take(store, group_concurrency=1)).name == "-2"


async def test_without_group_options_groups_do_not_matter(store: AsyncStore) -> None:
    """[70]"""
    made = await grouped(store, "a1", "a2", "-1", "b1")
    assert await take_names(store, 4) == ["a1", "a2", "-1", "b1"]
    assert (await read(store, made[2])).group_id is None


async def test_priority_matters_within_a_group(store: AsyncStore) -> None:
    await grouped(store, "a-low", "b-low")
    await save(store, job("a-high", priority=-1, group=Group(id="a")))
    assert sorted(await take_names(store, 2, group_concurrency=9)) == ["a-high", "b-low"]
    assert await take_names(store, 1, group_concurrency=9) == ["a-low"]


async def test_lifo_is_within_a_group(store: AsyncStore) -> None:
    await grouped(store, "a1", "a2", "b1", "b2")
    found = await take_names(store, 2, group_concurrency=9, lifo=True)
    assert sorted(found) == ["a2", "b2"]


async def test_a_name_can_be_asked_for_in_groups(store: AsyncStore) -> None:
    await grouped(store, "a1", "a2", "b1")
    found = await take(store, group_concurrency=9, job_name="a2")
    assert (found.name, found.group_id) == ("a2", "a")
    assert await fetch(store, group_concurrency=9, job_name="a2") is None


async def test_several_are_fetched_in_rounds(store: AsyncStore) -> None:
    await grouped(store, "a1", "a2", "a3", "b1", "b2", "c1")
    opts = FetchOptions(group_concurrency=2)
    found = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 4, opts)
    assert Counter(each.group_id for each in found) in (
        Counter("aabc"),
        Counter("abbc"),
    )
    assert {each.group_id for each in found[:3]} == {"a", "b", "c"}
    rest = await store.fetch_jobs(QUEUE, WORKER, MINUTE, 9, opts)
    counts = Counter(each.group_id for each in found + rest)
    assert counts == Counter(a=2, b=2, c=1)
    assert len({each.id for each in found + rest}) == 5
    assert await store.fetch_jobs(QUEUE, WORKER, MINUTE, 9, opts) == []


@pytest.mark.parametrize(("n", "cap"), [(9, 40), (40, 4)])
async def test_many_at_once_are_those_of_many_fetches(store: AsyncStore, n: int, cap: int) -> None:
    """Of groups of any size, be there more of them than jobs to fetch or fewer."""
    sizes = {"a": 25, "b": 1, "c": 7, "-": 6, "d": 2}
    names = [f"{group}{i:02}" for group, size in sizes.items() for i in range(size)]
    for queue in (QUEUE, "another"):
        options = [{"group": None if name[0] == "-" else Group(id=name[0])} for name in names]
        made = [
            job(name, queue=queue, priority=int(name[1:]) % 3, **given)  # which mixes them up
            for name, given in zip(names, options, strict=True)
        ]
        await store.save_bulk(queue, made)
    one_by_one = [await fetch(store, group_concurrency=cap) for _ in range(n)]
    expected = [each.name for each in one_by_one if each is not None]
    opts = FetchOptions(group_concurrency=cap)
    for part in (n // 2, n - n // 2):
        at_once = await store.fetch_jobs("another", WORKER, MINUTE, part, opts)
        assert [each.name for each in at_once] == expected[: len(at_once)]
        expected = expected[len(at_once) :]
    assert expected == []


async def test_one_call_does_not_exceed_the_cap(store: AsyncStore) -> None:
    await grouped(store, *["a"] * 5)
    opts = FetchOptions(group_concurrency=3)
    assert len(await store.fetch_jobs(QUEUE, WORKER, MINUTE, 5, opts)) == 3
    assert await store.fetch_jobs(QUEUE, WORKER, MINUTE, 5, opts) == []


async def test_the_virtual_group_s_name_is_an_ordinary_one(store: AsyncStore) -> None:
    for name in ("own-1", "own-2"):
        await save(store, job(name, group=Group(id="__ungrouped__")))
    await grouped(store, "-1", "-2")
    names = await take_names(store, 3, group_concurrency=1)
    assert sorted(names) == ["-1", "-2", "own-1"]
    assert await fetch(store, group_concurrency=1) is None
    assert await store.get_group_active_count(QUEUE, "__ungrouped__") == 1
    assert await store.get_waiting_group_count(QUEUE, "__ungrouped__") == 1


async def test_a_job_can_change_its_group(store: AsyncStore) -> None:
    first, second = await grouped(store, "a1", "a2")
    await take(store, group_concurrency=1)
    await store.update_job(QUEUE, second.id, {"group_id": "b"})
    assert await store.get_waiting_group_count(QUEUE, "b") == 1
    assert (await take(store, group_concurrency=1)).id == second.id
    await store.update_job(QUEUE, first.id, {"state": JobState.WAITING, "group_id": None})
    assert (await take(store, group_concurrency=1)).id == first.id


async def test_obliterating_forgets_whose_turn_it_was(store: AsyncStore) -> None:
    await grouped(store, "a1", "b1")
    assert await in_turn(store, 1) == ["a"]
    await store.obliterate(QUEUE, force=True)
    await grouped(store, "a1", "b1")
    assert sorted(await in_turn(store, 2, cap=1)) == ["a", "b"]


async def test_groups_of_queues_are_apart(store: AsyncStore) -> None:
    await grouped(store, "a1")
    await save(store, job("there", queue="elsewhere", group=Group(id="a")))
    assert (await take(store, group_concurrency=1)).name == "a1"
    assert (await take(store, queue="elsewhere", group_concurrency=1)).name == "there"
