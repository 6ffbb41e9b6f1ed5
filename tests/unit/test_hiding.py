"""What carries a payload does not show it."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import itertools
import pkgutil
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

import oqron_sql
from oqron_sql import Job, new_job
from oqron_sql.contract import Complete, StoreEvent
from oqron_sql.contract.adapters import Where
from oqron_sql.contract.documents import check_query
from oqron_sql.errors import InvalidInput, StoreUnavailable
from oqron_sql.hiding import Unshown, hiding, outline, quote_cause

SECRET = "do not show me"
# Whatever JSON can carry, texts that quote it, and what holds either in a dataclass of ours.
PAYLOADS = {"Any", "object", "Document", "Filter", "Mapping[str, Any]"}
TEXTS = {"text", "error", "reason", "failed_reason", "stacktrace", "logs", "attempt_logs"}
OTHERS = {("Found", "record_time")}  # as a database has it


def dataclasses_of_ours() -> Iterator[Any]:
    for module in pkgutil.walk_packages(oqron_sql.__path__, "oqron_sql."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            for found in vars(importlib.import_module(module.name)).values():
                ours = isinstance(found, type) and found.__module__ == module.name
                if ours and dataclasses.is_dataclass(found):
                    yield found


@pytest.mark.parametrize("cls", list(dataclasses_of_ours()), ids=str)
def test_a_field_that_may_hold_a_payload_is_hidden(cls: Any) -> None:
    made, carriers = object.__new__(cls), []
    for field in dataclasses.fields(cls):
        if (field.type in PAYLOADS or field.name in TEXTS) and (
            (cls.__name__, field.name) not in OTHERS
        ):
            carriers.append(field.name)
        object.__setattr__(made, field.name, SECRET if field.name in carriers else None)
    assert SECRET not in repr(made), f"hide {carriers}"


def test_what_is_shown_instead() -> None:
    given = new_job("mail", "welcome", {"to": SECRET})
    shown = repr(given)
    assert "data=<dict of 1>, " in shown
    assert "name='welcome'" in shown
    assert "returnvalue=None, failed_reason=None" in shown
    assert "logs=()" in shown
    for carrier in (
        Complete(given, SECRET),
        StoreEvent(type="job:completed", queue_name="mail", data=SECRET),  # type: ignore[arg-type]  # its value
        [given],
        (given, {"job": given}),
        Where("to", "$ne", SECRET),
        check_query({"to": SECRET}),
        Unshown(SECRET),
        InvalidInput("name", {"to": SECRET}, "must be a string"),
    ):
        assert SECRET not in f"{carrier!r}{carrier!s}" or isinstance(carrier, Unshown)
        assert SECRET not in repr(carrier)
    values: list[Any] = ["", [], {}, 0, True, "abc", b"ab", [1]]
    assert [outline(value) for value in values] == [
        *("''", "[]", "{}", "<int>", "<bool>", "<str of 3>", "<bytes of 2>", "<list of 1>")
    ]


def test_a_difference_is_still_seen_where_two_are_compared() -> None:
    given = Job(name="a", queue_name="q", id="1", data={"n": 1})
    assert given != dataclasses.replace(given, data={"n": 2})
    assert given == dataclasses.replace(given, data={"n": 1})


def test_only_fields_can_be_hidden() -> None:
    with pytest.raises(AttributeError, match="secret"):
        hiding("secret")(Where)


def chain(*errors: BaseException) -> BaseException:
    """Return the first error, caused by the next, and so on."""
    for outer, inner in itertools.pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


def test_an_unavailable_store_says_why() -> None:
    refused = OperationalError(
        "SELECT 1", {"data": SECRET}, OSError("connection refused\nand more")
    )
    error = chain(StoreUnavailable("connect", unknown=True), refused)
    told = "the database did not complete connect; the change may or may not have been made"
    assert str(error) == f"{told}: connection refused"
    assert str(StoreUnavailable("connect")) == "the database did not complete connect"


@pytest.mark.parametrize(
    ("causes", "said"),
    [
        ((), ""),
        ((OSError("out"), OSError("in")), "in"),
        ((TimeoutError("too long"), asyncio.CancelledError()), "too long"),
        ((TimeoutError(), asyncio.CancelledError()), "TimeoutError"),
        ((OSError(f"no row\nDETAIL: {SECRET}"),), "no row"),
        ((OSError(f"cannot reach x://me:{SECRET.split()[0]}@h/db"),), "cannot reach x://***@h/db"),
        ((OSError(f"x://h/db?password={SECRET.split()[0]}&a=b"),), "x://h/db?password=***&a=b"),
        (
            (OSError(f"unknown command 'X', with args beginning with: 'a' '{SECRET}'"),),
            "unknown command 'X'",
        ),
        ((OSError("x" * 999),), "x" * 297 + "..."),
    ],
)
def test_a_cause_is_quoted_without_secrets(causes: Sequence[BaseException], said: str) -> None:
    assert quote_cause(chain(RuntimeError("it failed"), *causes)) == said
