"""Every operation of the adapters that has to stay quick, as in `operations.py`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from oqron_sql import SQLStore
from oqron_sql.adapters.sql import SQLAdapters
from oqron_sql.contract.adapters import Claim, Message, OrderBy, Where
from oqron_sql.contract.ids import new_id
from oqron_sql.queries import claiming, pruning
from oqron_sql.queries.tx import Tx
from oqron_sql.schema.tables import tables
from tests.plans.adapter_load import ALIKE, BROKER, INDEXES, SPACE

HOUR, ME = timedelta(hours=1), "me"
Call = Callable[[SQLAdapters, list[Claim]], Any]


@dataclasses.dataclass(frozen=True)
class Operation:
    """A call of an adapter, and what it may cost; see `operations.Operation`."""

    name: str
    call: Call
    changes: int = 0
    reads: int = 0
    by: tuple[str, ...] = ()
    claimed: int = 0  # ids that are claimed before, and given to the call
    due: int = 0  # of those, how many are past their deadline then
    sorts: bool = False
    unknowing: int | None = 0
    whole_on: tuple[str, ...] = ()

    @contextlib.contextmanager
    def ready(self, store: SQLStore) -> Iterator[Callable[[], object]]:
        """Prepare the call."""
        adapters = SQLAdapters(store, indexes=INDEXES)
        claims = adapters.broker.claim(BROKER, ME, self.claimed, HOUR) if self.claimed else []
        assert len(claims) == self.claimed
        if self.due:
            store.run(lambda tx: let_pass(tx, claims[: self.due]))
        yield lambda: self.call(adapters, claims)


def let_pass(tx: Tx, claims: list[Claim]) -> None:
    messages = tx.tables.messages
    late = messages.update().where(messages.c.id.in_([*map(str, claims)]))
    tx.conn.execute(late.values(due=datetime.now(UTC) - HOUR))


def claim(n: int, strategy: str) -> Call:
    def call(adapters: SQLAdapters, _: list[Claim]) -> None:
        assert len(adapters.broker.claim(BROKER, ME, n, HOUR, strategy)) == n

    return call


def found(n: int, *args: Any, **options: Any) -> Call:
    """Return the call of `list`, which must find `n`."""

    def call(adapters: SQLAdapters, _: list[Claim]) -> None:
        assert len(adapters.storage.list(SPACE, *args, **options)) == n

    return call


def publish_many(adapters: SQLAdapters, _: list[Claim]) -> None:
    adapters.broker.publish_batch(BROKER, [Message(new_id(), i % 2 * HOUR) for i in range(100)])


def save_many(adapters: SQLAdapters, _: list[Claim]) -> None:
    adapters.storage.bulk_save(SPACE, [(new_id(), {"status": "new", "rank": i}) for i in range(50)])


def prune(n: int, space: str) -> Call:
    """Return the call that prunes one bounded step of a namespace that is all old."""

    def call(adapters: SQLAdapters, _: list[Claim]) -> None:
        step = partial(pruning.prune_step, limit=n, namespace=space, before=datetime.now(UTC))
        assert adapters.storage.run(step) == n

    return call


O = Operation  # noqa: E741 - the table below is read in columns
# Where unknowing is None, PostgreSQL reads a table that it takes for small instead of its index.
DUE: dict[str, Any] = {"claimed": 50, "due": 50}

OPERATIONS = (
    O("claim 10, oldest", claim(10, "fifo"), 10, 0, ("place", "due")),
    O("claim 10, newest", claim(10, "lifo"), 10, 1, ("place", "due")),
    O("claim 10, lowest", claim(10, "priority"), 10, 0, ("priority", "due")),
    O("claim 10, 50 are due", claim(10, "fifo"), 120, 60, ("place", "due"), **DUE),
    O("claim 10 of the newest, 50 are due", claim(10, "lifo"), 120, 60, ("place", "due"), **DUE),
    O("look", lambda a, _: a.store.run(lambda tx: claiming.look(tx, BROKER)), 0, 5,
      ("place", "priority", "due")),
    O("ack", lambda a, c: a.broker.ack(BROKER, c[0]), 1, 0, ("id",), 1),
    O("ack of a text", lambda a, c: a.broker.ack(BROKER, str(c[0])), 1, 0, ("id",), 1),
    O("nack", lambda a, c: a.broker.nack(BROKER, c[0]), 1, 0, ("id",), 1),
    O("nack with a delay", lambda a, c: a.broker.nack(BROKER, c[0], HOUR), 1, 0, ("id",), 1),
    O("extend_lock", lambda a, c: a.broker.extend_lock(c[0], ME, HOUR, BROKER), 1, 0, ("id",), 1),
    O("extend_lock anywhere", lambda a, c: a.broker.extend_lock(c[0], ME, HOUR), 1, 1, ("id",), 1),
    O("publish", lambda a, _: a.broker.publish(BROKER, new_id()), 1, 0),
    O("publish what waits", lambda a, _: a.broker.publish(BROKER, "waiting-9000"), 2, 1, ("id",)),
    O("publish what is claimed", lambda a, c: a.broker.publish(BROKER, c[0]), 1, 1, ("id",), 1),
    O("publish 100", publish_many, 100, 100, ("id",)),
    O("remove", lambda a, c: a.broker.remove(BROKER, c[0]), 1, 0, ("id",), 1),
    O("get", lambda a, _: a.storage.get(SPACE, "id-999"), 0, 1, ("id",)),
    O("save", lambda a, _: a.storage.save(SPACE, "id-999", {"status": "s9", "rank": 6993}), 8, 5,
      ("id",)),
    O("save 50", save_many, 150, 100, ("id",), sorts=True, unknowing=None),
    O("delete", lambda a, _: a.storage.delete(SPACE, "id-998"), 3, 2, ("id",), unknowing=5),
    O("prune 50", prune(50, SPACE), 150, 100, ("age",), unknowing=None),
    O("prune 500 of one instant", prune(500, ALIKE), 500, 500, ("age",), unknowing=None),
    O("list 50", found(50, limit=50), 0, 50, ("age",), unknowing=None),
    O("list 50 of a status", found(50, {"status": "s3"}, limit=50), 0, 1200, ("text", "indexed")),
    O("list all of a rare status", found(2, {"status": "rare"}, limit=2), 0, 50,
      ("text", "indexed")),
    O("list 50 by rank", found(50, order_by=OrderBy("rank"), limit=50), 0, 1200,
      ("number", "indexed")),
    O("list 50 of a status by rank", found(50, {"status": "s3"}, order_by=OrderBy("rank", "desc"),
      limit=50), 0, 15_000, ("number", "text", "indexed")),
    O("list 100 ranks", found(100, where=[Where("rank", "$gt", 3500), Where("rank", "$lt", 4207)]),
      0, 250, ("number", "indexed"), unknowing=200),
)  # fmt: skip


def without(name: str, table: str, prefix: str) -> Any:
    """Return an index of a table."""
    held = getattr(tables(prefix), table)
    (index,) = (each for each in held.indexes if each.name == f"{held.name}_{name}")
    return index
