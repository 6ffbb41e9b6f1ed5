"""Finding jobs by name, payload and other things."""

from __future__ import annotations

from typing import Any

from oqron_sql.contract import AsyncStore, Job, JobState, SearchFilter
from oqron_sql.testing.steps import (
    MINUTE,
    PAST,
    QUEUE,
    SECOND,
    completed,
    failed,
    job,
    read,
    save,
    save_new,
)


async def aged(store: AsyncStore, *names: str, queue: str = QUEUE, data: Any = None) -> list[Job]:
    """Save jobs of which each is a minute younger than the one before."""
    made = [job(name, data, queue=queue) for name in names]
    for minutes, each in enumerate(made):
        each.created_at = PAST + minutes * MINUTE
    await save(store, *made)
    return made


def names_of(jobs: list[Job]) -> list[str]:
    return [each.name for each in jobs]


async def test_names_are_searched_whatever_their_case(store: AsyncStore) -> None:
    """[93]"""
    made = await aged(store, "SendMail", "send-report", "archive", "resend")
    found = await store.search_by_name("SEND")
    assert names_of(found) == ["resend", "send-report", "SendMail"]
    assert found[2] == await read(store, made[0])
    assert len(await store.search_by_name("")) == 4


async def test_no_hit_is_an_empty_list(store: AsyncStore) -> None:
    """[94]"""
    await aged(store, "mail")
    assert await store.search_by_name("unknown") == []


async def test_names_can_be_searched_in_one_queue(store: AsyncStore) -> None:
    """[95]"""
    await aged(store, "mail")
    await aged(store, "mail", queue="elsewhere")
    assert len(await store.search_by_name("mail")) == 2
    (found,) = await store.search_by_name("mail", "elsewhere")
    assert found.queue_name == "elsewhere"


async def test_every_letter_of_a_search_is_literal(store: AsyncStore) -> None:
    """[96]"""
    letters = [*"_%\\*?[]'\"^/.😀"]
    await aged(store, "acb", "ab", *(f"a{letter}b" for letter in letters))
    for letter in letters:
        assert names_of(await store.search_by_name(f"a{letter}b")) == [f"a{letter}b"]
        assert names_of(await store.search_by_name(letter)) == [f"a{letter}b"]
        found = await store.search_jobs(SearchFilter(name=f"A{letter}"))
        assert names_of(found.jobs) == [f"a{letter}b"]


async def test_the_newest_hits_are_kept(store: AsyncStore) -> None:
    """[97] [98]"""
    await aged(store, *(f"mail-{n}" for n in range(5)))
    assert names_of(await store.search_by_name("mail", limit=2)) == ["mail-4", "mail-3"]
    everything = await store.search_by_name("mail")
    assert names_of(everything) == [f"mail-{n}" for n in (4, 3, 2, 1, 0)]


async def test_of_one_age_the_last_saved_is_the_newest(store: AsyncStore) -> None:
    made = [job(name) for name in "abc"]
    for each in made:
        each.created_at = PAST
    await save(store, *made)
    found = await store.search_jobs()
    assert names_of(found.jobs) == ["c", "b", "a"]


async def test_a_search_for_nothing_finds_everything(store: AsyncStore) -> None:
    """[99]"""
    await aged(store, "old", "middle")
    await aged(store, "there", queue="elsewhere")
    found = await store.search_jobs()
    assert found.total == 3
    assert found.jobs[0].name == "middle"
    assert set(names_of(found.jobs)) == {"old", "middle", "there"}


async def test_jobs_are_searched_by_name(store: AsyncStore) -> None:
    """[100]"""
    await aged(store, "SendMail", "archive")
    found = await store.search_jobs(SearchFilter(name="mail"))
    assert (names_of(found.jobs), found.total) == (["SendMail"], 1)
    assert (await store.search_jobs(SearchFilter(name=""))).total == 2


