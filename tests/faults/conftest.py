"""Which databases the short runs take place on: one driver of each, or those asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import installed
from tests.faults.stages import STAGES, Stage, Stages


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "where" in metafunc.fixturenames:
        asked = metafunc.config.getoption("backend") or STAGES
        metafunc.parametrize("where", [name for name in STAGES if name in asked], scope="session")


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """The servers of the session, started when first used."""
    made = Stages(tmp_path_factory.mktemp("stages"))
    yield made
    made.close()


@pytest.fixture
def stage(where: str, stages: Stages) -> Stage:
    with installed():
        return stages.stage(where)
