"""JSON_TABLE, which SQLAlchemy does not have: many rows from one parameter."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import BigInteger, BindParameter, FromClause, column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

Columns = tuple[tuple[str, TypeEngine[Any]], ...]


class JsonRows(FunctionElement[Any]):
    """A JSON array of arrays as a table; each inner array is one row, `n` counts them."""

    name = "json_rows"
    inherit_cache = True
    columns_of: ClassVar[Columns] = ()


@functools.cache
def _shape(columns: Columns) -> type[JsonRows]:
    """Return the construct for these columns: a class each, for the class is its cache key."""
    return type("JsonRows", (JsonRows,), {"columns_of": columns, "inherit_cache": True})


@compiles(JsonRows)
def _render(element: JsonRows, compiler: SQLCompiler, **kw: Any) -> str:
    types = compiler.dialect.type_compiler_instance
    quote = compiler.preparer.quote
    parts = [
        f"{quote(name)} {types.process(kind)} PATH '$[{i}]'"
        for i, (name, kind) in enumerate(element.columns_of)
    ]
    (document,) = element.clauses
    return (
        f"JSON_TABLE({compiler.process(document, **kw)}, '$[*]' "
        f"COLUMNS (n FOR ORDINALITY, {', '.join(parts)}))"
    )


def json_table(document: BindParameter[str], columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    """Return the rows of `document`, an array of arrays, as something to select from."""
    made = _shape(tuple(columns.items()))(document)
    return made.table_valued(
        column("n", BigInteger), *(column(name, kind) for name, kind in columns.items())
    ).alias("batch")
