"""The protocols keep their promises in any order of steps; the checker sees when one does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model.small import (
    batch,
    dedup,
    extending,
    fencing,
    group,
    lease,
    migration,
    promotion,
    recovery,
    slot,
)
from tests.model.small.engine import Model, check

PROTOCOLS = (lease, extending, batch, recovery, promotion, dedup, group, slot, migration, fencing)


def variants(kind: str) -> list[Any]:
    return [
        pytest.param(model, id=f"{module.__name__.rpartition('.')[2]}: {name}")
        for module in PROTOCOLS
        for name, model in getattr(module, kind).items()
    ]


@pytest.mark.parametrize("model", variants("SOUND"))
def test_a_protocol_is_sound_in_any_order(model: Model[Any]) -> None:
    verdict = check(model)
    print(verdict)
    assert verdict.problem is None, str(verdict)
    assert verdict.states > 20, "it tries nothing"


@pytest.mark.parametrize("model", variants("BROKEN"))
def test_a_broken_one_is_found_out(model: Model[Any]) -> None:
    """With the shortest way there: `pytest -rP` shows all of them."""
    verdict = check(model)
    print(verdict)
    assert verdict.problem is not None
    assert len(verdict.trace) >= 2
