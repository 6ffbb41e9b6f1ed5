"""What a worker process says: one line for each thing that happens, on standard error."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum

from oqron_sql.cli.printing import iso, printable

_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Level(StrEnum):
    """How much is told; each tells what those after it tell, too."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Lines(logging.Formatter):
    """For people: instant in UTC, level, process, message; a traceback goes below."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(process)d  %(message)s", "%Y-%m-%d %H:%M:%S"
        )
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging calls it
        """Return the line, in which nothing controls the terminal."""
        record.message = printable(record.message)
        return super().formatMessage(record)


class Json(logging.Formatter):
    """For programs: one object in one line, with whatever facts the record has."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        told = {
            "time": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _KNOWN},
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


def begin(level: Level | None, *, as_json: bool) -> None:
    """Begin to log, unless the application has made its own arrangements; `level` holds anyway.

    Without a level it is "info".
    """
    if not logging.root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Json() if as_json else Lines())
        logging.root.addHandler(handler)
        logging.root.setLevel((level or Level.INFO).upper())
    elif level is not None:
        logging.getLogger("oqron_sql").setLevel(level.upper())


@contextlib.contextmanager
def sparing() -> Iterator[None]:
    """Tell no steps of Alembic meanwhile, unless everything is told or its level was set."""
    alembic = logging.getLogger("alembic")
    if alembic.level or alembic.isEnabledFor(logging.DEBUG):
        yield
        return
    alembic.setLevel(logging.WARNING)
    try:
        yield
    finally:
        alembic.setLevel(logging.NOTSET)
