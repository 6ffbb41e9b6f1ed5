"""The memory store is a model of every other: told the same, they answer the same."""

from __future__ import annotations

import asyncio
import os
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from oqron_sql import MemoryStore, Metrics, SQLStore
from tests.backends import Backends, SQLHarness
from tests.conftest import installed
from tests.model.machine import StoreMachine
from tests.model.twins import Twins

STEPS = int(os.environ.get("OQRON_STEPS", "0"))
FIRST_SEED = int(os.environ.get("OQRON_SEED", "1"))
LENGTH = 60
EXAMPLES = 3
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=LENGTH,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@pytest.mark.skipif(not STEPS, reason="nox -s model says for how many steps")
def test_a_store_answers_as_memory_does(modelled: str, backends: Backends) -> None:
    """`OQRON_STEPS` says for how long; one that fails is had again with the seed printed last."""
    StoreMachine.steps = 0
    number = FIRST_SEED
    with asyncio.Runner() as loop, installed():
        while StoreMachine.steps < STEPS:
            print(f"{modelled}: OQRON_SEED={number} after {StoreMachine.steps} steps", flush=True)
            machine = opening(modelled, backends, loop, measured=number % 2 == 0)
            run_state_machine_as_test(seed(number)(machine), settings=SETTINGS)
            number += 1
    print(f"{modelled}: {StoreMachine.steps} steps, seeds {FIRST_SEED} to {number - 1}")


def opening(
    name: str, backends: Backends, loop: asyncio.Runner, *, measured: bool
) -> type[StoreMachine]:
    """Return a machine on a backend, with metrics or without; each run finds an empty store."""
    metrics = Metrics() if measured else None

    class Machine(StoreMachine):
        def open(self) -> Twins:
            harness = cast("SQLHarness", backends.harness(name))
            self.close = harness.close
            made = harness.make(metrics)
            store = loop.run(harness.keep(made))
            blocking: SQLStore | None = getattr(store, "_store", None)
            reference = MemoryStore(clock=harness.clock, metrics=metrics)
            # One that blocks is asked without the threads that the kit calls it in.
            return Twins(reference, blocking or store, harness.clock, loop)

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                loop.run(self.close())

    return Machine
