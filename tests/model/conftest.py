"""Which backends are compared with memory: one driver of each database, or those asked for."""

from __future__ import annotations

import pytest

from tests.backends import BACKENDS

MODELLED = ("sqlite", "pg-psycopg-blocking", "pg-asyncpg", "maria-pymysql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "modelled" in metafunc.fixturenames:
        asked = metafunc.config.getoption("backend") or MODELLED
        chosen = [name for name in asked if name in BACKENDS and not BACKENDS[name].in_memory]
        metafunc.parametrize("modelled", chosen)
