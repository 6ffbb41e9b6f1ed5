"""The kinds of servers: how each is prepared and started, and when it can be used."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from typing import ClassVar

from tests.servers.programs import account_of, find, run
from tests.servers.server import PASSWORD, Server


class PostgreSQL(Server):
    """PostgreSQL with the superuser `postgres`, trusted over TCP."""

    schemes: ClassVar = {"asyncpg": "postgresql", "psycopg": "postgresql"}
    database = user = account = "postgres"
    stop_signal = signal.SIGINT

    def prepare(self) -> None:
        made = ("-D", str(self.folder / "data"), "-U", "postgres", "--auth=trust", "--no-sync")
        run(self.run_as_owner(find("initdb"), *made, "-E", "UTF8", "--locale=C.UTF-8"))

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
        return self.run_as_owner(find("postgres"), *where, *given)

    def answers(self) -> bool:
        asked = [find("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
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
        made = (f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder}", "--skip-test-db")
        normal = "--auth-root-authentication-method=normal"
        run([find("mariadb-install-db"), "--no-defaults", *self._owner(), *made, normal])

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
        return [find("mariadbd"), *fixed, *self._owner(), *given]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                # The greeting comes last of all, an error packet ("\xff") if it cannot serve us.
                return connection.recv(5)[4:5] not in (b"", b"\xff")
        except OSError:
            return False

    def _owner(self) -> tuple[str, ...]:
        return (f"--user={account_of(self.account).pw_name}",) if os.geteuid() == 0 else ()


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
        return self.run_as_owner(find(self.program), *given)

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
        return self.run_as_owner(find("pgbouncer"), str(self.folder / "pgbouncer.ini"))

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
