"""Every method of the contract is asked for by some step, and each of its parameters given."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from oqron_sql import MemoryStore, Metrics
from oqron_sql.contract import (
    AttemptRecord,
    Clock,
    FetchOptions,
    Job,
    JobOptions,
    JobUpdate,
    RateLimit,
    SearchFilter,
    StoreEvent,
)
from oqron_sql.contract.adapters import Broker, Lock, Message, OrderBy, Storage, Where
from oqron_sql.contract.options import Backoff, Deduplication, Group, Repeat
from oqron_sql.contract.schedules import Schedule
from oqron_sql.contract.store import Store
from oqron_sql.memory import MemoryBroker, MemoryLock, MemoryStorage
from tests.model.broker_steps import BrokerSteps
from tests.model.lock_steps import LockSteps
from tests.model.storage_steps import StorageSteps
from tests.model.store_steps import StoreSteps
from tests.model.twins import Both, Steps, Twins
from tests.model.walking import walk

WALKS = 60
LENGTH = 150
OPTIONS = (JobOptions, Backoff, Deduplication, Group, Repeat)
# A contract, what is given to it, what is walked, and how.
PORTS: dict[str, tuple[Any, tuple[type, ...], Any, type[Steps[Any]]]] = {
    "store": (
        Store,
        (Job, AttemptRecord, *OPTIONS, FetchOptions, RateLimit, SearchFilter, Schedule, StoreEvent),
        partial(MemoryStore, metrics=Metrics()),
        StoreSteps,
    ),
    "storage": (Storage, (Where, OrderBy), MemoryStorage, StorageSteps),
    "broker": (Broker, (Message,), MemoryBroker, BrokerSteps),
    "lock": (Lock, (), MemoryLock, LockSteps),
}
# What a store writes by itself, whatever it is given.
NOT_GIVEN = {
    *(f"Schedule.{name}" for name in ("paused", "fired", "anchor", "last_slot", "next_slot")),
    *("Schedule.version", "Schedule.error", "Job.seq", "StoreEvent.timestamp"),
}


class Noting(Twins):
    """Notes what both are given."""

    def __init__(self, contract: Any, given: set[str], *args: Any) -> None:
        super().__init__(*args)
        self._contract, self._given = contract, given

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Both:
        told = {name: each for name, each in kwargs.items() if name not in ("in_any_order", "by")}
        signature = inspect.signature(getattr(self._contract, method))
        for name, value in signature.bind(None, *args, **told).arguments.items():
            if value is not signature.parameters[name].default:
                self._given.add(f"{method}({name})")
            note(value, name, self._given)
        self._given.add(f"{method}()")
        return super().call(method, *args, **kwargs)


def note(value: Any, name: str, given: set[str]) -> None:
    """Note which fields of `value` differ from what they are by default."""
    if isinstance(value, list | tuple):
        for each in value:
            note(each, name, given)
    elif name == "updates" and isinstance(value, Mapping):
        given |= {f"JobUpdate.{each}" for each in value}
    elif dataclasses.is_dataclass(value) and not isinstance(value, Both | type):
        for field in dataclasses.fields(value):
            each = getattr(value, field.name)
            if each != field.default:
                given.add(f"{type(value).__name__}.{field.name}")
                note(each, field.name, given)


def wanted(contract: Any, given: tuple[type, ...]) -> set[str]:
    """Return all that is to be asked for."""
    named = {
        f"{method}({name})"
        for method, function in inspect.getmembers(contract, inspect.isfunction)
        if not method.startswith("_")
        for name in ["", *inspect.signature(function).parameters]
        if name != "self"
    }
    fields = {f"{each.__name__}.{f.name}" for each in given for f in dataclasses.fields(each)}
    updates = {f"JobUpdate.{name}" for name in JobUpdate.__annotations__}
    return (named | fields | (updates if contract is Store else set())) - NOT_GIVEN


@pytest.mark.parametrize("port", PORTS)
def test_all_of_the_contract_is_walked(port: str) -> None:
    contract, types, made, steps = PORTS[port]
    given: set[str] = set()

    @contextlib.contextmanager
    def opening(loop: asyncio.Runner) -> Iterator[Steps[Any]]:
        clock = Clock()
        both = (made(clock=clock) for _ in range(2))
        yield steps(Noting(contract, given, *both, clock, loop))

    with asyncio.Runner() as loop:
        for seed in range(WALKS):
            walk(partial(opening, loop), seed, LENGTH)
    assert wanted(contract, types) - given == set()
