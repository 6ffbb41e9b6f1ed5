"""How errors and URLs are shown to a person: in one line, and never with a password."""

from __future__ import annotations

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from oqron_sql import dialects
from oqron_sql.errors import ConfigurationError, InvalidInput, LockTimeout, StoreUnavailable
from oqron_sql.hiding import quote_cause, without_credentials

NO_ANSWER, FAILED = 2, 1


def exit_status(error: BaseException) -> int:
    """Return 2 if the caller has to change something or no database answered, 1 otherwise."""
    unanswered = (ConfigurationError, InvalidInput, LockTimeout, StoreUnavailable, SQLAlchemyError)
    return NO_ANSWER if isinstance(error, unanswered) else FAILED


def explain(error: BaseException) -> str:
    """Return the error and its root cause in one line, without credentials."""
    said = quote_cause(error)
    if isinstance(error, DBAPIError):  # whose own text is the whole statement
        message = "the database refused a statement"
    else:
        message = without_credentials(str(error) or type(error).__name__)
    return message if said in message else f"{message}: {said}"


def refuse_private_memory(url: URL) -> None:
    """Refuse a database that lives in one process, where other processes cannot see it.

    Raises:
        ConfigurationError: `url` is one.
    """
    if dialects.get(url.get_backend_name()).in_memory(url):
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
