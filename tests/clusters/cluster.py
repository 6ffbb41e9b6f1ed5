"""Private clusters: three servers that share the slots among them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis

from tests.servers import START_TIMEOUT, Server, free_port

SLOTS, NODES = 16384, 3
Starter = Callable[[dict[str, str]], contextlib.AbstractContextManager[Server]]


@contextlib.contextmanager
def cluster_of(start: Starter) -> Iterator[list[Server]]:
    """Start servers, and wait until each of them says that the cluster works."""
    with contextlib.ExitStack() as stack:
        # The port of the bus is ten thousand higher if nothing is said: often too high.
        buses = [free_port() for _ in range(NODES)]
        servers = [
            stack.enter_context(start({"cluster-enabled": "yes", "cluster-port": str(bus)}))
            for bus in buses
        ]
        clients: list[Any] = [
            stack.enter_context(redis.Redis(port=server.port)) for server in servers
        ]
        for number, client in enumerate(clients):
            slots = range(SLOTS * number // NODES, SLOTS * (number + 1) // NODES)
            client.execute_command("CLUSTER ADDSLOTS", *slots)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            met = servers[number].port, buses[number]
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", *met)
        deadline = time.monotonic() + START_TIMEOUT
        while not all(map(works, clients)):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster did not come together")
            time.sleep(0.1)
        yield servers


def works(client: Any) -> bool:
    """Whether a server knows all others, and the cluster has all slots."""
    told = str(client.execute_command("CLUSTER INFO"))
    return "'cluster_state': 'ok'" in told and f"'cluster_known_nodes': '{NODES}'" in told
