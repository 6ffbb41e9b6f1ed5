"""The adapters: storage, broker and lock, in memory, on SQL, on Redis, or of one's own.

    async with create_adapters("db", db="postgresql+asyncpg://…", project="shop") as adapters:
        await adapters.storage.save("orders", "7", {"total": 12})
        await adapters.broker.publish("emails", "7")

What is not used is not imported: neither SQLAlchemy nor redis-py.
"""

from oqron_sql.adapters.checking import CAPABILITIES, capabilities
from oqron_sql.adapters.custom import create_broker, create_lock, create_storage
from oqron_sql.adapters.factories import (
    create_adapters,
    create_broker_adapter,
    create_lock_adapter,
    create_storage_adapter,
)
from oqron_sql.adapters.isolation import (
    IsolatedBroker,
    IsolatedLock,
    IsolatedStorage,
    Scope,
)
from oqron_sql.adapters.opening import Adapters, Opening, isolate

__all__ = [
    "CAPABILITIES",
    "Adapters",
    "IsolatedBroker",
    "IsolatedLock",
    "IsolatedStorage",
    "Opening",
    "Scope",
    "capabilities",
    "create_adapters",
    "create_broker",
    "create_broker_adapter",
    "create_lock",
    "create_lock_adapter",
    "create_storage",
    "create_storage_adapter",
    "isolate",
]
