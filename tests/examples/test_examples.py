"""The example applications, started as their users start them, and asked over HTTP."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from oqron_sql.schema.tables import tables
from tests.backends import BACKENDS, Backends
from tests.conftest import installed
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 30
APPLICATIONS = {
    "fastapi": ("uvicorn", "examples.fastapi_app:app", "--port"),
    "flask": ("flask", "--app", "examples.flask_app", "run", "--port"),
}
# An application's driver, and that of the worker beside it.
RUNS = [
    ("fastapi", "aiosqlite", "sqlite"),
    ("fastapi", "pg-asyncpg", "pg-psycopg-blocking"),
    ("flask", "maria-pymysql", "maria-pymysql"),
]


@contextlib.contextmanager
def serving(name: str, url: str, log: Path) -> Iterator[httpx.Client]:
    """Start an application; yield a client of it."""
    port = free_port()
    command = [sys.executable, "-m", *APPLICATIONS[name], str(port)]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            deadline = time.monotonic() + PATIENCE
            while True:
                assert process.poll() is None, log.read_text()
                with contextlib.suppress(httpx.TransportError):
                    client.get("/users")
                    break
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize(("name", "backend_of_it", "worker"), RUNS)
def test_signing_up(
    backends: Backends, tmp_path: Path, name: str, backend_of_it: str, worker: str
) -> None:
    with installed():
        url = sa.make_url(backends.database(BACKENDS[backend_of_it]).url)
    blocking = url.set(drivername=sa.make_url(backends.database(BACKENDS[worker]).url).drivername)
    engine = sa.create_engine(blocking)
    jobs = tables().jobs
    log = tmp_path / "log"
    try:
        with serving(name, url.render_as_string(hide_password=False), log) as client:
            for person in ("ada", "bob"):
                done = client.post("/users", json={"email": f"{person}@example.org"})
                assert done.status_code == 201, log.read_text()
            refused = client.post("/users", json={"email": "ada@example.org"})
            assert refused.status_code == 409
            waiting = [{"email": f"{who}@example.org", "mail": "waiting"} for who in ("ada", "bob")]
            assert client.get("/users").json() == waiting
            with engine.connect() as conn:
                assert conn.scalar(sa.select(sa.func.count()).select_from(jobs)) == 2

            sent = subprocess.run(
                [sys.executable, "-W", "error", "-m", "examples.send_mail"],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": blocking.render_as_string(hide_password=False)},
                capture_output=True,
                text=True,
                check=True,
            )
            assert sent.stdout.count("welcome!") == 2
            with engine.connect() as conn:
                noted = conn.scalars(sa.text("SELECT address FROM sent ORDER BY address")).all()
            assert noted == ["ada@example.org", "bob@example.org"]
            assert {user["mail"] for user in client.get("/users").json()} == {"completed"}
        assert "Traceback" not in log.read_text()
    finally:
        with engine.begin() as conn:
            for table in ("users", "sent"):
                conn.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
        engine.dispose()
