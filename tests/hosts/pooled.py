"""The kits behind a pooler: `nox -s pooler`.

A plugin rather than a fixture, so that the kit is the very same one.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, AsyncStore, Metrics, SQLStore
from oqron_sql.testing import StoreHarness, awaited
from tests import servers
from tests.adapter_backends import ADAPTER_BACKENDS
from tests.backends import BACKENDS, Backends, SQLHarness
from tests.sql_adapters import SQLAdapterHarness


class PooledHarness(SQLHarness):
    """Stores that were told one thing more: what there is in front of the database."""

    def make(self, metrics: Metrics | None) -> AsyncStore:
        options: dict[str, Any] = {"clock": self.clock, "metrics": metrics, "pooler": "transaction"}
        if self.backend.blocking:
            return awaited(SQLStore(self.url, **options))
        return AsyncSQLStore(self.url, **options)


class PooledAdapterHarness(SQLAdapterHarness):
    """Adapters that were told the same."""

    options: ClassVar[Any] = {"pooler": "transaction"}

    def __init__(self, backends: Backends, name: str) -> None:
        super().__init__(backends, name)
        self.url = through_a_pooler(backends, self.url)


def through_a_pooler(backends: Backends, url: str) -> str:
    """Return the URL of the same database behind the session's pooler."""
    if "pooler" not in backends._servers:
        pooler = servers.pgbouncer(backends.server("postgresql"), "transaction")
        backends._servers["pooler"] = backends._stack.enter_context(pooler)
    through = sa.make_url(url).set(port=backends._servers["pooler"].port)
    return through.render_as_string(hide_password=False)


def harness_of(backends: Backends, name: str) -> StoreHarness:
    """Return a harness of the backend with that name, through a pooler, for one test."""
    url = backends.database(BACKENDS[name]).url
    return PooledHarness(BACKENDS[name], through_a_pooler(backends, url))


def pytest_configure() -> None:
    """Run the kits on PostgreSQL alone, through a pooler."""
    for name in [name for name, backend in BACKENDS.items() if backend.server != "postgresql"]:
        del BACKENDS[name]
    ADAPTER_BACKENDS.clear()
    for name in BACKENDS:
        ADAPTER_BACKENDS[name] = functools.partial(PooledAdapterHarness, name=name)
    Backends.harness = harness_of  # type: ignore[method-assign,assignment]  # for whoever runs it
