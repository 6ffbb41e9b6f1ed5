"""Which database a command is about, and how it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import difflib
import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, TypeVar

import typer
from sqlalchemy import URL

from oqron_sql import dialects
from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli.messages import refuse_private_memory
from oqron_sql.cli.printing import printable
from oqron_sql.contract import AsyncStore
from oqron_sql.contract.checks import check_duration
from oqron_sql.contract.durations import parse_duration
from oqron_sql.engines import DEFAULT_URL, read_url
from oqron_sql.errors import ConfigurationError, InvalidInput, OqronError, SchemaOutOfDate
from oqron_sql.migrate import Mode, naming
from oqron_sql.schema.revisions import REVISIONS
from oqron_sql.schema.tables import DEFAULT_PREFIX

R = TypeVar("R")
LONGEST = timedelta(days=36_525)

Url = Annotated[
    str | None,
    typer.Option(
        envvar="OQRON_URL",
        help=f"The database, e.g. postgresql+asyncpg://user@host/db. Default: {DEFAULT_URL}.",
    ),
]
Prefix = Annotated[str, typer.Option(help="What the names of its tables begin with.")]
Schema = Annotated[str | None, typer.Option(help="The schema that its tables are in.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")]
QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="The name of the queue.")]

__all__ = ["DEFAULT_PREFIX", "AsJson", "Database", "Prefix", "QueueName", "Schema", "Url", "Yes"]


class NoSuchQueue(OqronError):
    """A queue that has no jobs, most likely because it is called otherwise."""


@dataclasses.dataclass(frozen=True)
class Database:
    """A database as named by the options of a command."""

    url: str | None = dataclasses.field(repr=False)  # for it may hold a password
    prefix: str = DEFAULT_PREFIX
    schema: str | None = None

    @property
    def address(self) -> URL:
        """The URL in its parts."""
        return read_url(self.url)

    def ask(
        self,
        work: Callable[[AsyncSQLStore], Awaitable[R]],
        *,
        migrate: Mode = "check",
        may_be_new: bool = False,
    ) -> R:
        """Run `work` on the store, connected; its tables are never changed by connecting.

        Raises:
            ConfigurationError: there is no such database, or its tables are of another version.
            StoreUnavailable: it cannot be reached.
        """
        with self.advising():
            return asyncio.run(_ask(self.store(migrate=migrate, may_be_new=may_be_new), work))

    def store(self, *, migrate: Mode = "check", may_be_new: bool = False) -> AsyncSQLStore:
        """Return the store, which is not connected yet.

        Raises:
            ConfigurationError: there is no such database.
        """
        store = AsyncSQLStore(self.address, prefix=self.prefix, schema=self.schema, migrate=migrate)
        refuse_private_memory(self.address)
        if not may_be_new:
            self._refuse_missing()
        return store

    def advise(self, command: str, *options: str, queue: str | None = None) -> str:
        """Return a command to be pasted, which is about this database."""
        names = [] if queue is None else [queue]
        last = ["--", *names] if queue is not None and queue.startswith("-") else []
        words = [*command.split(), *([] if last else names), *options, *self._naming(), *last]
        return f"`oqron-sql {shlex.join(words)}`"

    @contextlib.contextmanager
    def advising(self) -> Iterator[None]:
        """Let errors about the tables advise a command."""
        try:
            yield
        except SchemaOutOfDate as error:
            raise self.advised(error) from None

    def advised(self, error: SchemaOutOfDate) -> SchemaOutOfDate:
        """Return the error with a command for its remedy, if one mends it."""
        if error.current is not None and error.current not in REVISIONS:
            return error  # the tables are newer than this version
        remedy = f"Upgrade the tables with {self.advise('migrate upgrade')}."
        return SchemaOutOfDate(error.current, error.expected, remedy, error.prefixes)

    def _naming(self) -> list[str]:
        if self.url is None or self.url == os.environ.get("OQRON_URL"):
            return naming(self.prefix, self.schema)
        bare = self.address.password is None and not self.address.query
        return ["--url", self.url if bare else "URL", *naming(self.prefix, self.schema)]

    def _refuse_missing(self) -> None:
        """Refuse a file that is not there, which a driver would make just because it was asked."""
        url = self.address
        file, *_ = dialects.get(url.get_backend_name()).files(url) or (None,)
        if file is not None and not os.path.exists(file):
            raise ConfigurationError(
                f"there is no file {file}; name the database with --url or OQRON_URL, "
                f"or make it with {self.advise('migrate upgrade')}"
            )


async def _ask(store: AsyncSQLStore, work: Callable[[AsyncSQLStore], Awaitable[R]]) -> R:
    try:
        await store.connect()
        return await work(store)
    finally:
        await store.disconnect()


async def refuse_unknown(store: AsyncStore, queue: str, database: Database) -> None:
    """Refuse a queue without any job.

    Raises:
        NoSuchQueue: it has none.
    """
    names = [info.name for info in await store.list_queues()]
    if queue not in names:
        listed = f"{database.advise('queues')} lists those that do"
        raise NoSuchQueue(f"queue {queue!r} has no jobs; {did_you_mean(queue, names) or listed}")


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Ask whether one of the `names` was meant that is nearly `name`; "" if none is."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def read_span(option: str, text: str, *, positive: bool = False) -> timedelta:
    """Return the span of time that was given to an option.

    Raises:
        InvalidInput: it is none, or longer than a century, or zero where it has to be `positive`.
    """
    span = parse_duration(text, option)
    if span > LONGEST:
        raise InvalidInput(option, text, "must not be longer than a century")
    return check_duration(option, span, positive=positive)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person whether it is meant; leave with status 1 if not. A script is not asked."""
    if not yes and sys.stdin.isatty():
        typer.confirm(printable(question), abort=True, err=True)
