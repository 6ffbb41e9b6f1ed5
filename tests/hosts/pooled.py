"""The kit behind a pooler: `pytest -p tests.hosts.pooled tests/contract`.

A plugin rather than a fixture, so that the kit is the very same one.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from oqron_sql import AsyncSQLStore, AsyncStore, Metrics, SQLStore
from oqron_sql.testing import StoreHarness, awaited
from tests import backends, servers
from tests.backends import BACKENDS, Backends, SQLHarness


class PooledHarness(SQLHarness):
    """Stores that were told one thing more: what there is in front of the database."""

    def make(self, metrics: Metrics | None) -> AsyncStore:
        options: dict[str, Any] = {"clock": self.clock, "metrics": metrics, "pooler": "transaction"}
        if self.backend.blocking:
            return awaited(SQLStore(self.url, **options))
        return AsyncSQLStore(self.url, **options)


class PooledBackends(Backends):
    """Databases that are reached through a pooler."""

    def harness(self, name: str) -> StoreHarness:
        backend = BACKENDS[name]
        url = sa.make_url(self.database(backend).url)
        if "pooler" not in self._servers:
            pooler = servers.pgbouncer(self.server("postgresql"), "transaction")
            self._servers["pooler"] = self._stack.enter_context(pooler)
        through = url.set(port=self._servers["pooler"].port)
        return PooledHarness(backend, through.render_as_string(hide_password=False))


for _name in [name for name, backend in BACKENDS.items() if backend.server != "postgresql"]:
    del BACKENDS[_name]
backends.Backends = PooledBackends  # type: ignore[misc]  # for the fixture that makes them
