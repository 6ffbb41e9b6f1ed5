"""Each operation of the adapters goes by its index and costs what it must."""

from __future__ import annotations

import pytest

from tests.plans.adapter_operations import OPERATIONS, Operation, without
from tests.plans.stage import Database
from tests.plans.verdict import problems, problems_unknowing

NEW = {"postgresql": "adapters_new", "mariadb": "adapters_new", "sqlite": "adapters_known"}
NAMES = [operation.name for operation in OPERATIONS]
BY_NAME = dict(zip(NAMES, OPERATIONS, strict=True))
NEEDED = {
    ("messages", "place"): "claim 10, newest",
    ("messages", "priority"): "claim 10, lowest",
    ("messages", "due"): "claim 10, oldest",
    ("documents", "age"): "list 50",
    ("fields", "text"): "list all of a rare status",
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_a_long_backlog(database: Database, operation: Operation) -> None:
    watch = database.stage("adapters")
    seen = watch.observe(lambda: operation.ready(watch.store))
    wrong = list(problems(operation, seen, database.kind.name))
    assert not wrong, f"{operation.name}: {'; '.join(wrong)}\n\n{seen}"


KNOWING = [operation for operation in OPERATIONS if operation.unknowing is not None]


@pytest.mark.parametrize("operation", KNOWING, ids=[each.name for each in KNOWING])
def test_other_statistics(database: Database, operation: Operation) -> None:
    watch = database.stage(NEW[database.kind.name])
    seen = watch.observe(lambda: operation.ready(watch.store))
    wrong = list(problems_unknowing(operation, seen, database.kind.name))
    assert not wrong, f"{operation.name}: {'; '.join(wrong)}\n\n{seen}"


@pytest.mark.parametrize("needed", NEEDED, ids="_".join)
def test_an_index_is_missing(database: Database, needed: tuple[str, str]) -> None:
    table, name = needed
    watch = database.stage(NEW[database.kind.name])
    operation, index = BY_NAME[NEEDED[needed]], without(name, table, watch.prefix)
    watch.ask(lambda conn: index.drop(conn))
    try:
        seen = watch.observe(lambda: operation.ready(watch.store))
    finally:
        watch.ask(lambda conn: index.create(conn))
    assert list(problems(operation, seen, database.kind.name))
