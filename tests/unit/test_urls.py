"""URLs as people write them, wherever one is taken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, SQLStore
from oqron_sql.adapters import create_adapters
from oqron_sql.engines import read_url
from oqron_sql.errors import ConfigurationError

TAKERS: list[Callable[[str], Any]] = [
    SQLStore,
    AsyncSQLStore,
    lambda url: create_adapters("db", db=url),
    read_url,
]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("postgres", "postgresql"),
        ("postgres+asyncpg", "postgresql+asyncpg"),
        ("Postgresql", "postgresql"),
        ("pgsql", "postgresql"),
        ("maria", "mariadb"),
        ("sqlite3", "sqlite"),
    ],
)
def test_a_database_by_another_name_is_told_its_own(wrong: str, right: str) -> None:
    said = f"SQLAlchemy knows no dialect {wrong!r}; write {right}:// in place of {wrong}://"
    for take in TAKERS:
        with pytest.raises(ConfigurationError) as caught:
            take(f"{wrong}://me:hunter2@host/shop")
        assert str(caught.value) == said


@pytest.mark.parametrize("name", ["bad.db", "/var/lib/shop data.sqlite3", r"C:\shop\bad.sqlite"])
def test_a_file_is_told_its_url(name: str) -> None:
    for take in TAKERS:
        with pytest.raises(ConfigurationError, match="not a database URL") as caught:
            take(name)
        assert str(caught.value).endswith(f"/name, or sqlite:///{name} for that file")


@pytest.mark.parametrize("other", ["nonsense", "me:hunter2@host/bad.db", "", "bad.db?key=hunter2"])
def test_what_is_no_file_is_not_repeated(other: str) -> None:
    """It may have a password in it."""
    with pytest.raises(ConfigurationError) as caught:
        read_url(other)
    assert str(caught.value).endswith("it looks like postgresql+asyncpg://user:password@host/name")


@pytest.mark.parametrize("unknown", ["postgresql+psycop", "redis", "couchdb"])
def test_what_is_like_no_other_may_come_in_a_package(unknown: str) -> None:
    with pytest.raises(ConfigurationError, match="see whether its package is installed"):
        read_url(f"{unknown}://host")


@pytest.mark.parametrize(
    ("url", "default", "ours"),
    [
        ("mysql://me@host/shop", "MySQLdb", "mysql+pymysql"),
        ("mariadb://me@host/shop", "MySQLdb", "mariadb+pymysql"),
        ("postgresql://me@host/shop", "psycopg", "postgresql+psycopg"),
    ],
)
def test_without_a_driver_it_is_that_of_sqlalchemy_or_ours(
    monkeypatch: pytest.MonkeyPatch, url: str, default: str, ours: str
) -> None:
    plain = sa.make_url(url)
    monkeypatch.setattr(plain.get_dialect(), "import_dbapi", classmethod(lambda cls: object()))
    assert read_url(url) == plain
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, default, None)
    assert read_url(url) == plain.set(drivername=ours)
    assert read_url("sqlite:///jobs.db").drivername == "sqlite"


def test_the_driver_of_our_extra_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MySQLdb", None)
    for make in (SQLStore, AsyncSQLStore):
        make("mysql://me@host/shop")
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'oqron-sql\[mysql\]'"):
        SQLStore("mysql://me@host/shop")
