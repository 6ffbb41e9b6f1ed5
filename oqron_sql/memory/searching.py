"""Finding jobs."""

from __future__ import annotations

from collections.abc import Callable

from oqron_sql.contract.checks import check_count
from oqron_sql.contract.model import EVERYTHING, Job, SearchFilter, SearchResult
from oqron_sql.memory import records
from oqron_sql.memory.data import Record
from oqron_sql.memory.members import check_state, utc
from oqron_sql.memory.operation import Operation

Test = Callable[[Record], bool]


def search_by_payload(op: Operation, queue: str, text: str, limit: int = 50) -> list[Job]:
    """Return jobs whose payload's JSON contains `text`, newest first."""
    check_count("limit", limit)
    found = [r for r in op.queue(queue).jobs.values() if text.lower() in r.data.lower()]
    return records.read_all(records.newest_first(found)[:limit])


def search_by_name(
    op: Operation, text: str, queue: str | None = None, limit: int = 50
) -> list[Job]:
    """Return jobs whose name contains `text`, newest first."""
    check_count("limit", limit)
    return search_jobs(op, SearchFilter(name=text, queue_name=queue), 0, limit).jobs


def search_jobs(
    op: Operation, filter: SearchFilter = EVERYTHING, start: int = 0, end: int = 50
) -> SearchResult:
    """Return one page of the jobs that match, and their total."""
    check_count("start", start)
    tests = _tests(filter)
    found = [record for record in op.records() if all(test(record) for test in tests)]
    page = records.newest_first(found)[start : max(start, end)]
    return SearchResult(records.read_all(page), len(found))


def _tests(wanted: SearchFilter) -> list[Test]:
    tests: list[Test] = []
    if wanted.queue_name is not None:
        tests.append(lambda r: r.job.queue_name == wanted.queue_name)
    if wanted.states:
        states = {check_state("states", state) for state in wanted.states}
        tests.append(lambda r: r.job.state in states)
    if wanted.name:
        part = wanted.name.lower()
        tests.append(lambda r: part in r.job.name.lower())
    if wanted.created_after is not None:
        first = utc("created_after", wanted.created_after)
        tests.append(lambda r: r.job.created_at is not None and r.job.created_at >= first)
    if wanted.created_before is not None:
        last = utc("created_before", wanted.created_before)
        tests.append(lambda r: r.job.created_at is not None and r.job.created_at <= last)
    return tests
