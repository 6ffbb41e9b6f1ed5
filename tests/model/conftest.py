"""Which backends are compared with memory: one driver of each database, or those asked for."""

from __future__ import annotations

import os

import pytest

from tests.backends import BACKENDS

BY_DEFAULT = ("sqlite", "pg-psycopg-blocking", "maria-pymysql")
AT_LENGTH = (*BY_DEFAULT, "pg-asyncpg")  # with OQRON_STEPS
SQL = tuple(name for name, backend in BACKENDS.items() if not backend.in_memory)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    default = AT_LENGTH if "OQRON_STEPS" in os.environ else BY_DEFAULT
    for fixture, others in (("modelled", ()), ("adapter_modelled", ("redis",))):
        if fixture in metafunc.fixturenames:
            asked = metafunc.config.getoption("backend") or (*default, *others)
            chosen = [name for name in asked if name in (*SQL, *others)]
            metafunc.parametrize(fixture, chosen)
