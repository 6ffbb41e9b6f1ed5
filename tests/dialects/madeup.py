"""A distribution that brings a database nobody knows, made in a folder as an installer would."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import oqron_sql

METADATA = "Metadata-Version: 2.1\nName: madeup-oqron\nVersion: 1.0\n"
DRIVER = '''
"""A database for SQLAlchemy: SQLite under another name."""

from sqlalchemy import Index, Table
from sqlalchemy.dialects.sqlite.base import SQLiteTypeCompiler
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite


class Types(SQLiteTypeCompiler):
    def visit_BIGINT(self, type_, **kw):
        return "INTEGER"  # which has 64 bits and counts up


class MadeUp(SQLiteDialect_pysqlite):
    name = "madeup"
    driver = "pysqlite"
    type_compiler_cls = Types
    supports_statement_cache = True
    construct_arguments = [(Table, {"flavour": None}), (Index, {"where": None})]
'''


def install(folder: Path, dialect: str | None, entry: str = "madeup_oqron:dialect") -> None:
    """Make the distribution; `dialect` is the source of its module, None for one without it."""
    entries = "[sqlalchemy.dialects]\nmadeup = madeup_driver:MadeUp\n"
    (folder / "madeup_driver.py").write_text(DRIVER)
    if dialect is not None:
        entries += f"[oqron_sql.dialects]\nmadeup = {entry}\n"
        (folder / "madeup_oqron.py").write_text(textwrap.dedent(dialect))
    info = folder / "madeup_oqron-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(entries)


def run(folder: Path, program: str) -> str:
    """Run `program` where the distribution is installed; return what it printed."""
    package = Path(oqron_sql.__file__).parents[1]
    path = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(package)!r}]\n"
    done = subprocess.run(
        [sys.executable, "-c", path + textwrap.dedent(program)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
