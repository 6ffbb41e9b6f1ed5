"""What a database did for one call of the store, in words that are the same for all of them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy import Connection

from oqron_sql import SQLStore

PRIMARY, NO_INDEX = "primary key", "no index"
# The long tables.
LOADED = ("jobs", "history", "retention", "schedules", "messages", "documents", "fields")
R = TypeVar("R")
Ready = Callable[[], AbstractContextManager[Callable[[], object]]]


@dataclasses.dataclass(frozen=True)
class Access:
    """How a statement reaches the rows of a table: through an index, or from end to end."""

    table: str
    index: str  # without prefix and table
    whole: bool


@dataclasses.dataclass
class Plan:
    """How one statement was carried out."""

    statement: str
    told: str  # the database's own words, for whoever has to find out why
    accesses: list[Access] = dataclasses.field(default_factory=list)
    sorts: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Seen:
    """One call: its plans, and what it cost in the units that the database counts."""

    plans: list[Plan]
    costs: dict[str, int]

    def accesses(self) -> set[Access]:
        """Return how the long tables were reached."""
        return {a for plan in self.plans for a in plan.accesses if a.table in LOADED}

    def sorts(self) -> list[str]:
        """Return what was sorted."""
        return [sort for plan in self.plans for sort in plan.sorts]

    def __str__(self) -> str:
        return "\n\n".join(
            [f"costs: {self.costs}", *(f"{plan.statement}\n{plan.told}" for plan in self.plans)]
        )


class Watch(ABC):
    """Sees what the database of a store does."""

    def __init__(self, store: SQLStore, prefix: str) -> None:
        self.store, self.prefix = store, prefix

    @abstractmethod
    def observe(self, ready: Ready) -> Seen:
        """Make the call that `ready` prepares, as often as it takes to see all of it."""

    def ask(self, question: Callable[[Connection], R]) -> R:
        """Ask on the store's one connection."""
        return self.store.run(lambda tx: question(tx.conn))

    def access(self, table: str, index: str | None, *, whole: bool = False) -> Access:
        """Return an access to a table, by the names the database knows."""
        table = table.removeprefix(self.prefix)
        if index is None:
            return Access(table, NO_INDEX, whole=True)
        primary = index.endswith("_pkey") or index.startswith(("PRIMARY", "sqlite_autoindex"))
        name = PRIMARY if primary else index.removeprefix(f"{self.prefix}{table}_")
        return Access(table, name, whole)
