"""The conformance kit on every backend."""

from oqron_sql.testing.store import *  # noqa: F403  # the kit is collected by its names
