"""With the portable defaults alone a database does all that the contract asks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oqron_sql import dialects

ROOT = Path(__file__).parents[2]
KITS = ("tests/contract/test_store.py", "tests/contract/test_adapters.py")
# What leans on the dialect most. `nox -s portable` runs all of the kit.
SELECTION = (
    "each_job_is_handed_out_once or no_group_passes or saves_of_one_key or conditional_updates or "
    "many_are_promoted or obliterating_and_fetching or a_worker_s_life or "
    "ids_are_claimed_once_each or publishing_and_acknowledging or one_of_a_hundred_takes"
)


@pytest.mark.parametrize("name", ["portable-sqlite", "portable-pg", "portable-maria"])
def test_the_kit_passes(name: str) -> None:
    """In a process of its own, for tables are made of what the registry says first."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.dialects.portable", *KITS]
    chosen = ["-q", "-n", "0", "-p", "no:cacheprovider", "--backend", name, "-k", SELECTION]
    done = subprocess.run(
        [*command, *chosen], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    if " passed" not in done.stdout:
        pytest.skip("its server is not installed")


def test_an_unknown_database_gets_the_defaults() -> None:
    assert type(dialects.get("nobody_knows_this_one")) is dialects.Dialect
