"""For how long the models are walked: a little by default, `OQRON_STEPS` calls if it is given."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from tests.model.twins import Steps
from tests.model.walking import walk

STEPS = int(os.environ.get("OQRON_STEPS", "150"))
FIRST_SEED = int(os.environ.get("OQRON_SEED", "1"))
LENGTH = 150


def run(
    what: str, opening: Callable[[int], AbstractContextManager[Steps[Any]]], share: int = 1
) -> None:
    """Walk on with one seed after another until so many calls were compared, or that share."""
    calls, seed, wanted = 0, FIRST_SEED, STEPS // share
    while calls < wanted:
        calls += walk(partial(opening, seed), seed, min(LENGTH, wanted - calls))
        seed += 1
    print(f"{what}: {calls} calls answered alike, seeds {FIRST_SEED} to {seed - 1}")
