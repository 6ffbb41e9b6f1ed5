"""Every step that a storage can be asked for."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from oqron_sql.contract.adapters import OrderBy, Where
from tests.model.choosing import Choices
from tests.model.twins import HALF, START, TICK, Raised, Steps, normal, often, rarely, step

NAMESPACES = ("n", "n", "N")
INDEXES = {"n": ["a", "createdAt"]}  # where the backend has any
IDS = ("d0", "d1", "d2", "d3", "d4", "d5", "D0", "d0 ")
FIELDS = ("a", "a", "b", "A", "createdAt", "expiresAt", 'q"."k', "$x", "")
LATER = START + 21 * HALF
VALUES: tuple[Any, ...] = (
    *(0, 1, 2, 10, 9, -1, 1.0, 0.5, -2.5, 2**53 + 1, 2**63, 10**15, 1e300, -0.0),
    *("", "1", "9", "10", "a", "A", "ä", "a ", "nul\x00", "\U0001f600", "\uffff", "x" * 300),
    *(None, True, False, [], [1, "a"], [1.0, "a"], {}, {"k": 1}, {"k": None}, {"$x": 1}),
    *(START, LATER, LATER + timedelta(microseconds=1), LATER.isoformat(), "2032-02-29T00:00:00Z"),
    *(LATER.timestamp() * 1000, 10**18, "2032-02-30T00:00:00Z", "2032-02-29T00:00:00"),
)
WRONG: tuple[Any, ...] = (math.nan, {1: 2}, "\ud800", datetime(2030, 1, 1), {"k": object()})
SUMMANDS: tuple[Any, ...] = (1, 1, -1, 0.5, 0.1, 2.0, 10**15, 2**62, 1e308)
WRONG_SUMMANDS = (True, "1", math.inf)
WRONG_NAMES = ("", "nul\x00", "x" * 999)


class Given(Choices):
    """Gives each step what it is called with; seldom what is refused."""

    def namespace(self) -> str:
        return self.seldom(self.one(NAMESPACES), WRONG_NAMES)

    def id(self) -> str:
        return self.seldom(self.one(IDS), WRONG_NAMES)

    def ids(self) -> list[str]:
        return self.several(self.id, 4)

    def field(self) -> str:
        return self.one(FIELDS)

    def value(self) -> Any:
        return self.seldom(self.one(VALUES), WRONG, 60)

    def instant(self) -> datetime:
        return START + (self.below(131) - 10) * HALF

    def fields(self, most: int = 2) -> dict[str, Any]:
        return {self.field(): self.value() for _ in range(self.below(most + 1))}

    def filter(self) -> dict[str, Any]:
        return self.fields() if self.below(3) == 2 else {}

    def document(self) -> Any:
        made = self.fields(4)
        for field in ("createdAt", "expiresAt"):
            if self.below(5) == 4:
                made[field] = self.instant()
        return self.usually(made, self.value, 10)

    def record(self) -> tuple[str, Any]:
        return self.id(), self.document()

    def where(self) -> Where:
        op: Any = self.seldom(self.one(("$lt", "$lte", "$gt", "$gte", "$ne")), ["$in"])
        return Where(self.field(), op, self.value())

    def order(self) -> OrderBy:
        kind: Any = self.one((None, "number", "date", "string"))
        return OrderBy(self.field(), self.one(("asc", "desc")), kind)


class StorageSteps(Steps[Given]):
    """Drives two storages; what they return is compared to the bit, with its types."""

    given = Given

    def ask(self, method: str, /, *args: Any, **kwargs: Any) -> None:
        self.call(method, *args, by=exact, **kwargs)

    @often
    def save(self, some: Given) -> None:
        self.ask("save", some.namespace(), some.id(), some.document())

    @step
    def save_if_absent(self, some: Given) -> None:
        self.ask("save_if_absent", some.namespace(), some.id(), some.document())

    @often
    def bulk_save(self, some: Given) -> None:
        self.ask("bulk_save", some.namespace(), some.several(some.record, 5))

    @step
    def get(self, some: Given) -> None:
        self.ask("get", some.namespace(), some.id())

    @step
    def get_many(self, some: Given) -> None:
        self.ask("get_many", some.namespace(), some.ids())

    @step
    def delete(self, some: Given) -> None:
        self.ask("delete", some.namespace(), some.id())

    @step
    def bulk_delete(self, some: Given) -> None:
        self.ask("bulk_delete", some.namespace(), some.ids())

    @step
    def prune(self, some: Given) -> None:
        self.ask("prune", some.namespace(), some.instant())

    @step
    def list(self, some: Given) -> None:
        self.ask(
            "list",
            some.namespace(),
            some.filter(),
            where=some.several(some.where, 2),
            order_by=some.maybe(some.order),
            limit=some.seldom(some.one((None, None, 0, 1, 3)), [-1]),
            offset=some.seldom(some.one((0, 0, 0, 1, 2)), [-1]),
        )

    @step
    def list_in_order(self, some: Given) -> None:
        limit, offset = some.one((None, 1, 3)), some.below(3)
        ordered = some.order()
        self.ask("list", some.namespace(), order_by=ordered, limit=limit, offset=offset)

    @step
    def list_where(self, some: Given) -> None:
        self.ask("list", some.namespace(), where=[some.where()])

    @step
    def count_documents(self, some: Given) -> None:
        wanted = some.filter()
        self.ask("count", some.namespace(), wanted, where=some.several(some.where, 2))

    @step
    def increment(self, some: Given) -> None:
        by = some.seldom(some.one(SUMMANDS), WRONG_SUMMANDS)
        self.ask("increment", some.namespace(), some.id(), some.field(), by)

    @step
    def compare_and_set(self, some: Given) -> None:
        expected, patch = some.fields(1), some.fields()
        self.ask("compare_and_set", some.namespace(), some.id(), expected, patch)

    @rarely
    def drop_connection(self, some: Given) -> None:
        """Go on as if nothing had been, when the connection in the pool is gone."""
        self.twins.drop()
        getattr(self, some.one(("save", "bulk_save", "delete", "list", "prune")))(some)
        self.ask("count", "n")

    @step
    def pass_time(self, some: Given) -> None:
        self.twins.clock.advance(some.one((1, 7, 40)) * TICK)

    def look(self) -> None:
        """All documents, in every order."""
        for namespace in ("n", "N"):
            self.ask("list", namespace)
            for field in ("a", "createdAt"):
                self.ask("list", namespace, order_by=OrderBy(field))


def exact(value: Any) -> Any:
    """Return a document as it is compared: 1, 1.0 and True are not the same, nor are lists."""
    if isinstance(value, Raised):
        return normal(value)
    if isinstance(value, dict):
        return {key: exact(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    return (type(value).__name__, repr(value))
