"""Applications that have an engine, a table and transactions of their own, on every backend."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from oqron_sql import AsyncSQLStore, Metrics, SQLStore
from oqron_sql.contract import EventType, StoreEvent
from oqron_sql.schema.tables import tables
from tests.backends import BACKENDS, BLOCKING_DRIVERS, Backend
from tests.hosts.methods import QUEUE

KINDS = ("connection", "session", "scoped")
HOSTS = (
    "sqlite",
    "aiosqlite",
    "pg-asyncpg",
    "pg-psycopg",
    "pg-psycopg-blocking",
    "maria-pymysql",
    "maria-asyncmy",
)
SERVED = tuple(name for name in HOSTS if BACKENDS[name].server)
FAMILIES = ("sqlite", "pg-psycopg-blocking", "maria-pymysql")

own = sa.MetaData()
NOTES = sa.Table("notes", own, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False))
TABLES = (*tables().metadata.sorted_tables, NOTES)
Dump = dict[str, list[tuple[Any, ...]]]


# The driver of SQLite begins no transaction for a savepoint; SQLAlchemy's advice to those who use
# them is to begin it themselves.
BEGINNING: dict[str, Any] = {"begin": "BEGIN", "connect_args": {"isolation_level": None}}


class Either:
    """Makes every method awaitable, whether it was or not."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.target, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await settled(method(*args, **kwargs))

        return call


async def settled(value: Any) -> Any:
    """Return what `value` is, or what it comes to."""
    return await value if inspect.isawaitable(value) else value


class Transaction:
    """A connection or session of the host, and the store bound to it."""

    def __init__(self, handle: Any, store: Any) -> None:
        self.handle = Either(handle)
        self.bare = store.using(handle)
        self.store = Either(self.bare)

    async def note(self, n: int) -> None:
        """Write a row of the host's own."""
        await self.handle.execute(NOTES.insert().values(id=n))

    async def emit(self, name: str) -> None:
        """Let the store tell an event, which has `name` for the id of its job."""
        event = StoreEvent(type=EventType.JOB_WAITING, queue_name=QUEUE, job_id=name)
        await self.store.run(lambda tx: tx.emit(event))

    async def connection(self) -> sa.Connection:
        """Return the connection beneath, as SQLAlchemy's core has it."""
        conn = self.handle.target
        if not hasattr(conn, "exec_driver_sql"):
            conn = await self.handle.connection()
        return conn if isinstance(conn, sa.Connection) else conn.sync_connection

    async def commit(self) -> None:
        await self.handle.commit()

    async def rollback(self) -> None:
        await self.handle.rollback()

    @contextlib.asynccontextmanager
    async def nested(self) -> AsyncIterator[Any]:
        """A savepoint, released in the end if it was not ended before."""
        savepoint = await self.handle.begin_nested()
        yield Either(savepoint)
        if savepoint.is_active:
            await settled(savepoint.commit())


class Host:
    """An application; `eyes` are somebody else who looks at the same database."""

    def __init__(
        self,
        backend: Backend,
        url: str | sa.URL,
        *,
        begin: str | None = None,
        connect: str | None = None,
        **options: Any,
    ) -> None:
        self.backend, self.url = backend, sa.make_url(url)
        self.engine: sa.Engine | AsyncEngine = self.create(**options)
        if begin is not None:
            sa.event.listen(self.sync_engine, "begin", lambda conn: conn.exec_driver_sql(begin))
        if connect is not None:
            sa.event.listen(self.sync_engine, "connect", lambda made, _: run(made, connect))
        self.eyes = sa.create_engine(self.blocking_url)
        with self.eyes.begin() as conn:
            own.create_all(conn)
            conn.execute(NOTES.delete())
        self.bare = self.store_on(self.engine, metrics=Metrics())
        self.store = Either(self.bare)

    @property
    def blocking_url(self) -> sa.URL:
        driver = BLOCKING_DRIVERS.get(self.backend.server or "", "pysqlite")
        dialect = {"psycopg": "postgresql", "pymysql": "mysql"}.get(driver, "sqlite")
        return self.url.set(drivername=f"{dialect}+{driver}")

    @property
    def sync_engine(self) -> sa.Engine:
        return self.engine.sync_engine if isinstance(self.engine, AsyncEngine) else self.engine

    def create(self, url: sa.URL | None = None, **options: Any) -> sa.Engine | AsyncEngine:
        """Create an engine as the host does."""
        if self.backend.blocking:
            return sa.create_engine(url or self.url, **options)
        return create_async_engine(url or self.url, **options)

    def store_on(self, bind: Any, **options: Any) -> Any:
        return (
            SQLStore(bind, **options) if self.backend.blocking else AsyncSQLStore(bind, **options)
        )

    @contextlib.asynccontextmanager
    async def begin(self, kind: str = "session", **options: Any) -> AsyncIterator[Transaction]:
        """Enter a transaction of the host, which is to end it; else it is rolled back."""
        engine: Any = self.engine
        if kind == "connection":
            conn = await settled(engine.connect())
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(Either(conn).close)
                yield Transaction(conn, self.bare)
            return
        made: Any
        if self.backend.blocking:
            factory = sessionmaker(engine, **options)
            made = scoped_session(factory) if kind == "scoped" else Session(engine, **options)
        else:
            maker = async_sessionmaker(engine, **options)
            made = (
                async_scoped_session(maker, scopefunc=lambda: None)
                if kind == "scoped"
                else AsyncSession(engine, **options)
            )
        try:
            yield Transaction(made, self.bare)
        finally:
            await settled(made.remove() if kind == "scoped" else made.close())

    def dump(self) -> Dump:
        """Return everything that is committed."""
        with self.eyes.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            return {
                table.name: [tuple(row) for row in conn.execute(in_order(table))]
                for table in TABLES
            }

    def restore(self, dump: Dump) -> None:
        """Make the database what it was."""
        with self.eyes.begin() as conn:
            for table in TABLES:
                conn.execute(table.delete())
                names = [column.name for column in table.columns]
                rows = [dict(zip(names, row, strict=True)) for row in dump.get(table.name, ())]
                if rows:
                    conn.execute(table.insert(), rows)

    def notes(self) -> list[int]:
        with self.eyes.connect() as conn:
            return list(conn.scalars(sa.select(NOTES.c.id).order_by(NOTES.c.id)))

    async def close(self) -> None:
        await self.store.disconnect()
        await settled(self.engine.dispose())
        self.eyes.dispose()


def in_order(table: sa.Table) -> sa.Select[Any]:
    return table.select().order_by(*table.primary_key)


def run(dbapi_connection: Any, statement: str) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute(statement)
    cursor.close()
    dbapi_connection.commit()
