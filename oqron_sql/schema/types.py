"""The column types; what each is on a database, its dialect says."""

from __future__ import annotations

import copy
from typing import Any, cast

from sqlalchemy import BigInteger, DateTime, String, Text, TypeDecorator
from sqlalchemy.engine import Dialect as SQLAlchemyDialect
from sqlalchemy.types import TypeEngine

from oqron_sql import dialects


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


class LongText(TypeDecorator[str]):
    """Text of several megabytes; JSON is kept in it as the codec wrote it."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: SQLAlchemyDialect) -> TypeEngine[Any]:
        return dialects.get(dialect.name).text_type()


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
