"""What a body of SQL is given: an open connection and what goes with it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    TwoPhaseTransaction,
    bindparam,
    select,
    type_coerce,
)

from oqron_sql.contract.clock import Clock
from oqron_sql.contract.codec import MAX_BYTES
from oqron_sql.contract.events import StoreEvent
from oqron_sql.contract.model import Metrics
from oqron_sql.contract.topics import Asked, payload
from oqron_sql.dialects import Dialect
from oqron_sql.errors import InvalidInput
from oqron_sql.schema.tables import Tables
from oqron_sql.schema.types import Timestamp

INSTANT = Timestamp()
NOTHING: Mapping[str, Any] = {}
EVERYBODY = ""  # the mutex of all queues; the name of a queue is never empty


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is the same for every operation of one store."""

    tables: Tables
    clock: Clock
    metrics: Metrics | None = None
    max_payload: int = MAX_BYTES
    shard: int = 0
    channel: str | None = None  # where those in other processes listen
    asked: Callable[[], Asked] = Asked  # for hints at jobs; by default, nobody did


class Tx:
    """One operation on the database.

    It starts without a transaction: a body that is one statement commits with that statement, in
    one round trip. A body that needs more calls `begin` first. On a host's connection `begin` does
    nothing: the host's transaction is the transaction.
    """

    __slots__ = (
        *("_begun", "_turn", "conn", "dialect", "events", "joined", "settings", "tables"),
        *("declared", "told", "topics"),
    )

    def __init__(
        self, conn: Connection, dialect: Dialect, settings: Settings, *, joined: bool = False
    ) -> None:
        self.conn, self.dialect, self.settings = conn, dialect, settings
        self.tables = settings.tables
        self.joined = joined
        self.events: list[StoreEvent] = []
        self.topics: set[str] = set()
        self.told: set[str] = set()  # of the topics, to other processes
        self.declared: Mapping[str, Any] = {}  # fields that are indexed, by namespace
        self._begun = False
        self._turn = False

    def begin(self) -> None:
        """Make what follows one transaction; nothing if it already is."""
        if self.joined:
            self.dialect.enter(self.conn)
        elif not self._begun:
            self.dialect.begin(self.conn)
            self._begun = True
        if not (self.dialect.excluding or self._turn):
            self._turn = True
            self.dialect.serialize(self, self.tables.queues, EVERYBODY)

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Undo what is done inside if it fails, where a host may go on and commit the rest."""
        with self.conn.begin_nested() if self.joined else contextlib.nullcontext():
            yield

    def current(self, query: Select[Any]) -> Select[Any]:
        """Return `query` such that a decision may rest on it, whatever a host's snapshot says."""
        return self.dialect.read_current(query) if self.joined else query

    def restart(self) -> None:
        """Undo everything so far and begin again; only where the transaction is ours."""
        self.rollback()
        self.events.clear()
        self.topics.clear()
        self.told.clear()
        self.begin()

    def commit(self) -> None:
        """Commit what was begun here."""
        if self._begun:
            self.dialect.commit(self.conn)
            self._begun = self._turn = False

    def rollback(self) -> None:
        """Undo what was begun here."""
        if self._begun:
            self._begun = self._turn = False
            self.dialect.rollback(self.conn)

    @property
    def begun(self) -> bool:
        """Whether a transaction of ours is open."""
        return self._begun

    def now(self, offset: timedelta = timedelta(0)) -> ColumnElement[Any]:
        """Return the database's clock plus `offset`, for use in a statement."""
        return type_coerce(self.dialect.later(self._span(offset)), INSTANT)

    def written(self, offset: timedelta) -> ColumnElement[Any]:
        """Return what `now` does, as of when the row is written: a statement may wait for it."""
        return type_coerce(self.dialect.written(self._span(offset)), INSTANT)

    def _span(self, offset: timedelta) -> BindParameter[Any]:
        span = self.dialect.span("span")
        return bindparam(None, self.spans(span=offset)["span"], span.type, unique=True)

    def spans(self, **spans: timedelta) -> dict[str, Any]:
        """Return the parameters of a prepared statement that count from the database's clock."""
        moved = self.settings.clock.offset
        if moved:
            spans = {name: span + moved for name, span in spans.items()}
        return self.dialect.spans(self.conn, spans)

    def filled(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return `row` as parameters named "new_" and the column; timedeltas count from now."""
        params = {f"new_{name}": value for name, value in row.items()}
        timed = {name: value for name, value in params.items() if type(value) is timedelta}
        return {**params, **self.spans(**timed)} if timed else params

    def check_end(self, field: str, span: timedelta) -> timedelta:
        """Return `span` if the instant when it ends can be written down.

        Raises:
            InvalidInput: the calendar ends before.
        """
        try:
            _ = datetime.now(UTC) + self.settings.clock.offset + span
        except OverflowError:
            raise InvalidInput(field, span, "must end before the year 10000") from None
        return span

    def read_clock(self) -> datetime:
        """Return the database's clock as a value."""
        now: datetime = self.conn.execute(select(self.now().label("now"))).scalar_one()
        return now

    def emit(self, event: StoreEvent) -> None:
        """Tell `event` once the transaction is committed."""
        self.events.append(event)

    def tell(self, topic: str) -> None:
        """Wake whoever waits for `topic` once the transaction is committed; said beforehand."""
        self.topics.add(topic)

    def change(self, statement: Any, params: Mapping[str, Any] = NOTHING) -> int:
        """Execute a statement, and return how many rows it changed.

        If it changes any, it tells of the topics by itself where the database can do that.
        """
        telling, channel = None, self.settings.channel
        untold = self.untold
        if channel is not None and untold:
            telling = self.dialect.telling(statement)
        if telling is None:
            return self.conn.execute(statement, params).rowcount
        hint = {"hint_channel": channel, "hint_payload": payload(untold)}
        changed: int = self.conn.execute(telling, {**params, **hint}).scalar_one()
        if changed:
            self.told |= untold
        return changed

    @property
    def untold(self) -> set[str]:
        """The topics that other processes are still to be told of.

        None in a host's two-phase transaction: PostgreSQL prepares none that has notified.
        """
        if self.joined and isinstance(self.conn.get_transaction(), TwoPhaseTransaction):
            return set()
        return self.topics - self.told


class Contended(Exception):
    """Somebody else was faster, which only a database without row locks lets happen: again."""

    def __init__(self) -> None:
        super().__init__("others changed the same rows, time and again")
