"""The guards can fail: without an index, and for a statement that asks for too much."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql.queries import counting
from oqron_sql.queries.tx import Tx
from oqron_sql.schema.tables import tables
from tests.plans.operations import OPERATIONS
from tests.plans.plan import Watch
from tests.plans.stage import Database
from tests.plans.verdict import problems

BY_NAME = {operation.name: operation for operation in OPERATIONS}
NEEDED = {
    "fetch": "fetch 50",
    "lock": "recover_lost 50",
    "completed": "clean 50 completed",
    "id": "get_job",
    "slot": "find_by_deduplication_key",
}


def found(database: Database, name: str) -> str:
    """Return what the guard of an operation says."""
    operation, watch = BY_NAME[name], database.stage("small")
    seen = watch.observe(lambda: operation.ready(watch.store))
    return "; ".join(problems(operation, seen, database.kind.name))


@pytest.mark.parametrize("index", NEEDED)
def test_an_index_is_missing(database: Database, index: str) -> None:
    name = NEEDED[index]
    assert not found(database, name)
    with without(database.stage("small"), index):
        wrong = found(database, name)
    assert "it costs" in wrong
    assert "it reads all of jobs" in wrong or "it goes by" in wrong
    assert not found(database, name)


def test_an_order_that_no_index_has(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_name(tx: Tx, *args: Any) -> sa.Select[Any]:
        return listed(tx, *args).order_by(None).order_by(tx.tables.jobs.c.name)

    listed = counting.listed
    monkeypatch.setattr(counting, "listed", by_name)
    wrong = found(database, "list completed")
    assert "it sorts" in wrong
    assert "it costs" in wrong


@contextlib.contextmanager
def without(watch: Watch, name: str) -> Iterator[None]:
    """Drop an index of the jobs for a while."""
    jobs = tables(watch.prefix).jobs
    (index,) = (each for each in jobs.indexes if each.name == f"{jobs.name}_{name}")
    watch.ask(lambda conn: index.drop(conn))
    try:
        yield
    finally:
        watch.ask(lambda conn: index.create(conn))
