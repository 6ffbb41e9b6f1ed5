"""The loaded databases; with `--backend`, those of the backends it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from oqron_sql.dialects import proving
from tests.backends import BACKENDS, BLOCKING_DRIVERS, Backends
from tests.conftest import installed
from tests.plans.stage import KINDS, UNKNOWING, Database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process have all tests of a database: loading it is what takes long."""
    for item in items:
        if item.path.parent == Path(__file__).parent and isinstance(item, pytest.Function):
            given = getattr(item, "callspec", None)
            kind = given.params.get("database", "") if given else ""
            item.add_marker(pytest.mark.xdist_group(f"plans {kind}"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = metafunc.config.getoption("backend") or list(BACKENDS)
    used = [backend for backend in map(BACKENDS.__getitem__, chosen) if not backend.in_memory]
    kinds = [kind for kind in KINDS if kind in {backend.server or "sqlite" for backend in used}]
    if "unknowing" in metafunc.fixturenames:
        pairs = [(kind, stage) for kind in kinds for stage in UNKNOWING[kind]]
        metafunc.parametrize(
            ("database", "unknowing"), pairs, indirect=["database"], scope="session"
        )
    elif "database" in metafunc.fixturenames:
        metafunc.parametrize("database", kinds, indirect=True, scope="session")


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no connection be asked whether it may write: that comes with time, not with a call."""
    monkeypatch.setattr(proving, "PROVEN_FOR", float("inf"))


@pytest.fixture(scope="session")
def database(
    request: pytest.FixtureRequest, backends: Backends, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database of each kind after the other, loaded as far as tests ask for it."""
    kind = KINDS[request.param]
    with installed():
        url = (
            _file(tmp_path_factory.mktemp("plans"))
            if kind.name == "sqlite"
            else _on(backends, kind.name)
        )
    made = Database(kind, url)
    yield made
    made.close()


def _file(folder: Path) -> str:
    return f"sqlite+pysqlite:///{folder / 'plans.db'}"


def _on(backends: Backends, kind: str) -> str:
    """Make a database on the session's server."""
    server, driver = backends.server(kind), BLOCKING_DRIVERS[kind]
    admin = sa.create_engine(server.url(driver), isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql("DROP DATABASE IF EXISTS plans")
        conn.exec_driver_sql("CREATE DATABASE plans")
    admin.dispose()
    return server.url(driver, "plans")
