"""What the adapters on SQL have in common, blocking and awaiting."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Self, TypedDict, TypeVar, Unpack

from oqron_sql import migrate
from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.binding import Body
from oqron_sql.contract.clock import Clock
from oqron_sql.engines import Pooler
from oqron_sql.errors import ConfigurationError
from oqron_sql.queries.fields import Declared
from oqron_sql.queries.tx import Tx
from oqron_sql.store import SQLStore

R = TypeVar("R")
S = TypeVar("S", SQLStore, AsyncSQLStore)
B = TypeVar("B")  # what such a store can be bound to

SWEEP_EVERY = 16


class Options(TypedDict, total=False):
    """What a store is made with, as far as it concerns adapters; see `SQLStore`."""

    prefix: str
    schema: str | None
    migrate: migrate.Mode
    pooler: Pooler | None
    clock: Clock | None
    max_payload: int
    push: bool


def indexed(body: Body[R], declared: Mapping[str, Declared]) -> Body[R]:
    """Return `body` such that it knows which fields are declared."""

    def run(tx: Tx) -> R:
        tx.declared = declared
        return body(tx)

    return run


class OnStore(Generic[S, B]):
    """Something on `bind`: whatever a store takes, or a store that is used together with others.

    A store that is made here, with `options`, is closed here too.

    Raises:
        ConfigurationError: `bind` is nothing such a store can use, or has its options already.
    """

    made: ClassVar[type[Any]]
    store: S

    def __init__(self, bind: B | S | None = None, **options: Unpack[Options]) -> None:
        self._owns = not isinstance(bind, self.made)
        if options and not self._owns:
            raise ConfigurationError(f"a store has its own {', '.join(options)}; leave them out")
        given: Any = bind
        self.store = self.made(given, **options) if self._owns else given
        self._written = itertools.count(1)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.store!r}>"

    def using(self, bind: B) -> Self:
        """Return the same, bound to the host's session or connection: it joins it."""
        given: Any = bind
        return self._on(self.store.using(given))

    def _on(self, store: Any) -> Self:
        """Return the same on another store."""
        twin = copy.copy(self)
        twin.store, twin._owns = store, False
        return twin

    def _is_time_to_sweep(self) -> bool:
        """Whether so much was written since the last time that something may be swept."""
        return not self.store.joined and next(self._written) % SWEEP_EVERY == 0

    def _check_free(self) -> None:
        """Refuse to wait inside a transaction, which others might have to wait for.

        Raises:
            ConfigurationError: this is bound to a transaction.
        """
        if self.store.joined:
            raise ConfigurationError(
                "a transaction cannot wait for what others commit; use the adapter it was made from"
            )
