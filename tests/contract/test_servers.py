"""The servers of the tests: gone with their process, and not needed where they are missing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests import servers
from tests.conftest import installed
from tests.servers import programs

ROOT = Path(__file__).parents[2]
STARTING = """
import sys, time
from tests import servers
with servers.STARTERS[sys.argv[1]]() as server:
    print(server.folder, server.port, flush=True)
    time.sleep(600)
"""
kinds = pytest.mark.parametrize(
    ("kind", "driver"), [("postgresql", "psycopg"), ("mariadb", "pymysql")]
)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@kinds
def test_data_survive_a_crash_and_a_restart(kind: str, driver: str) -> None:
    with installed(), servers.STARTERS[kind]() as server:
        engine = sa.create_engine(server.url(driver), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE kept (n INTEGER)")
            connection.exec_driver_sql("INSERT INTO kept VALUES (1)")
        server.kill9()
        with pytest.raises(sa.exc.OperationalError), engine.connect():
            pass
        for _ in range(2):
            server.restart()
            with engine.connect() as connection:
                assert connection.exec_driver_sql("SELECT n FROM kept").scalar() == 1
        folder = server.folder
    assert not folder.exists()


@kinds
def test_a_server_does_not_outlive_its_process(kind: str, driver: str) -> None:
    with installed():
        servers.STARTERS[kind]()  # not entered: only to see whether it is there
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTING, kind],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    with starter.stdout as said:
        folder, port = said.readline().split()
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    wait_for(lambda: not Path(folder).exists())
    wait_for(lambda: not listens(int(port)))


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_a_missing_server_skips_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed"), installed():
        raise servers.Missing("mariadbd is not installed")


def test_a_missing_server_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(servers.Missing), installed():
        raise servers.Missing("mariadbd is not installed")


def test_what_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs, "FOLDERS", ())
    for start in servers.STARTERS.values():
        with pytest.raises(servers.Missing, match="is not installed"):
            start()
