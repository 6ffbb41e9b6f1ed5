"""Which backends the tests run on: all of them, or those named by `--backend`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from oqron_sql.testing import StoreHarness
from tests.adapter_backends import ADAPTER_BACKENDS, WHEN_ASKED
from tests.backends import BACKENDS, Backends
from tests.canary import Watching
from tests.servers import Missing, Server, pgbouncer

# PyMySQL loads every trusted certificate for each connection, and our servers have none.
os.environ.setdefault("SSL_CERT_FILE", os.devnull)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Watching())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        choices=sorted({*BACKENDS, *ADAPTER_BACKENDS}),
        help="run on this backend alone; may be repeated",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    by_default = [name for name in ADAPTER_BACKENDS if name not in WHEN_ASKED]
    for fixture, known, default in (
        ("backend", BACKENDS, list(BACKENDS)),
        ("adapter_backend", ADAPTER_BACKENDS, by_default),
    ):
        if fixture in metafunc.fixturenames:
            chosen = metafunc.config.getoption("backend") or default
            metafunc.parametrize(
                fixture, [each for each in chosen if each in known], scope="session"
            )


@pytest.fixture(scope="session")
def backends() -> Iterator[Backends]:
    """The databases of this session, started when first used."""
    made = Backends()
    yield made
    made.close()


@pytest.fixture
def harness(backend: str, backends: Backends) -> StoreHarness:
    """What opens stores of one backend after another, for the kit."""
    with installed():
        return backends.harness(backend)


@pytest.fixture
def postgresql(backends: Backends) -> Server:
    """The session's PostgreSQL."""
    with installed():
        return backends.server("postgresql")


@pytest.fixture(scope="session")
def poolers(backends: Backends) -> Iterator[Callable[[str], Server]]:
    """Start poolers in front of the session's PostgreSQL, one for each mode."""
    started: dict[str, Server] = {}
    with contextlib.ExitStack() as stack:

        def start(mode: str) -> Server:
            if mode not in started:
                with installed():
                    pooler = pgbouncer(backends.server("postgresql"), mode)
                    started[mode] = stack.enter_context(pooler)
            return started[mode]

        yield start


@pytest.fixture
def mariadb(backends: Backends) -> Server:
    """The session's MariaDB."""
    with installed():
        return backends.server("mariadb")


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """A server that is not installed is a skip at home, and a failure in CI."""
    try:
        yield
    except Missing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
