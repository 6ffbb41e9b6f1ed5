"""What a store may be bound to, and what that means: whose engine, whose transaction, which hop."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Callable
from typing import Any, Literal, get_args

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, UnboundExecutionError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from oqron_sql import dialects
from oqron_sql.dialects import Dialect
from oqron_sql.errors import ConfigurationError

DEFAULT_URL = "sqlite:///oqron.db"
_FILE = re.compile(r"(?:[A-Za-z]:)?[\w./\\ -]+\.(db|sqlite3?)")
"""What is a file rather than a URL, and has no password."""

Hop = Literal["none", "greenlet", "thread"]
Pooler = Literal["transaction", "session"]
BlockingJoin = Connection | Session | scoped_session[Any]
AwaitingJoin = BlockingJoin | AsyncConnection | AsyncSession | async_scoped_session[Any]
BlockingBind = str | URL | Engine | sessionmaker[Any] | BlockingJoin
AwaitingBind = BlockingBind | AsyncEngine | async_sessionmaker[Any] | AwaitingJoin
_JOINED_AWAITED = (AsyncConnection, AsyncSession, async_scoped_session)
_JOINED = (Connection, Session, scoped_session, *_JOINED_AWAITED)
_AWAITED = (AsyncEngine, async_sessionmaker, *_JOINED_AWAITED)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where connections come from.

    With an `engine` every operation is a transaction of its own; else `join` returns the connection
    of the host's transaction. `hop` is how an event loop is kept free meanwhile. When one
    connection is `shared` by all, operations take turns. Behind a `pooler` of transactions a
    connection keeps nothing in between: no lock, and no LISTEN.
    """

    dialect: Dialect
    hop: Hop
    engine: Engine | None = None
    join: Callable[[], Connection] | None = None
    owned: AsyncEngine | Engine | None = None
    shared: bool = False
    pooler: Pooler | None = None


def check_joined(bind: object) -> None:
    """Refuse what has no transaction that could be joined.

    Raises:
        ConfigurationError: it is none of the host's sessions and connections.
    """
    if not isinstance(bind, _JOINED):
        given = "no session was given" if bind is None else f"cannot join {_kind(bind)}"
        raise ConfigurationError(
            f"{given}; a Session or Connection of SQLAlchemy is wanted, or its async twin"
        )


def blocking_source(bind: BlockingBind | None, pooler: Pooler | None = None) -> Source:
    """Return the source that `bind` is for a blocking store.

    Raises:
        ConfigurationError: it is nothing a blocking store can use.
    """
    if isinstance(bind, _AWAITED):
        raise ConfigurationError(f"a blocking store cannot use {_kind(bind)}; use AsyncSQLStore")
    if bind is None or isinstance(bind, str | URL):
        url = read_url(bind)
        if _awaited(url, asked=False):
            backend = url.get_backend_name()
            other = f"{backend}+{dialects.get(backend).blocking_driver}://"
            raise ConfigurationError(
                f"the driver of {_shown(url)} can only be awaited; use AsyncSQLStore, or {other}"
            )
        return _own(url, "none", pooler)
    return _behind(_hosts(bind, "none"), pooler)


def awaiting_source(bind: AwaitingBind | None, pooler: Pooler | None = None) -> Source:
    """Return the source that `bind` is for an awaiting store.

    Raises:
        ConfigurationError: it is nothing an awaiting store can use.
    """
    if bind is None or isinstance(bind, str | URL):
        url = read_url(bind)
        return _own(url, "greenlet" if _awaited(url, asked=True) else "thread", pooler)
    return _behind(_awaited_hosts(bind), pooler)


def _awaited_hosts(bind: Any) -> Source:
    if isinstance(bind, AsyncEngine):
        return _hosts(bind.sync_engine, "greenlet")
    if isinstance(bind, AsyncConnection):
        if bind.sync_connection is None:
            raise ConfigurationError("this AsyncConnection is not started; await it first")
        return _hosts(bind.sync_connection, "greenlet")
    if isinstance(bind, AsyncSession):
        return _hosts(bind.sync_session, "greenlet")
    if isinstance(bind, async_scoped_session):
        return _joining(bind, lambda: bind().sync_session.connection(), "greenlet")
    if isinstance(bind, async_sessionmaker):
        return _hosts(_engine(bind()), "greenlet")
    return _hosts(bind, "thread" if isinstance(bind, Engine | sessionmaker) else "none")


def twin_source(source: Source) -> Source | None:
    """Return `source` for another event loop, or None where there is none to be had."""
    if source.engine is None or (source.shared and source.hop == "greenlet"):
        return None
    if source.hop != "greenlet":  # threads may share an engine
        return dataclasses.replace(source, owned=None)
    if source.owned is not None:
        return _own(source.engine.url, source.hop, source.pooler)
    # The host's engine may have been made by other means than a URL; its pool knows how.
    host = source.engine
    made = Engine(
        host.pool.recreate(), host.dialect, host.url, hide_parameters=host.hide_parameters
    )
    engine = dialects.adopt(made)
    return dataclasses.replace(source, engine=engine, owned=AsyncEngine(made))


