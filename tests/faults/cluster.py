"""Three nodes of MariaDB with Galera that look like one server: each process gets the next one."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pymysql

from tests import servers

NODES = 3
PROVIDERS = "usr/lib/galera/libgalera_smm.so", "usr/lib*/galera*/libgalera_smm.so"
SYNCED_WITHIN = 120.0


class Node(servers.MariaDB):
    """One node; it is up once it has what the others have."""

    def status(self, name: str) -> str | None:
        """Return what the node says of itself; None if it says nothing."""
        try:
            with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
                cursor.execute("SHOW STATUS LIKE %s", (f"wsrep_{name}",))
                found = cursor.fetchone()
        except pymysql.Error:
            return None
        return None if found is None else str(found[1])

    def is_synced(self) -> bool:
        return self.status("local_state_comment") == "Synced"

    def isolate(self, *, isolated: bool = True) -> None:
        """Let it hear nothing of the other nodes, and say nothing to them."""
        change = f"SET GLOBAL wsrep_provider_options = 'gmcast.isolate={isolated:d}'"
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(change)

    def suspend(self, *, suspended: bool = True) -> None:
        """Stop its process, or let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if suspended else signal.SIGCONT)

    def connect(self) -> Any:
        where: Any = {"host": "127.0.0.1", "port": self.port, "connect_timeout": 2}
        return pymysql.connect(user=self.user, password=servers.PASSWORD, **where)

    def start(self) -> None:
        super().start()
        deadline = time.monotonic() + SYNCED_WITHIN
        while not self.is_synced():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the node did not join:\n{self.log()}")
            time.sleep(0.2)


class Cluster(servers.MariaDB):
    """All nodes; whoever asks for a URL gets that of the next one, and any may be killed."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes, self.down = nodes, nodes[0]
        self._turns = itertools.cycle(nodes)

    @property
    def port(self) -> int:  # type: ignore[override]  # a server has one, we have several
        return self.nodes[0].port

    def url(self, driver: str, database: str | None = None) -> str:
        return next(self._turns).url(driver, database)

    def kill9(self) -> None:
        self.down = random.choice(self.nodes)
        self.down.kill9()

    def start(self) -> None:
        self.down.start()

    def entrance(self) -> int:
        return next(self._turns).port

    def wait(self, size: int, among: list[Node]) -> None:
        """Wait until these nodes see so many, themselves included, and have what those have."""
        deadline = time.monotonic() + SYNCED_WITHIN
        while not all(n.status("cluster_size") == str(size) and n.is_synced() for n in among):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{size} nodes did not meet:\n{among[0].log()}")
            time.sleep(0.1)


@contextlib.contextmanager
def galera(settings: Mapping[str, str]) -> Iterator[Cluster]:
    """Return a context with a cluster.

    Raises:
        servers.Missing: MariaDB or Galera is not installed.
    """
    provider = next((found for p in PROVIDERS for found in Path("/").glob(p)), None)
    if provider is None:
        raise servers.Missing("Galera is not installed")
    groups = [servers.free_port() for _ in range(NODES)]
    everybody = "gcomm://" + ",".join(f"127.0.0.1:{port}" for port in groups)
    with contextlib.ExitStack() as stack:
        nodes: list[Node] = []
        for port in groups:
            node = Node({**settings, **_joining(str(provider), port)})
            stack.callback(node.stop)
            node.prepare()
            if nodes:  # it gets its accounts from the others
                (node.folder / "nothing.sql").touch()
                node.settings["init-file"] = str(node.folder / "nothing.sql")
            node.settings["wsrep-cluster-address"] = everybody if nodes else "gcomm://"
            node.start()
            node.settings["wsrep-cluster-address"] = everybody
            nodes.append(node)
        yield Cluster(nodes)


def _joining(provider: str, port: int) -> dict[str, str]:
    incremental, whole = servers.free_port(), servers.free_port()
    options = {
        "gmcast.listen_addr": f"tcp://127.0.0.1:{port}",
        "ist.recv_addr": f"127.0.0.1:{incremental}",
        "ist.recv_bind": "127.0.0.1",
    }
    return {
        "wsrep-on": "ON",
        "wsrep-provider": provider,
        "wsrep-provider-options": ";".join(f"{name}={value}" for name, value in options.items()),
        "wsrep-cluster-name": "oqron",
        "wsrep-node-address": f"127.0.0.1:{port}",
        "wsrep-sst-method": "rsync",
        "wsrep-sst-receive-address": f"127.0.0.1:{whole}",
        "binlog-format": "ROW",
        "innodb-autoinc-lock-mode": "2",
    }
