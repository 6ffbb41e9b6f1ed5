"""What all servers have in common: a process, its data, and somebody who sees to their end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from tests.servers.programs import account_of, find

START_TIMEOUT = 60.0
PASSWORD = "planted-password"  # tests/canary.py watches for it
# Reads until the parent's end of the pipe closes, then takes the server and its data with it.
WATCHDOG = 'trap "" INT TERM HUP; read -r line; kill -9 "-$1" 2>/dev/null; rm -rf "$2"'


class Server(ABC):
    """One running server with a data directory of its own."""

    schemes: ClassVar[Mapping[str, str]]
    database: str
    user: str
    account: str
    stop_signal: signal.Signals

    def __init__(
        self, settings: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> None:
        self.settings = dict(settings or {})
        self.folder = folder or Path(tempfile.mkdtemp(prefix="oqron-server-"))
        self.folder.chmod(0o755)  # the server runs as somebody else when we are root
        if os.geteuid() == 0:
            account = account_of(self.account)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def url(self, driver: str, database: str | None = None) -> str:
        """Return the URL for `driver`, e.g. "asyncpg" or, with the dialect, "mariadb+asyncmy"."""
        scheme = driver if "+" in driver else f"{self.schemes[driver]}+{driver}"
        return (
            f"{scheme}://{self.user}:{PASSWORD}@127.0.0.1:{self.port}/{database or self.database}"
        )

    def entrance(self) -> int:
        """Return the port that a new connection goes to."""
        return self.port

    def start(self) -> None:
        """Start the server on its data and wait until it answers."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._try_start(deadline):
            # The old server's shared memory may take a moment to go, or the port was taken.
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{self.log()}")
            time.sleep(0.2)

    def kill9(self) -> None:
        """Kill the server as a crash would; its data stay."""
        self._signal(signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same port and data, after an orderly stop if it still runs."""
        self._signal(self.stop_signal)
        self.start()

    def revive(self) -> None:
        """Wait until it answers, and start it again if it has ended by itself."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill9()
                self.start()
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill the server and delete its data."""
        self.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return the end of what the server said."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    @abstractmethod
    def prepare(self) -> None:
        """Make the data directory."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return what starts the server in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server can be used now."""

    def run_as_owner(self, *command: str) -> list[str]:
        """Return `command` as run by the owner of the data, for servers that refuse root."""
        if os.geteuid() != 0:
            return list(command)
        account = account_of(self.account)
        ids = f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"
        return [find("setpriv"), *ids, "--", *command]

    def _try_start(self, deadline: float) -> bool:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )
        self._watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "watchdog", str(self._process.pid), str(self.folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        while self._process.poll() is None and time.monotonic() < deadline:
            if self.answers():
                return True
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self._watchdog is not None:  # first, for it would delete the data
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                if number is signal.SIGKILL:
                    os.killpg(self._process.pid, number)
                else:
                    self._process.send_signal(number)
            self._process.wait(START_TIMEOUT)
            self._process = None


@contextlib.contextmanager
def running(
    kind: type[Server], settings: Mapping[str, str] | None, folder: Path | None = None
) -> Iterator[Server]:
    """Prepare and start a server, in a folder if one is given; it is gone afterwards."""
    server = kind(settings, folder)
    try:
        server.prepare()
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
