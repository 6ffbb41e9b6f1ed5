"""The column types; what each is on a database, its dialect says."""

from __future__ import annotations

import copy
from typing import Any, cast

from sqlalchemy import BigInteger, DateTime, String, Text, TypeDecorator
from sqlalchemy.engine import Dialect as SQLAlchemyDialect
from sqlalchemy.types import TypeEngine

from oqron_sql import dialects
from oqron_sql.contract import codec
from oqron_sql.hiding import Unshown


class Key(TypeDecorator[str]):
    """A name, id or key of up to 255 characters, compared byte for byte."""

    impl = String(255)
    cache_ok = True

    def load_dialect_impl(self, dialect: SQLAlchemyDialect) -> TypeEngine[Any]:
        return dialects.get(dialect.name).key_type(dialect)


class ShortKey(TypeDecorator[str]):
    """A name of up to 100 characters, as it is compared: several fit in one index."""

    length = 100
    impl = String(length)
    cache_ok = True

    def load_dialect_impl(self, dialect: SQLAlchemyDialect) -> TypeEngine[Any]:
        shorter: Any = copy.copy(dialects.get(dialect.name).key_type(dialect))
        shorter.length = self.length
        return cast("TypeEngine[Any]", shorter)


class Excerpt(ShortKey):
    """The start of a text that belongs to a payload."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: SQLAlchemyDialect) -> str | None:
        return None if value is None else Unshown(value)


class LongText(TypeDecorator[str]):
    """Text of several megabytes; JSON is kept in it as the codec wrote it."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: SQLAlchemyDialect) -> TypeEngine[Any]:
        return dialects.get(dialect.name).text_type()

    def process_bind_param(self, value: str | None, dialect: SQLAlchemyDialect) -> str | None:
        return None if value is None else Unshown(value)


class Value(LongText):
    """JSON, as a value: for an application's own queries."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: SQLAlchemyDialect) -> str | None:
        return None if value is None else Unshown(codec.dumps(value))

    def process_result_value(self, value: str | None, dialect: SQLAlchemyDialect) -> Any:
        return None if value is None else codec.loads(value)


class Serial(TypeDecorator[int]):
    """A number that the database counts up."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: SQLAlchemyDialect) -> TypeEngine[Any]:
        return dialects.get(dialect.name).serial_type()


class Timestamp(TypeDecorator[Any]):
    """An instant, aware in Python, UTC in the database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: SQLAlchemyDialect) -> TypeEngine[Any]:
        return dialects.get(dialect.name).timestamp_type()
