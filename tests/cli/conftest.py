"""The command as a person runs it: a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oqron_sql.cli import main
from tests.backends import BACKENDS, Backends
from tests.cli.operating import Operator, Outcome
from tests.conftest import installed

PATIENCE = 60.0
OPERATED = ("sqlite", "pg-asyncpg", "maria-pymysql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "operated" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("backend") or OPERATED
        metafunc.parametrize("operated", [name for name in chosen if BACKENDS[name].driver])


class Command:
    """A started `oqron-sql`, with what it has said so far."""

    def __init__(self, output: Path, *arguments: str, environment: dict[str, str] | None = None):
        inherited = {name: value for name, value in os.environ.items() if name != "OQRON_URL"}
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "oqron_sql.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**inherited, **(environment or {})},
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    @property
    def queue(self) -> str:
        return self.said.partition("queue     ")[2].partition(",")[0]

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def wait_until(self, condition: Callable[[], object], *, running: bool = True) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert not (running and self.process.poll() is not None), self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def workers(self) -> dict[int, str]:
        """Return the worker processes of this run, by pid, with their command lines."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "demo_worker" in line and self.queue and self.queue in line:
                found[int(entry.name)] = line.replace("\0", " ")
        return found


Start = Callable[..., Command]


RunHere = Callable[..., Outcome]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Run `oqron-sql` with arguments in this process."""
    monkeypatch.delenv("OQRON_URL", raising=False)

    def run_here(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["oqron-sql", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Outcome(ended.value.code or 0, said.out, said.err)

    return run_here


@pytest.fixture
def operator(operated: str, backends: Backends, run_here: RunHere) -> Operator:
    """An operator of one database after the other, each of them empty."""
    with installed():
        return Operator(backends.database(BACKENDS[operated]).url, run_here)


@pytest.fixture
def sqlite_operator(backends: Backends, run_here: RunHere) -> Operator:
    """The operator of a SQLite file, for what is the same on any database."""
    return Operator(backends.database(BACKENDS["sqlite"]).url, run_here)


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start `oqron-sql` with arguments; it is gone afterwards."""
    started: list[Command] = []

    def start(*arguments: str, **environment: str) -> Command:
        output = tmp_path_factory.mktemp("said") / "output"
        started.append(Command(output, *arguments, environment=environment))
        return started[-1]

    yield start
    for command in started:
        if command.process.poll() is None:
            command.process.send_signal(signal.SIGKILL)
            command.process.wait()


@pytest.fixture(scope="session")
def many_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that keeps two workers busy for a second or two."""
    folder = tmp_path_factory.mktemp("many")
    text = "the quick brown fox jumps over the lazy dog\n" * 1000
    for number in range(300):
        (folder / f"{number}.txt").write_text(f"{number}\n{text}")
    return folder


@pytest.fixture(scope="session")
def few_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few small files."""
    folder = tmp_path_factory.mktemp("few")
    for number in range(30):
        (folder / f"{number}.txt").write_text("one two three\n" * number)
    return folder
