"""How a PostgreSQL is: what it would lose in a crash, and what keeps vacuum from its work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy import Connection, Table, column, func, select, table, text

from oqron_sql.dialects.examining import Examination, Finding

SETTINGS = (
    "autovacuum",
    "fsync",
    "full_page_writes",
    "idle_in_transaction_session_timeout",
    "max_connections",
    "synchronous_commit",
)
OLD_SNAPSHOT = timedelta(minutes=10)
MANY_DEAD = 50_000
CROWDED = 0.9

_STATISTICS = table(
    "pg_stat_user_tables",
    column("schemaname"),
    column("relname"),
    column("n_dead_tup"),
    column("n_live_tup"),
)
# Vacuum keeps every row that one of these might still see; its own workers do not count.
_SNAPSHOT = text(
    "SELECT pid, application_name, state,"
    " CAST(extract(epoch FROM clock_timestamp() - xact_start) AS double precision)"
    " FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
    " AND coalesce(backend_xmin, backend_xid) IS NOT NULL AND backend_type <> 'autovacuum worker'"
    " ORDER BY xact_start LIMIT 1"
)
_PREPARED = text(
    "SELECT gid, CAST(extract(epoch FROM clock_timestamp() - prepared) AS double precision)"
    " FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 1"
)
_SESSIONS = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")


def examine(conn: Connection, tables: Sequence[Table]) -> Examination:
    """Ask the server."""
    asked = [func.current_setting(name) for name in ("server_version", *SETTINGS)]
    version, *values = conn.execute(select(*asked)).one()
    settings = dict(zip(SETTINGS, values, strict=True))
    snapshot = conn.execute(_SNAPSHOT).first()
    settings["oldest snapshot"] = f"{snapshot[3]:.0f} s" if snapshot else "none"
    statistics = _dead(conn, tables)
    settings["dead tuples"] = f"{sum(dead for _, dead, _ in statistics):,}"
    findings = [*_durability(settings), *_vacuum(settings, statistics), *_holders(conn, snapshot)]
    sessions = conn.scalar(_SESSIONS) or 0
    if sessions >= CROWDED * int(settings["max_connections"]):
        findings.append(
            Finding(
                "server",
                f"{sessions} of {settings['max_connections']} connections are in use",
                "Let fewer processes connect, put a pooler between, or raise max_connections.",
            )
        )
    return Examination(f"PostgreSQL {version}", settings, findings)


def _durability(settings: dict[str, str]) -> Iterator[Finding]:
    for name in ("fsync", "full_page_writes"):
        if settings[name] == "off":
            remedy = f"Set {name} to on, unless these are data that may be lost."
            yield Finding("server", f"{name} is off: a crash may destroy the database", remedy)
    if settings["synchronous_commit"] == "off":
        yield Finding(
            "server",
            "synchronous_commit is off: a crash loses the jobs of the last moment",
            "Set it to on for this database, unless that is meant.",
            serious=False,
        )


def _vacuum(
    settings: dict[str, str], statistics: Sequence[tuple[str, int, int]]
) -> Iterator[Finding]:
    if settings["autovacuum"] == "off":
        remedy = "Set autovacuum to on; jobs are updated and deleted all the time."
        yield Finding("server", "autovacuum is off: the tables only ever grow", remedy)
    for name, dead, live in statistics:
        if dead >= MANY_DEAD and dead >= live:
            yield Finding(
                name,
                f"has {dead:,} dead tuples to {live:,} live ones: vacuum does not keep up",
                f"End what holds an old snapshot, if there is one, then run VACUUM {name}.",
            )


def _holders(conn: Connection, snapshot: Sequence[object] | None) -> Iterator[Finding]:
    if snapshot is not None:
        pid, application, state, age = snapshot
        if timedelta(seconds=float(str(age))) >= OLD_SNAPSHOT:
            yield Finding(
                "server",
                f"session {pid} ({application or 'unnamed'}, {state}) has had its transaction open "
                f"for {float(str(age)):.0f} s, and vacuum removes nothing that died since",
                f"Let it commit, or end it with SELECT pg_terminate_backend({pid}); see whether "
                "idle_in_transaction_session_timeout should be set.",
            )
    prepared = conn.execute(_PREPARED).first()
    if prepared is not None and timedelta(seconds=prepared[1]) >= OLD_SNAPSHOT:
        yield Finding(
            "server",
            f"a transaction was prepared {prepared[1]:.0f} s ago and never ended",
            "See pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED it.",
        )


def _dead(conn: Connection, tables: Sequence[Table]) -> list[tuple[str, int, int]]:
    of = _STATISTICS.c
    schema = tables[0].schema if tables else None
    found = conn.execute(
        select(of.relname, of.n_dead_tup, of.n_live_tup)
        .where(of.relname.in_([each.name for each in tables]))
        .where(of.schemaname == (schema or func.current_schema()))
        .order_by(of.relname)
    )
    return [(name, dead, live) for name, dead, live in found]
