"""Loaded tables: in one database of each kind, under one prefix per history and statistics."""

from __future__ import annotations

import dataclasses
from typing import Literal

import sqlalchemy as sa

from oqron_sql import JobOptions, SQLStore, new_job
from oqron_sql.contract import Deduplication
from oqron_sql.schema.tables import tables
from tests.plans import adapter_load, load
from tests.plans.asking import MariaDBWatch, SQLiteWatch
from tests.plans.plan import Watch
from tests.plans.postgresql import PostgreSQLWatch

When = Literal["first", "before the backlog", "last", "never"]
SMALL = load.FINISHED // 10


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of database, and what loading it takes."""

    name: str
    watch: type[Watch]
    analyze: str
    analyzed: When  # as such a database is usually found
    settings: tuple[str, ...] = ()
    table_settings: tuple[str, ...] = ()  # which keep statistics as they were taken


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "postgresql",
            PostgreSQLWatch,
            analyze="VACUUM ANALYZE {}",
            analyzed="last",
            table_settings=("ALTER TABLE {} SET (autovacuum_enabled = false)",),
        ),
        Kind(
            "mariadb",
            MariaDBWatch,
            analyze="ANALYZE TABLE {}",
            analyzed="last",
            settings=(
                "SET SESSION max_recursive_iterations = 1000000",
                "SET SESSION sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')",
                # An empty table is then filled in the order of each index.
                "SET SESSION unique_checks = 0, foreign_key_checks = 0",
                "SET GLOBAL innodb_buffer_pool_size = 512 * 1024 * 1024",
            ),
            table_settings=("ALTER TABLE {} STATS_AUTO_RECALC = 0",),
        ),
        # Nobody asks SQLite to analyze.
        Kind("sqlite", SQLiteWatch, analyze="ANALYZE {}", analyzed="never"),
    )
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """How many jobs have finished, and when the tables were analyzed; None is as usual."""

    finished: int
    analyzed: When | None = None
    part: int = 0  # instead of jobs there are ids and documents, one in so many


STAGES = {
    "full": Stage(load.FINISHED),
    "small": Stage(SMALL),
    "empty": Stage(SMALL, "first"),
    "idle": Stage(SMALL, "before the backlog"),
    "known": Stage(SMALL, "last"),
    "adapters": Stage(0, part=1),
    "adapters_new": Stage(0, "first", part=5),
    "adapters_known": Stage(0, "last", part=5),
}
# What else the statistics may say where they decide.
UNKNOWING = {
    "postgresql": ("empty", "idle"),
    "mariadb": ("empty",),
    "sqlite": ("idle", "known"),
}


class Database:
    """A database and the stages that were asked for so far."""

    def __init__(self, kind: Kind, url: str) -> None:
        self.kind, self._url = kind, url
        self._stages: dict[str, Watch] = {}

    def stage(self, name: str) -> Watch:
        """Return a store on the tables of a stage, with what sees what it does."""
        if name not in self._stages:
            store = SQLStore(self._url, prefix=f"{name}_")
            store.connect()
            self._load(f"{name}_", STAGES[name])
            _warm_up(store)
            self._stages[name] = self.kind.watch(store, f"{name}_")
        return self._stages[name]

    def close(self) -> None:
        for watch in self._stages.values():
            watch.store.disconnect()

    def _load(self, prefix: str, stage: Stage) -> None:
        engine = sa.create_engine(self._url, isolation_level="AUTOCOMMIT")
        names = sorted(tables(prefix).metadata.tables)
        when = stage.analyzed or self.kind.analyzed
        with engine.connect() as conn:
            for setting in self.kind.settings:
                conn.exec_driver_sql(setting)
            for setting in self.kind.table_settings:
                _for_each(conn, names, setting)
            if when == "first":
                _for_each(conn, names, self.kind.analyze)
            if stage.part:
                adapter_load.add_adapters(conn, prefix, stage.part)
            else:
                load.add_history(conn, prefix, stage.finished)
                if when == "before the backlog":
                    load.complete(conn, prefix)
                    _for_each(conn, names, self.kind.analyze)
                load.add_backlog(conn, prefix)
                load.complete(conn, prefix)
            if when == "last":
                _for_each(conn, names, self.kind.analyze)
        engine.dispose()


def _warm_up(store: SQLStore) -> None:
    """Let the session read of the catalog what else the first call that is counted would read."""
    job = new_job("warm", "one", opts=JobOptions(deduplication=Deduplication(key="warm")))
    for _ in range(2):
        store.save_job(job.queue_name, job)
    store.remove_job(job.queue_name, job.id)


def _for_each(conn: sa.Connection, names: list[str], statement: str) -> None:
    for name in names:
        conn.exec_driver_sql(statement.format(name)).close()
