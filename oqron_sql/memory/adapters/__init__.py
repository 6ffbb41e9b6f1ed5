"""The three adapters in memory: the reference that those on SQL and Redis are held against."""

from oqron_sql.memory.adapters.broker import AsyncMemoryBroker, MemoryBroker
from oqron_sql.memory.adapters.documents import MemoryDocuments
from oqron_sql.memory.adapters.lock import AsyncMemoryLock, MemoryLock, MemoryLocks
from oqron_sql.memory.adapters.queues import MemoryQueues
from oqron_sql.memory.adapters.storage import AsyncMemoryStorage, MemoryStorage

__all__ = [
    "AsyncMemoryBroker",
    "AsyncMemoryLock",
    "AsyncMemoryStorage",
    "MemoryBroker",
    "MemoryDocuments",
    "MemoryLock",
    "MemoryLocks",
    "MemoryQueues",
    "MemoryStorage",
]
