"""For how long the models are walked: a little by default, `OQRON_STEPS` calls if it is given."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from tests.model.twins import Steps
from tests.model.walking import Differs, walk

STEPS = int(os.environ.get("OQRON_STEPS", "150"))
FIRST_SEED = int(os.environ.get("OQRON_SEED", "1"))
LENGTH = 150


def run(
    what: str, opening: Callable[[int], AbstractContextManager[Steps[Any]]], share: int = 1
) -> None:
    """Walk on with one seed after another until so many calls were compared, or that share.

    A walk that shows a difference counts as if all of its steps had been taken.
    """
    calls, seed, wanted = 0, FIRST_SEED, STEPS // share
    differences: list[str] = []
    while calls < wanted:
        length = min(LENGTH, wanted - calls)
        try:
            calls += walk(partial(opening, seed), seed, length)
        except Differs as difference:
            calls += length
            differences.append(str(difference))
            print(difference, flush=True)
        seed += 1
    found = f"{len(differences)} differences" if differences else "answered alike"
    print(f"{what}: {calls} calls, {found}, seeds {FIRST_SEED} to {seed - 1}")
    assert not differences, "\n\n".join(differences)
