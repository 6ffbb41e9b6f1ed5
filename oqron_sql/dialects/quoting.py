"""Messages of a database that quote rows."""

from __future__ import annotations

import re
from collections.abc import Iterator


def cut(error: BaseException, quotation: re.Pattern[str]) -> None:
    """Take `quotation` out of the messages of an error, and of the driver's that caused it."""
    for one in _causes(error):
        one.args = tuple(
            quotation.sub("", arg) if isinstance(arg, str) else arg for arg in one.args
        )
        if isinstance(getattr(one, "detail", None), str):  # asyncpg adds it to the message
            one.detail = None  # type: ignore[attr-defined]  # as it says


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
