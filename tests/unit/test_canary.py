"""The canary notices what must not be shown, wherever it is shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = """
from tests.canary import Watching

def pytest_configure(config):
    config.pluginmanager.register(Watching())
"""
LEAKS = """
import logging, subprocess, sys, warnings
import pytest
from tests.canary import PASSWORD, PAYLOAD

def test_nothing():
    pass

def test_a_log():
    logging.getLogger("oqron_sql").debug("saved %r", {"to": PAYLOAD})

def test_a_traceback_in_a_log():
    try:
        raise ValueError(PAYLOAD)
    except ValueError:
        logging.getLogger("somebody").warning("it failed", exc_info=True)

def test_an_exception():
    with pytest.raises(ValueError):
        raise ValueError(PASSWORD)

def test_a_cause():
    with pytest.raises(KeyError):
        raise KeyError("all is well") from ValueError(PASSWORD)

def test_the_output_of_a_command():
    subprocess.run([sys.executable, "-c", f"print({PASSWORD!r})"], stdout=subprocess.PIPE)

def test_the_output():
    print(PASSWORD)

def test_output_that_is_read(capsys):
    print(PASSWORD)
    assert capsys.readouterr().out

def test_a_warning():
    warnings.warn(PASSWORD)
"""


def test_each_leak_fails_its_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(PLUGIN)
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    chosen = (
        "-q",
        "-rN",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-c",
        "/dev/null",
        "--rootdir",
    )
    with (tmp_path / "said").open("w+") as said:  # not through a pipe, which is watched as well
        subprocess.run(
            [sys.executable, "-m", "pytest", *chosen, tmp_path, tmp_path],
            cwd=ROOT,
            stdout=said,
            check=False,
        )
    output = (tmp_path / "said").read_text()
    leaks = LEAKS.count("def test_") - 1
    assert f"{leaks + 1} passed" in output, "they pass, but for the canary"
    assert f"{leaks} errors" in output
    assert output.count("something secret was shown") == leaks
