"""The adapters in memory are a model of every other: told the same, they answer the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from oqron_sql.memory import MemoryBroker, MemoryLock, MemoryStorage
from tests.backends import Backends
from tests.conftest import installed
from tests.model.broker_steps import BrokerSteps
from tests.model.lock_steps import LockSteps
from tests.model.opened import OpenedAdapters
from tests.model.runs import run
from tests.model.storage_steps import StorageSteps
from tests.model.twins import Steps, Twins

PORTS: dict[str, tuple[Any, type[Steps[Any]]]] = {
    "storage": (MemoryStorage, StorageSteps),
    "broker": (MemoryBroker, BrokerSteps),
    "lock": (MemoryLock, LockSteps),
}


@pytest.mark.parametrize("port", PORTS)
def test_an_adapter_answers_as_memory_does(
    adapter_modelled: str, port: str, backends: Backends
) -> None:
    with asyncio.Runner() as loop, installed():
        opened = OpenedAdapters(adapter_modelled, backends, loop)
        with contextlib.closing(opened):
            what = f"{port} on {adapter_modelled}"
            run(what, lambda _: opening(port, opened, loop), share=len(PORTS))


@contextlib.contextmanager
def opening(port: str, opened: OpenedAdapters, loop: asyncio.Runner) -> Iterator[Steps[Any]]:
    """Give an empty adapter beside the one in memory."""
    reference, steps = PORTS[port]
    with opened.adapter(port) as adapter:
        twins = Twins(reference(clock=opened.clock), adapter, opened.clock, loop, opened.drop)
        made = steps(twins)
        try:
            yield made
        finally:
            made.close()
