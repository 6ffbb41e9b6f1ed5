"""What a database says of itself, for people who look after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something about `about` that is wrong, or with `serious` False merely worth knowing."""

    about: str
    problem: str
    remedy: str
    serious: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Examination:
    """The server and its version, the settings that matter to the store, and what was found."""

    server: str
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    findings: Sequence[Finding] = ()


class Examining:
    """The questions about a server: whether it will do, and what people want to know of it."""

    def check_server(self, conn: Connection) -> None:
        """Look at the server's version and settings.

        Raises:
            UnsupportedDatabase: they cannot keep the store's promises; says what to do.
        """

    def examine(self, conn: Connection, tables: Sequence[Table]) -> Examination:
        """Tell the server's version, its settings that matter, and what is wrong; reads alone."""
        version = ".".join(map(str, conn.dialect.server_version_info or ()))
        return Examination(f"{conn.dialect.name} {version}".strip())

    def check_pooler(self, conn: Connection, pooler: str | None) -> None:
        """Compare what was said of a pooler with what there is.

        Raises:
            UnsupportedDatabase: there is one of which nothing was said, or the driver is not set up
                for it.
        """
