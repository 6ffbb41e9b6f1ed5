"""The memory store is a model of every other: told the same, they answer the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from oqron_sql import MemoryStore, Metrics
from tests.backends import Backends
from tests.conftest import installed
from tests.model.given import QUEUES
from tests.model.opened import OpenedStores
from tests.model.runs import run
from tests.model.store_steps import StoreSteps
from tests.model.twins import Twins


def test_a_store_answers_as_memory_does(modelled: str, backends: Backends) -> None:
    with asyncio.Runner() as loop, installed():
        opened = OpenedStores(modelled, backends, loop)
        with contextlib.closing(opened):
            run(f"store on {modelled}", lambda seed: opening(opened, loop, seed))


@contextlib.contextmanager
def opening(opened: OpenedStores, loop: asyncio.Runner, seed: int) -> Iterator[StoreSteps]:
    """Give an empty store beside memory, with metrics or without."""
    metrics = Metrics() if seed % 2 else None
    store = opened.store(metrics)
    reference = MemoryStore(clock=opened.clock, metrics=metrics)
    try:
        yield StoreSteps(Twins(reference, store, opened.clock, loop, opened.drop))
    finally:
        for queue in QUEUES:
            store.unsubscribe(queue)
