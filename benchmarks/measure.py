"""The stopwatch of one run: wall time, processor time of client and server, and of all others."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable
from pathlib import Path

from benchmarks.plan import Sample

TICK = 1 / os.sysconf("SC_CLK_TCK")


class Meter:
    """Measures what happens between `start` and `sample`."""

    def __init__(self, server_pid: int | None) -> None:
        self._server_pid = server_pid

    def start(self) -> None:
        """Start the clocks."""
        self._server = self._server_cpu()
        self._machine = _machine_cpu()
        self._client = time.process_time()
        self._wall = time.perf_counter()

    def sample(
        self,
        jobs: int,
        *,
        window: float | None = None,
        settled: float | None = None,
        members: float = 0.0,
    ) -> Sample:
        """Return what was measured; `window` replaces the wall time as the base of the rate.

        `members` is the processor time of other processes that were the client too.
        """
        wall = time.perf_counter() - self._wall
        client = time.process_time() - self._client + members
        machine = _machine_cpu() - self._machine
        server = self._server_cpu() - self._server if self._server_pid else None
        others = max(0.0, machine - client - (server or 0.0)) / wall
        return Sample(jobs, window or wall, client, server, others, settled)

    def _server_cpu(self) -> float:
        return _tree_cpu(self._server_pid) if self._server_pid else 0.0


class Ledger:
    """Which jobs were handled, and when; kept as cheaply as can be, for it is on the clock."""

    def __init__(self) -> None:
        self.ids: list[Hashable] = []
        self.starts: list[float] = []
        self.settled_at = 0.0

    def record(self, job_id: Hashable) -> None:
        """Note that the handler of this job starts now."""
        self.ids.append(job_id)
        self.starts.append(time.perf_counter())

    def settle(self) -> None:
        """Note that a finish is on disk."""
        self.settled_at = time.perf_counter()

    def verify(self, jobs: int, left: int) -> None:
        """Refuse a run in which a job was lost, done twice or left."""
        if len(self.ids) != jobs or len(set(self.ids)) != jobs or left:
            raise RuntimeError(
                f"{jobs} jobs: {len(self.ids)} handled, {len(set(self.ids))} of them different, "
                f"{left} left"
            )

    def sample(self, meter: Meter, members: float = 0.0) -> Sample:
        """Return the sample of a drain, by `members` if it was by other processes."""
        first = self.starts[0]
        settled = self.settled_at - first if self.settled_at else None
        window = self.starts[-1] - first
        return meter.sample(len(self.ids) - 1, window=window, settled=settled, members=members)


def _machine_cpu() -> float:
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) * TICK


def _tree_cpu(root: int) -> float:
    """Return the processor time of a server: its main process, the children it has and had."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid, parent = int(entry.name), int(fields[1])
        if pid == root:
            total += sum(map(int, fields[11:15])) * TICK
        elif parent == root:
            total += sum(map(int, fields[11:13])) * TICK
    return total