def _behind(source: Source, pooler: Pooler | None) -> Source:
    if pooler not in (None, *get_args(Pooler)):
        raise ConfigurationError(f'pooler={pooler!r} must be "transaction", "session" or left out')
    return dataclasses.replace(source, pooler=pooler)


def _own(url: URL, hop: Hop, pooler: Pooler | None) -> Source:
    """Create an engine; it is the store's to close."""
    dialect = dialects.get(url.get_backend_name())
    # Statements in error messages are fine, the values in them are not.
    options = {"hide_parameters": True, **dialect.engine_options(url)}
    if pooler == "transaction":
        given = options.get("connect_args", {})
        options["connect_args"] = {**given, **dialect.pooled_options(url)}
    try:
        made: AsyncEngine | Engine = (
            create_async_engine(url, **options)
            if hop == "greenlet"
            else create_engine(url, **options)
        )
    except ModuleNotFoundError as error:
        remedy = "install it"
        if dialect.blocking_driver:
            remedy = (
                f"`pip install 'oqron-sql[{dialect.extra}]'` brings drivers for this database, and "
                f"a URL names one, e.g. {url.get_backend_name()}+{dialect.blocking_driver}://"
            )
        raise ConfigurationError(
            f"{_shown(url)} needs the driver {error.name!r}; {remedy}"
        ) from None
    engine = made.sync_engine if isinstance(made, AsyncEngine) else made
    dialect.prepare(engine)
    source = Source(dialect, hop, engine=engine, owned=made, shared=_is_shared(engine))
    return _behind(source, pooler)


def _hosts(bind: Any, hop: Hop) -> Source:
    if isinstance(bind, sessionmaker):
        bind = _engine(bind())
    if isinstance(bind, Engine):
        dialect, engine = dialects.get(bind.dialect.name), dialects.adopt(bind)
        shared = _is_shared(engine) or dialect.in_memory(engine.url)
        return Source(dialect, hop, engine=engine, shared=shared)
    if isinstance(bind, Connection):
        return Source(dialects.get(bind.dialect.name), hop, join=lambda: bind)
    if isinstance(bind, Session | scoped_session):
        return _joining(bind, bind.connection, hop)
    raise ConfigurationError(
        f"cannot use {_kind(bind)}; pass a URL, an engine, a connection or a session"
    )


def _is_shared(engine: Engine) -> bool:
    return isinstance(engine.pool, StaticPool)


def _joining(session: Any, join: Callable[[], Connection], hop: Hop) -> Source:
    return Source(dialects.get(_bound(session).dialect.name), hop, join=join)


def _engine(session: Any) -> Engine:
    """Return the engine that a new session of a factory is bound to."""
    bound = _bound(session)
    if not isinstance(bound, Engine):
        raise ConfigurationError("this sessionmaker is bound to a connection; pass that instead")
    return bound


def _bound(session: Any) -> Engine | Connection:
    try:
        bound: Engine | Connection = session.get_bind()
    except UnboundExecutionError:
        raise ConfigurationError(
            "this session has an engine per table and none for all; pass the connection that is "
            'meant: session.connection(bind_arguments={"mapper": YourModel})'
        ) from None
    return bound


def read_url(bind: str | URL | None) -> URL:
    """Return the URL in its parts; without one, that of the environment or the default.

    One that names no driver means SQLAlchemy's choice, or else the driver that our extra brings.

    Raises:
        ConfigurationError: it is no URL, or not of a database that SQLAlchemy knows.
    """
    # An empty text is most likely a setting that is missing: no reason to use another database.
    given = os.environ.get("OQRON_URL") or DEFAULT_URL if bind is None else bind
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):  # "invalid port" may quote a password that has a slash
        raise ConfigurationError(
            "that is not a database URL; it looks like postgresql+asyncpg://user:password@host/name"
            + (f", or sqlite:///{given} for that file" if _FILE.fullmatch(str(given)) else "")
        ) from None
    try:
        chosen = url.get_dialect()
    except NoSuchModuleError:
        raise ConfigurationError(
            f"SQLAlchemy knows no dialect {url.drivername!r}; {_meant(url)}"
        ) from None
    backend = url.get_backend_name()
    ours = dialects.get(backend).blocking_driver
    if ours and url.drivername == backend:
        try:
            chosen.import_dbapi()
        except ImportError:
            return url.set(drivername=f"{backend}+{ours}")
    return url


def _meant(url: URL) -> str:
    """Return what to do about a URL that begins with something unknown, as postgres://."""
    backend, plus, driver = url.drivername.partition("+")
    (name, *_) = difflib.get_close_matches(backend.lower(), dialects.NAMES, 1) or (backend,)
    if name == backend:
        return "see whether its package is installed"
    return f"write {name}{plus}{driver}:// in place of {url.drivername}://"


def _awaited(url: URL, *, asked: bool) -> bool:
    """Whether the driver of `url` is used by awaiting it; some do either, as they are `asked`."""
    return bool(url.get_dialect(_is_async=asked).is_async)


def _kind(bind: object) -> str:
    return f"an object of type {type(bind).__name__}"


def _shown(url: URL) -> str:
    """Return the URL without anything secret: password and query are left out."""
    return url.set(query={}, password=None if url.password is None else "***").render_as_string()
