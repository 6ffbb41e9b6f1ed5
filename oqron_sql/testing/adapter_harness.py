"""What the adapters' kit asks of whoever runs it: how to open adapters, and what they cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.testing.harness import marker

ADAPTER_CAPABILITIES: Mapping[str, str] = {
    "storage": "there is a storage",
    "broker": "there is a broker",
    "lock": "there is a lock",
    "shared_data": "another instance can be opened on the same data",
    "movable_clock": "the harness can move the now of the adapters",
    "server_clock": "the adapters' now is not the client's clock",
    "claim_blocking": "the broker can wait for an id",
    "large_text": "a document of 1 MiB can be stored, and a message broadcast",
    "broadcast": "the broker can broadcast and subscribe",
    "visible_locks": "the harness can count the locks that are stored",
}

needs = marker(ADAPTER_CAPABILITIES)


class AdapterHarness:
    """Opens adapters for one test; `missing` says which capabilities they lack, and why.

    Each call opens an instance of its own, and all of them are on the same data, which are empty
    when the test begins. A port that is named in `missing` is never asked for.
    """

    missing: ClassVar[Mapping[str, str]] = {}

    async def storage(self) -> AsyncStorage:
        """Return a storage (`storage`; called again: `shared_data`)."""
        raise NotImplementedError

    async def broker(self) -> AsyncBroker:
        """Return a broker (`broker`; called again: `shared_data`)."""
        raise NotImplementedError

    async def lock(self) -> AsyncLock:
        """Return a lock (`lock`; called again: `shared_data`)."""
        raise NotImplementedError

    async def advance(self, span: timedelta) -> None:
        """Make all adapters of this harness believe that `span` has passed (`movable_clock`)."""
        raise NotImplementedError

    async def stored_locks(self) -> int:
        """Return how many locks are stored, those included that are over (`visible_locks`)."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close whatever was opened."""
