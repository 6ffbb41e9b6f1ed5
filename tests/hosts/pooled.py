"""The kit behind a pooler: `pytest -p tests.hosts.pooled tests/contract`.

A plugin rather than a fixture, so that the kit is the very same one.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, AsyncStore, Metrics, SQLStore
from oqron_sql.testing import StoreHarness, awaited
from tests import servers
from tests.backends import BACKENDS, Backends, SQLHarness


class PooledHarness(SQLHarness):
    """Stores that were told one thing more: what there is in front of the database."""

    def make(self, metrics: Metrics | None) -> AsyncStore:
        options: dict[str, Any] = {"clock": self.clock, "metrics": metrics, "pooler": "transaction"}
        if self.backend.blocking:
            return awaited(SQLStore(self.url, **options))
        return AsyncSQLStore(self.url, **options)


def harness_of(backends: Backends, name: str) -> StoreHarness:
    """Return a harness of the backend with that name, through a pooler, for one test."""
    url = sa.make_url(backends.database(BACKENDS[name]).url)
    if "pooler" not in backends._servers:
        pooler = servers.pgbouncer(backends.server("postgresql"), "transaction")
        backends._servers["pooler"] = backends._stack.enter_context(pooler)
    through = url.set(port=backends._servers["pooler"].port)
    return PooledHarness(BACKENDS[name], through.render_as_string(hide_password=False))


def pytest_configure() -> None:
    """Run the kit on PostgreSQL alone, through a pooler."""
    for name in [name for name, backend in BACKENDS.items() if backend.server != "postgresql"]:
        del BACKENDS[name]
    Backends.harness = harness_of  # type: ignore[method-assign,assignment]  # for whoever runs it
