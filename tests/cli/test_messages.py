"""What a person is told: what to do, and no secrets."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from oqron_sql.cli.messages import (
    exit_status,
    explain,
    refuse_private_memory,
    show_url,
)
from oqron_sql.errors import ConfigurationError, InvalidInput, JobNotFound, StoreUnavailable


def test_the_cause_is_told() -> None:
    error = StoreUnavailable("connect")
    error.__cause__ = OperationalError("SELECT 1", {}, OSError("connection refused"))
    assert explain(error) == "the database did not complete connect: connection refused"


def test_a_refused_statement_is_not_printed() -> None:
    error = OperationalError("UPDATE jobs SET data = 1", {}, OSError("disk full\nand more"))
    assert explain(error) == "the database refused a statement: disk full"


def test_credentials_in_a_message_are_hidden() -> None:
    error = RuntimeError("cannot reach postgresql://me:s3c:r@t@host/db nor x://a:b@c")
    assert explain(error) == "cannot reach postgresql://***@host/db nor x://***@c"


def test_a_url_is_shown_without_what_is_private() -> None:
    url = make_url("postgresql+asyncpg://me:s3cret@host:1/db?password=s3cret")
    assert show_url(url) == "postgresql+asyncpg://host:1/db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite://"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="memory of one process"):
        refuse_private_memory(make_url(url))


def test_a_file_is_not_refused() -> None:
    refuse_private_memory(make_url("sqlite:///demo.db"))
    refuse_private_memory(make_url("sqlite+aiosqlite:///demo.db"))


def test_the_exit_status_tells_a_bad_answer_from_none() -> None:
    assert exit_status(InvalidInput("a", 1, "is wrong")) == 2
    assert exit_status(ConfigurationError("wrong")) == 2
    assert exit_status(StoreUnavailable("connect")) == 2
    assert exit_status(OperationalError("SELECT 1", {}, OSError("no right"))) == 2
    assert exit_status(JobNotFound("mail", "1")) == 1
