"""Each operation goes by its index and costs what it must, however much lies around."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from tests.plans.operations import OPERATIONS, Operation
from tests.plans.plan import Watch
from tests.plans.stage import Database
from tests.plans.verdict import problems, problems_unknowing


def each(operations: Iterable[Operation]) -> pytest.MarkDecorator:
    """Run a test once per operation, under its name."""
    chosen = list(operations)
    return pytest.mark.parametrize("operation", chosen, ids=[one.name for one in chosen])


@each(OPERATIONS)
def test_a_long_history(database: Database, operation: Operation) -> None:
    watch = database.stage("full")
    seen = watch.observe(lambda: operation.ready(watch.store))
    wrong = list(problems(operation, seen, database.kind.name))
    assert not wrong, f"{operation.name}: {'; '.join(wrong)}\n\n{seen}"


@each(one for one in OPERATIONS if one.unknowing is not None)
def test_statistics_that_know_nothing_of_it(
    database: Database, unknowing: str, operation: Operation
) -> None:
    watch = database.stage(unknowing)
    seen = watch.observe(lambda: operation.ready(watch.store))
    wrong = list(problems_unknowing(operation, seen, database.kind.name))
    assert not wrong, f"{operation.name}: {'; '.join(wrong)}\n\n{seen}"


@each(one for one in OPERATIONS if one.leased or one.unknowing is not None)
def test_plans_made_before_the_parameters_are_known(generic: Watch, operation: Operation) -> None:
    seen = generic.observe(lambda: operation.ready(generic.store))
    wrong = list(problems_unknowing(operation, seen, "postgresql"))
    assert not wrong, f"{operation.name}: {'; '.join(wrong)}\n\n{seen}"


@pytest.fixture
def generic(database: Database) -> Iterator[Watch]:
    """PostgreSQL as it treats statements that it has prepared and seen a few times."""
    if database.kind.name != "postgresql":
        pytest.skip("plans are made for the parameters")
    watch = database.stage("full")
    watch.ask(lambda conn: conn.exec_driver_sql("SET plan_cache_mode = force_generic_plan"))
    yield watch
    watch.ask(lambda conn: conn.exec_driver_sql("RESET plan_cache_mode"))
