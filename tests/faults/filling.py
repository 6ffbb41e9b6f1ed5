"""What is full for a while: the disk of a database, or the memory that it may use."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Mapping

from tests import servers
from tests.faults.run import Run
from tests.faults.stages import DURABLE

MEBIBYTE = 2**20
DISK = 128 * MEBIBYTE
"""What an empty server takes, and what a run of some minutes does."""
KINDS: Mapping[str, type[servers.Server]] = {
    "postgresql": servers.PostgreSQL,
    "mariadb": servers.MariaDB,
    "redis": servers.Redis,
}
SMALL: Mapping[str, Mapping[str, str]] = {
    "postgresql": {"max_wal_size": "32MB", "min_wal_size": "32MB"},
    "mariadb": {"innodb-log-file-size": str(8 * MEBIBYTE)},
    "redis": {},
}


@contextlib.asynccontextmanager
async def on_a_small_disk(run: Run) -> AsyncIterator[None]:
    """Have the database, or a server for this run, on a small disk, which only root can make."""
    if os.geteuid() != 0:
        raise servers.Missing("only root can make a small disk")
    kind, disk = run.stage.backend.server, run.folder / "disk"
    disk.mkdir()
    mounted = await asyncio.create_subprocess_exec(
        "mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disk
    )
    if await mounted.wait():
        raise servers.Missing("a small disk cannot be mounted here")
    try:
        if kind is None:
            run.stage = dataclasses.replace(run.stage, folder=disk)
            yield
            return
        with servers.running(KINDS[kind], {**DURABLE[kind], **SMALL[kind]}, disk) as server:
            run.stage = dataclasses.replace(run.stage, server=server, folder=disk)
            run.database = run.stage.fresh()
            yield
    finally:
        await (await asyncio.create_subprocess_exec("umount", "-l", disk)).wait()


async def fill_disk(run: Run) -> None:
    """The disk is full for a while; a server that ends because of it is started again."""
    ballast = run.stage.folder / "ballast"
    while await run.rest(0.2, 0.5):
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(65536)):
                pass
        run.injected += 1
        await run.rest(0.3, 1)
        ballast.unlink()
        if run.stage.server is not None:
            await asyncio.to_thread(run.stage.server.revive)


async def fill_memory(run: Run) -> None:
    """The server may use no more memory for a while, and refuses what needs any."""
    with run.stage.client() as client:
        while await run.rest(0.2, 0.5):
            client.config_set("maxmemory", 1)
            run.injected += 1
            try:
                await run.rest(0.3, 1)
            finally:
                client.config_set("maxmemory", 0)
