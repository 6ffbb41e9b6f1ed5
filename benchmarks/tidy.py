"""Brings a database into the state of one at rest, before the clock starts."""

from __future__ import annotations

import sqlalchemy as sa

# Fresh statistics, as autovacuum would have made them: all jobs waiting, none active.
STATEMENTS = {"postgresql": ("ANALYZE", "CHECKPOINT"), "mysql": (), "sqlite": ()}
DRIVERS = {"postgresql": "postgresql+psycopg"}


def settle_database(url: str) -> None:
    """Let statistics and checkpoints that filling it has made due happen now."""
    made = sa.make_url(url)
    family = made.get_backend_name()
    if not STATEMENTS[family]:
        return
    engine = sa.create_engine(made.set(drivername=DRIVERS[family]), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in STATEMENTS[family]:
            connection.exec_driver_sql(statement)
    engine.dispose()
