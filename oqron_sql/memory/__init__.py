"""The store in memory: the reference that the SQL is held against."""
