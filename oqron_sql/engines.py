"""What a store may be bound to, and what that means: whose engine, whose transaction, which hop."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session

from oqron_sql import dialects
from oqron_sql.dialects import Dialect
from oqron_sql.errors import ConfigurationError

DEFAULT_URL = "sqlite:///oqron.db"

Hop = Literal["none", "greenlet", "thread"]
BlockingBind = str | URL | Engine | Connection | Session | scoped_session[Any]
AwaitingBind = BlockingBind | AsyncEngine | AsyncConnection | AsyncSession


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where connections come from.

    With an `engine` every operation is a transaction of its own; else `join` returns the connection
    of the host's transaction. `hop` is how an event loop is kept free meanwhile.
    """

    dialect: Dialect
    hop: Hop
    engine: Engine | None = None
    join: Callable[[], Connection] | None = None
    owned: AsyncEngine | Engine | None = None
    in_memory: bool = False


def blocking_source(bind: BlockingBind | None) -> Source:
    """Return the source that `bind` is for a blocking store.

    Raises:
        ConfigurationError: it is nothing a blocking store can use.
    """
    if isinstance(bind, AsyncEngine | AsyncConnection | AsyncSession):
        raise ConfigurationError(f"a blocking store cannot use {_kind(bind)}; use AsyncSQLStore")
    if bind is None or isinstance(bind, str | URL):
        url = read_url(bind)
        if _awaited(url, asked=False):
            backend = url.get_backend_name()
            other = f"{backend}+{dialects.get(backend).blocking_driver}://"
            raise ConfigurationError(
                f"the driver of {_shown(url)} can only be awaited; use AsyncSQLStore, or {other}"
            )
        return _own(url, "none")
    return _hosts(bind, "none")


def awaiting_source(bind: AwaitingBind | None) -> Source:
    """Return the source that `bind` is for an awaiting store.

    Raises:
        ConfigurationError: it is nothing an awaiting store can use.
    """
    if bind is None or isinstance(bind, str | URL):
        url = read_url(bind)
        return _own(url, "greenlet" if _awaited(url, asked=True) else "thread")
    if isinstance(bind, AsyncEngine):
        return _hosts(bind.sync_engine, "greenlet")
    if isinstance(bind, AsyncConnection):
        if bind.sync_connection is None:
            raise ConfigurationError("this AsyncConnection is not started; await it first")
        return _hosts(bind.sync_connection, "greenlet")
    if isinstance(bind, AsyncSession):
        return _hosts(bind.sync_session, "greenlet")
    return _hosts(bind, "thread" if isinstance(bind, Engine) else "none")


def _own(url: URL, hop: Hop) -> Source:
    """Create an engine; it is the store's to close."""
    dialect = dialects.get(url.get_backend_name())
    # Statements in error messages are fine, the values in them are not.
    options = {"hide_parameters": True, **dialect.engine_options(url)}
    try:
        made: AsyncEngine | Engine = (
            create_async_engine(url, **options)
            if hop == "greenlet"
            else create_engine(url, **options)
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{_shown(url)} needs the driver {error.name!r}; "
            f"`pip install 'oqron-sql[{dialect.extra}]'` brings drivers for this database, and a "
            f"URL names one, e.g. {url.get_backend_name()}+{dialect.blocking_driver}://"
        ) from None
    engine = made.sync_engine if isinstance(made, AsyncEngine) else made
    dialect.prepare(engine)
    return Source(dialect, hop, engine=engine, owned=made, in_memory=dialect.in_memory(url))


def _hosts(bind: Any, hop: Hop) -> Source:
    if isinstance(bind, Engine):
        dialect = dialects.get(bind.dialect.name)
        return Source(
            dialect, hop, engine=dialect.adopt(bind), in_memory=dialect.in_memory(bind.url)
        )
    if isinstance(bind, Connection):
        return Source(dialects.get(bind.dialect.name), hop, join=lambda: bind)
    if isinstance(bind, Session | scoped_session):
        name = bind.get_bind().dialect.name
        return Source(dialects.get(name), hop, join=bind.connection)
    raise ConfigurationError(
        f"cannot use {_kind(bind)}; pass a URL, an engine, a connection or a session"
    )


def read_url(bind: str | URL | None) -> URL:
    """Return the URL in its parts; without one, that of the environment or the default.

    Raises:
        ConfigurationError: it is no URL.
    """
    try:
        return make_url(bind or os.environ.get("OQRON_URL") or DEFAULT_URL)
    except (ArgumentError, ValueError):  # "invalid port" may quote a password that has a slash
        raise ConfigurationError(
            "that is not a database URL; it looks like postgresql+asyncpg://user:password@host/name"
        ) from None


def _awaited(url: URL, *, asked: bool) -> bool:
    """Whether the driver of `url` is used by awaiting it; some do either, as they are `asked`."""
    try:
        return bool(url.get_dialect(_is_async=asked).is_async)
    except NoSuchModuleError:
        raise ConfigurationError(
            f"SQLAlchemy knows no dialect {url.drivername!r}; see whether its package is installed"
        ) from None


def _kind(bind: object) -> str:
    return f"an object of type {type(bind).__name__}"


def _shown(url: URL) -> str:
    """Return the URL without anything secret: password and query are left out."""
    return url.set(query={}, password=None if url.password is None else "***").render_as_string()
