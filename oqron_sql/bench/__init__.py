"""Measuring databases, and other queues, at the same work: what `oqron-sql bench` does."""
