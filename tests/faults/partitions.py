"""A cluster falls apart: one node is no longer among the others, who go on without it."""

from __future__ import annotations

import asyncio
import signal

from tests.faults.cluster import Cluster
from tests.faults.history import Journal
from tests.faults.run import Run


async def partition(run: Run) -> None:
    """A node of Galera is cut off or stopped, and the others go on; processes are killed, too."""
    cluster = run.stage.server
    assert isinstance(cluster, Cluster)
    journal = Journal(run.folder, "run")
    while await run.rest(0.3, 1):
        node = run.rng.choice(cluster.nodes)
        others = [each for each in cluster.nodes if each is not node]
        stopped = run.rng.random() < 0.3
        await asyncio.to_thread(node.suspend if stopped else node.isolate)
        run.injected += 1
        try:
            await asyncio.to_thread(cluster.wait, len(others), others)
            journal.write("parted", said="nothing" if stopped else node.status("cluster_status"))
            for _ in range(3):
                if (members := run.alive()) and await run.rest(0.3, 1):
                    run.injected += run.rng.choice(members).send(signal.SIGKILL)
        finally:
            if stopped:
                node.suspend(suspended=False)
            else:
                node.isolate(isolated=False)
        await asyncio.to_thread(cluster.wait, len(cluster.nodes), cluster.nodes)
        journal.write("promoted")