async def test_jobs_are_searched_by_queue(store: AsyncStore) -> None:
    """[101] exactly, not by part of its name."""
    await aged(store, "here")
    await aged(store, "there", queue=QUEUE + "-2")
    found = await store.search_jobs(SearchFilter(queue_name=QUEUE))
    assert (names_of(found.jobs), found.total) == (["here"], 1)


async def test_jobs_are_searched_by_state(store: AsyncStore) -> None:
    """[102]"""
    await completed(store, "completed")
    await failed(store, "failed")
    await save_new(store, "waiting")
    wanted = (JobState.COMPLETED, JobState.FAILED)
    found = await store.search_jobs(SearchFilter(states=wanted))
    assert (set(names_of(found.jobs)), found.total) == ({"completed", "failed"}, 2)
    assert (await store.search_jobs(SearchFilter(states=()))).total == 3


async def test_jobs_are_searched_by_creation(store: AsyncStore) -> None:
    """[103] Both bounds belong to the span."""
    await aged(store, *"abcde")
    after, before = PAST + MINUTE, PAST + 3 * MINUTE
    for wanted, expected in (
        (SearchFilter(created_after=after), "edcb"),
        (SearchFilter(created_before=before), "dcba"),
        (SearchFilter(created_after=after, created_before=before), "dcb"),
        (SearchFilter(created_after=after + SECOND, created_before=before - SECOND), "c"),
        (SearchFilter(created_after=before, created_before=after), ""),
    ):
        found = await store.search_jobs(wanted)
        assert (names_of(found.jobs), found.total) == (list(expected), len(expected))


async def test_filters_combine(store: AsyncStore) -> None:
    """[104]"""
    await aged(store, "mail", "report")
    await aged(store, "mail", "report", queue="elsewhere")
    found = await store.search_jobs(SearchFilter(name="mail", queue_name="elsewhere"))
    assert [(each.name, each.queue_name) for each in found.jobs] == [("mail", "elsewhere")]


async def test_pages_keep_the_total(store: AsyncStore) -> None:
    """[105]"""
    await aged(store, *"abcde")
    pages = [await store.search_jobs(start=start, end=start + 2) for start in (0, 2, 4, 6)]
    assert [names_of(page.jobs) for page in pages] == [["e", "d"], ["c", "b"], ["a"], []]
    assert {page.total for page in pages} == {5}
    assert (await store.search_jobs(start=2, end=2)).jobs == []


async def test_a_search_finds_fifty(store: AsyncStore) -> None:
    await store.save_bulk(QUEUE, [job("mail", {"to": "x"}) for _ in range(53)])
    found = await store.search_jobs()
    assert (len(found.jobs), found.total) == (50, 53)
    assert len(await store.search_by_name("mail")) == 50
    assert len(await store.search_by_payload(QUEUE, "to")) == 50


async def test_payloads_are_searched_as_json(store: AsyncStore) -> None:
    first, second = await aged(store, "first", "second", data={"to": "Ann", "n": [1, 2]})
    await aged(store, "other", data="unlike")
    await aged(store, "there", queue="elsewhere", data={"to": "Ann"})
    for text in ('"to":"Ann"', "ann", "[1,2]", "TO"):
        found = await store.search_by_payload(QUEUE, text)
        assert [each.id for each in found] == [second.id, first.id], text
    assert found[0] == await read(store, second)
    assert await store.search_by_payload(QUEUE, "Bob") == []
    assert len(await store.search_by_payload(QUEUE, "ann", limit=1)) == 1


async def test_every_letter_of_a_payload_search_is_literal(store: AsyncStore) -> None:
    letters = [*"_%*?[]'^/.😀é"]
    made = {letter: (await aged(store, "hit", data=f"a{letter}b"))[0] for letter in letters}
    await aged(store, "miss", data="acb")
    await aged(store, "miss", data="ab")
    for letter, hit in made.items():
        found = await store.search_by_payload(QUEUE, f"a{letter}b")
        assert [each.id for each in found] == [hit.id], letter
