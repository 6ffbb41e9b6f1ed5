"""The store in memory: the reference that the SQL is held against."""

from oqron_sql.memory.data import MemoryData
from oqron_sql.memory.store import AsyncMemoryStore, MemoryStore

__all__ = ["AsyncMemoryStore", "MemoryData", "MemoryStore"]
