"""Anything that is not exactly as it has to be is a problem."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from oqron_sql.cli.demo_files import Found, Seen, analyse, find_files
from oqron_sql.cli.demo_report import Account, account_for, print_summary
from oqron_sql.cli.demo_worker import LEASE
from oqron_sql.contract import Clock, Complete, Fail, Job, new_job
from oqron_sql.memory import AsyncMemoryStore, MemoryData

QUEUE = "files"


@pytest.fixture
def found(tmp_path: Path) -> Found:
    (tmp_path / "a").write_text("one two three\n")
    (tmp_path / "b").write_text("two three\n")
    return find_files(str(tmp_path))


@pytest.fixture
async def store(clock: Clock) -> AsyncIterator[AsyncMemoryStore]:
    store = AsyncMemoryStore(MemoryData(), clock=clock)
    await store.connect()
    yield store
    await store.disconnect()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def lease(store: AsyncMemoryStore, *paths: str) -> list[Job]:
    await store.save_bulk(QUEUE, [new_job(QUEUE, "analyse", path) for path in paths])
    return await store.fetch_jobs(QUEUE, "w", LEASE, 100)


def done(job: Job, **other: Any) -> Complete:
    return Complete(job, {**analyse(job.data), "worker": "w", **other})


async def test_all_is_well(store: AsyncMemoryStore, found: Found) -> None:
    await store.finish_jobs(QUEUE, [done(job) for job in await lease(store, *found.files)])
    account = await account_for(store, QUEUE, found)
    assert account.problems == []
    assert (account.files, account.bytes, account.lines, account.hashed) == (2, 24, 2, 2)
    assert account.words == {"one": 1, "two": 2, "three": 2}
    assert account.by_worker == {"w": 2}


async def test_a_lost_lease_is_counted_and_no_problem(
    store: AsyncMemoryStore, clock: Clock, found: Found
) -> None:
    await lease(store, *found.files)
    clock.advance(LEASE * 2)
    await store.recover_lost(QUEUE)
    again = await store.fetch_jobs(QUEUE, "w", LEASE, 100)
    await store.finish_jobs(QUEUE, [done(job) for job in again])
    account = await account_for(store, QUEUE, found)
    assert (account.problems, account.recovered) == ([], 2)


async def problems(store: AsyncMemoryStore, found: Found) -> str:
    return "\n".join((await account_for(store, QUEUE, found)).problems)


async def test_a_file_without_a_job_is_missing(store: AsyncMemoryStore, found: Found) -> None:
    assert (await problems(store, found)).count("no job has ended for") == 2


async def test_a_job_that_has_not_ended_is_told(store: AsyncMemoryStore, found: Found) -> None:
    await lease(store, *found.files)
    assert "still active: 2 jobs" in await problems(store, found)


async def test_a_file_done_twice_is_told(store: AsyncMemoryStore, found: Found) -> None:
    jobs = await lease(store, *found.files, *found.files)
    await store.finish_jobs(QUEUE, [done(job) for job in jobs])
    assert (await problems(store, found)).count("completed twice") == 2


async def test_a_file_nobody_asked_for_is_told(store: AsyncMemoryStore, found: Found) -> None:
    (path, *others) = found.files
    await store.finish_jobs(QUEUE, [done(job) for job in await lease(store, path, *others)])
    del found.files[path]
    assert "never asked for" in await problems(store, found)


async def test_a_failed_file_is_told_with_the_reason(store: AsyncMemoryStore, found: Found) -> None:
    jobs = await lease(store, *found.files)
    await store.finish_jobs(QUEUE, [Fail(job, "no permission") for job in jobs])
    assert (await problems(store, found)).count("no permission") == 2


@pytest.mark.parametrize("wrong", [{"bytes": 1}, {"sha256": "00"}])
async def test_a_wrong_result_is_told(
    store: AsyncMemoryStore, found: Found, wrong: dict[str, Any]
) -> None:
    jobs = await lease(store, *found.files)
    await store.finish_jobs(QUEUE, [done(job, **wrong) for job in jobs])
    assert len((await account_for(store, QUEUE, found)).problems) == 2


async def test_a_lease_that_was_never_lost_but_given_twice_is_told(
    store: AsyncMemoryStore, found: Found
) -> None:
    for job in await lease(store, *found.files):
        await store.update_job(QUEUE, job.id, {"state": job.state.WAITING})
    again = await store.fetch_jobs(QUEUE, "w", LEASE, 100)
    await store.finish_jobs(QUEUE, [done(job) for job in again])
    assert (await problems(store, found)).count("leased 2 times, lost 0 times") == 2


async def test_a_file_that_changed_meanwhile_is_no_problem(
    store: AsyncMemoryStore, found: Found
) -> None:
    await store.finish_jobs(QUEUE, [done(job) for job in await lease(store, *found.files)])
    for path, seen in found.files.items():
        found.files[path] = dataclasses.replace(seen, size=seen.size + 1, changed_ns=0)
    account = await account_for(store, QUEUE, found)
    assert (account.problems, account.changed) == ([], 2)


def printed(account: Account, found: Found) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        print_summary(console, account, found, [], 2.0)
    return capture.get()


def test_the_verdict_is_printed() -> None:
    found = Found("/x", {"/x/a": Seen(1, 1)}, unnameable=3)
    text = printed(Account(files=1), found)
    assert "OK: 1 file, each with" in text
    assert "NOT OK" not in text
    assert "left out 3 files" in text


def test_problems_are_printed_and_the_many_are_counted() -> None:
    account = Account(problems=[f"problem {n}" for n in range(9)])
    text = printed(account, Found("/x"))
    assert "NOT OK: 9 problems." in text
    assert "problem 4" in text
    assert "problem 5" not in text
    assert "and 4 more" in text
