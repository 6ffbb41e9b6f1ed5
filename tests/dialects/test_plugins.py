"""A dialect comes with any installed package: nothing here knows it by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from oqron_sql import SQLStore, dialects
from oqron_sql.errors import ConfigurationError
from oqron_sql.schema.tables import build
from tests.dialects.madeup import install, run

DIALECT = """
    from typing import ClassVar
    from oqron_sql.dialects import Dialect

    class MadeUp(Dialect):
        names = ("madeup",)
        claims = 0

        def claim(self, *args, **options):
            MadeUp.claims += 1
            return super().claim(*args, **options)

    dialect = MadeUp()
"""
LIFE = """
    from datetime import timedelta
    from oqron_sql import SQLStore
    from oqron_sql.contract import Complete, JobState, new_job

    with SQLStore("madeup:///jobs.db") as store:
        store.save_bulk("q", [new_job("q", "first", {"n": 1}), new_job("q", "second")])
        first = store.fetch_next_job("q", "worker", timedelta(minutes=1))
        assert (first.name, first.data, first.lease) == ("first", {"n": 1}, 1)
        (told,) = store.finish_jobs("q", [Complete(first, "done")])
        assert told.state is JobState.COMPLETED
        counts = store.get_job_counts("q")
        print(counts[JobState.COMPLETED], counts[JobState.WAITING])
"""


def test_an_installed_dialect_is_used(tmp_path: Path) -> None:
    install(tmp_path, DIALECT)
    asked = "\n    import madeup_oqron; print('claims', madeup_oqron.MadeUp.claims)"
    assert run(tmp_path, LIFE + asked).split() == ["1", "1", "claims", "1"]


def test_a_database_without_a_dialect_gets_the_defaults(tmp_path: Path) -> None:
    install(tmp_path, None)
    asked = """
    from oqron_sql import dialects
    print(type(dialects.get("madeup")).__name__)
    """
    assert run(tmp_path, LIFE + asked).split() == ["1", "1", "Dialect"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where packages are installed for this test alone."""
    monkeypatch.setattr(dialects, "_registry", dict(dialects._registry))
    monkeypatch.syspath_prepend(tmp_path)
    dialects._brought.cache_clear()
    yield tmp_path
    dialects._brought.cache_clear()
    sys.modules.pop("madeup_oqron", None)


@pytest.mark.parametrize(
    ("source", "entry", "said"),
    [
        ("class MadeUp: ...\ndialect = MadeUp()", "madeup_oqron:dialect", "not an oqron_sql"),
        (DIALECT, "madeup_oqron:MadeUp", "instance"),
        (DIALECT, "madeup_oqron:typo", "typo"),
        ("import missing_library", "madeup_oqron:dialect", "missing_library"),
    ],
    ids=["no dialect", "a class", "a wrong name", "a broken module"],
)
def test_a_wrong_entry_point_is_explained(
    installed: Path, source: str, entry: str, said: str
) -> None:
    """By its name and what is wrong with it; the defaults never take its place unasked."""
    install(installed, source, entry)
    with pytest.raises(ConfigurationError, match=said) as refused:
        dialects.get("madeup")
    assert f"'{entry}'" in str(refused.value)


def test_a_wrong_entry_point_does_no_harm_to_other_databases(installed: Path) -> None:
    install(installed, "import missing_library")
    made = build(MetaData())
    SQLStore("sqlite://").connect()
    assert made.jobs.dialect_options["sqlite"]["autoincrement"]


def test_a_registered_dialect_wins(installed: Path) -> None:
    install(installed, DIALECT)
    mine = dialects.Dialect()
    dialects.register("madeup", mine)
    assert dialects.get("madeup") is mine
    dialects.register("madeup", None)
    assert type(dialects.get("madeup")) is dialects.Dialect


def test_an_installed_dialect_shapes_the_tables(installed: Path) -> None:
    """Its options count although nobody has asked for it yet."""
    options = """names = ("madeup",)
        table_options = {"madeup_flavour": "sour"}
        partial_indexes = True
    """
    install(installed, DIALECT.replace('names = ("madeup",)', options))
    jobs = build(MetaData()).jobs
    (fetch,) = (index for index in jobs.indexes if index.name == "oqron_jobs_fetch")
    assert jobs.kwargs["madeup_flavour"] == "sour"
    assert fetch.kwargs["madeup_where"] is not None
