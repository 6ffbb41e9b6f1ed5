"""Servers whose clock can be set: what they ask the system for the time is answered by libfaketime.

A process that fakes its own clock, as a client in a run, has the file of it beside its histories.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from tests import servers
from tests.servers.programs import find

CLOCK = "clock"
PATTERNS = "usr/lib/*/faketime/{}", "usr/local/lib/faketime/{}"
SINGLE, THREADED = "libfaketime.so.1", "libfaketimeMT.so.1"


def wrong_clock(folder: Path, library: str = SINGLE) -> dict[str, str]:
    """Return the environment in which a process has the clock of a file in this folder.

    Raises:
        servers.Missing: libfaketime is not installed.
    """
    for pattern in PATTERNS:
        for found in Path(os.environ.get("OQRON_FAKETIME", "/")).glob(pattern.format(library)):
            return {
                "LD_PRELOAD": str(found),
                "FAKETIME_TIMESTAMP_FILE": str(folder / CLOCK),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                # It would let waits for the interpreter's lock end at once or late: threads starve.
                "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            }
    raise servers.Missing("libfaketime is not installed")


def set_clock(folder: Path, ahead: float) -> None:
    """Let the clock be so many seconds ahead, or behind."""
    new = folder / f"{CLOCK}.new"
    new.write_text(f"{ahead:+f}s\n")
    new.rename(folder / CLOCK)


class Clocked(servers.Server):
    """A server with a clock of its own, which is right until it is set."""

    def set_clock(self, ahead: float) -> None:
        set_clock(self.folder, ahead)

    def faked(self, *command: str) -> list[str]:
        """Return `command` with that clock; every process of it sees a step at once."""
        env = {**wrong_clock(self.folder, THREADED), "FAKETIME_NO_CACHE": "1"}
        return ["env", *(f"{name}={value}" for name, value in env.items()), *command]


class ClockedPostgreSQL(Clocked, servers.PostgreSQL):
    """PostgreSQL; its programs are faked once they are the owner's, as what they share is."""

    def prepare(self) -> None:
        self.set_clock(0)
        super().prepare()

    def run_as_owner(self, *command: str) -> list[str]:
        return super().run_as_owner(*self.faked(*command))


class ClockedMariaDB(Clocked, servers.MariaDB):
    """MariaDB."""

    def command(self) -> list[str]:
        if not (self.folder / CLOCK).exists():
            self.set_clock(0)
        return self.faked(*super().command())


def postgresql(
    settings: Mapping[str, str] | None = None,
) -> contextlib.AbstractContextManager[servers.Server]:
    """Return a context with a PostgreSQL whose clock can be set.

    Raises:
        servers.Missing: it is not installed, or libfaketime is not.
    """
    find("postgres", "initdb", "pg_isready")
    wrong_clock(Path("/"))
    return servers.running(ClockedPostgreSQL, settings)


def mariadb(
    settings: Mapping[str, str] | None = None,
) -> contextlib.AbstractContextManager[servers.Server]:
    """Return a context with a MariaDB whose clock can be set.

    Raises:
        servers.Missing: it is not installed, or libfaketime is not.
    """
    find("mariadbd", "mariadb-install-db")
    wrong_clock(Path("/"))
    return servers.running(ClockedMariaDB, settings)
