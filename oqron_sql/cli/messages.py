"""How errors and URLs are shown to a person: in one line, and never with a password."""

from __future__ import annotations

import re

from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from oqron_sql.errors import ConfigurationError, InvalidInput, OqronError

EXTRAS = {
    "asyncpg": "postgresql",
    "psycopg": "postgresql",
    "asyncmy": "mysql",
    "pymysql": "mysql",
    "aiosqlite": "sqlite",
}
WRONG_USAGE, FAILED = 2, 1
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]*:\S*@")


def exit_status(error: OqronError) -> int:
    """Return 2 for what the caller has to change, 1 for what went wrong."""
    return WRONG_USAGE if isinstance(error, ConfigurationError | InvalidInput) else FAILED


def explain(error: BaseException) -> str:
    """Return the error and its root cause in one line, without credentials."""
    message = str(error) or type(error).__name__
    root = _root(error)
    if root is not error:
        detail = next(iter(str(root).strip().splitlines()), "") or type(root).__name__
        if detail not in message:
            message = f"{message}: {detail}"
    return _CREDENTIALS.sub("***@", message)


def read_url(text: str) -> URL:
    """Return the URL whose driver is there to be used.

    Raises:
        ConfigurationError: it cannot be read, or its driver is not installed; says what to do.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # their messages may show parts of a password
        raise ConfigurationError(
            "cannot read the database URL: it has the form driver://user:password@host:port/name, "
            "with anything unusual in the password percent-encoded"
        ) from None
    try:
        url.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise ConfigurationError(f"no driver is known for {url.drivername}://") from None
    except ImportError as error:
        raise ConfigurationError(_how_to_install(url, error)) from None
    return url


def refuse_private_memory(url: URL) -> None:
    """Refuse a database that lives in one process, where other processes cannot see it.

    Raises:
        ConfigurationError: `url` is one.
    """
    if isinstance(create_engine(url).pool, SingletonThreadPool | StaticPool):
        raise ConfigurationError(
            f"{show_url(url)} lives in the memory of one process and cannot be shared with others; "
            "name a file, e.g. sqlite:///demo.db"
        )


def show_url(url: URL) -> str:
    """Return what of the URL may be seen by anyone: no user, no password, no options."""
    return URL.create(
        url.drivername, host=url.host, port=url.port, database=url.database
    ).render_as_string()


def plural(count: int, noun: str) -> str:
    """Return the count and the noun, in the plural unless it is one."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _how_to_install(url: URL, error: ImportError) -> str:
    module = (error.name or url.get_driver_name()).partition(".")[0]
    missing = f"{url.drivername}:// needs the Python module {module}, which is not installed"
    extra = EXTRAS.get(module)
    if extra:
        return f"{missing}: pip install 'oqron-sql[{extra}]'"
    return (
        f"{missing}; install it, or use a driver this package is tested with: {', '.join(EXTRAS)}"
    )


def _root(error: BaseException) -> BaseException:
    while True:
        inner = error.orig if isinstance(error, DBAPIError) else error.__cause__
        if inner is None:
            return error
        error = inner
