"""What a person is told: what to do, and no secrets."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from oqron_sql.cli.messages import (
    EXTRAS,
    exit_status,
    explain,
    read_url,
    refuse_private_memory,
    show_url,
)
from oqron_sql.errors import ConfigurationError, InvalidInput, StoreUnavailable

ROOT = Path(__file__).parents[2]


def test_the_cause_is_told() -> None:
    error = StoreUnavailable("connect")
    error.__cause__ = OperationalError("SELECT 1", {}, OSError("connection refused"))
    assert explain(error) == "the database did not complete connect: connection refused"


def test_credentials_in_a_message_are_hidden() -> None:
    error = RuntimeError("cannot reach postgresql://me:s3c:r@t@host/db nor x://a:b@c")
    assert explain(error) == "cannot reach postgresql://***@host/db nor x://***@c"


@pytest.mark.parametrize("text", ["nonsense", "postgresql://me:s3cret/x@host:port/db", ""])
def test_an_unreadable_url_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="percent-encoded") as caught:
        read_url(text)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_url_is_shown_without_what_is_private() -> None:
    url = read_url("postgresql+asyncpg://me:s3cret@host:1/db?password=s3cret")
    assert show_url(url) == "postgresql+asyncpg://host:1/db"


def test_an_unknown_driver_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no driver is known for postgresql"):
        read_url("postgresql+nothing://host/db")


def test_a_missing_driver_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    with pytest.raises(ConfigurationError, match=re.escape("pip install 'oqron-sql[mysql]'")):
        read_url("mysql+pymysql://host/db")


def test_the_extras_named_exist_and_hold_the_driver() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for driver, extra in EXTRAS.items():
        assert any(re.match(rf"{driver}\b", needed) for needed in extras[extra])


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite://"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="memory of one process"):
        refuse_private_memory(read_url(url))


def test_a_file_is_not_refused() -> None:
    refuse_private_memory(read_url("sqlite:///demo.db"))
    refuse_private_memory(read_url("sqlite+aiosqlite:///demo.db"))


def test_the_exit_status_tells_wrong_usage_from_failure() -> None:
    assert exit_status(InvalidInput("a", 1, "is wrong")) == 2
    assert exit_status(ConfigurationError("wrong")) == 2
    assert exit_status(StoreUnavailable("connect")) == 1
