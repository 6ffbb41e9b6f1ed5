"""What is written as text: instants, and rows for a database that takes many as one document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String, TypeDecorator

from oqron_sql.hiding import Unshown


class IsoTimestamp(TypeDecorator[datetime]):
    """An instant as UTC text of fixed width: exact, sortable and comparable on any database."""

    impl = String(26)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        if value is None:
            return None
        return iso(value)

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


def json_rows(rows: Sequence[Sequence[Any]]) -> str:
    """Return `rows` as a JSON array of arrays; instants as UTC text."""
    return Unshown(json.dumps(rows, ensure_ascii=False, default=iso))


def iso(value: datetime) -> str:
    """Return an instant as UTC text that sorts as instants do."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
