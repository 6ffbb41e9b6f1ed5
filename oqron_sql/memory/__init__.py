"""The store and the adapters in memory: the reference that the others are held against."""

from oqron_sql.memory.adapters import (
    AsyncMemoryBroker,
    AsyncMemoryLock,
    AsyncMemoryStorage,
    MemoryBroker,
    MemoryDocuments,
    MemoryLock,
    MemoryLocks,
    MemoryQueues,
    MemoryStorage,
)
from oqron_sql.memory.data import MemoryData
from oqron_sql.memory.store import AsyncMemoryStore, MemoryStore

__all__ = [
    "AsyncMemoryBroker",
    "AsyncMemoryLock",
    "AsyncMemoryStorage",
    "AsyncMemoryStore",
    "MemoryBroker",
    "MemoryData",
    "MemoryDocuments",
    "MemoryLock",
    "MemoryLocks",
    "MemoryQueues",
    "MemoryStorage",
    "MemoryStore",
]
