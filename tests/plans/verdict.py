"""What is wrong with how an operation was carried out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tests.plans.plan import PRIMARY, Seen

# Looked up by the job, whatever the operation.
BESIDE = ("history", "retention")
# What may be spent: on each operation, on each job it changes, on each row it reads besides. A
# changed job is found, and has entries in up to a dozen indexes; a block is 8 kB of PostgreSQL's, a
# step one instruction of SQLite's virtual machine.
ALLOWED = {"rows": (20, 5, 2), "blocks": (50, 60, 2), "steps": (500, 350, 70)}


class Operation(Protocol):
    """What an operation may cost, as `operations.Operation` describes it."""

    @property
    def changes(self) -> int: ...

    @property
    def reads(self) -> int: ...

    @property
    def by(self) -> tuple[str, ...]: ...

    @property
    def sorts(self) -> bool: ...

    @property
    def unknowing(self) -> int | None: ...

    @property
    def whole_on(self) -> tuple[str, ...]: ...


def problems(operation: Operation, seen: Seen, kind: str) -> Iterator[str]:
    """Say what is wrong where the statistics are as usual."""
    yield from _wrong_ways(operation, seen, kind)
    if not operation.sorts:
        yield from (f"it sorts: {sort}" for sort in seen.sorts())
    if kind not in operation.whole_on:
        yield from _too_dear(operation, seen, operation.reads)


def problems_unknowing(operation: Operation, seen: Seen, kind: str) -> Iterator[str]:
    """Say what is wrong where they are not: a batch may be sorted, but nothing long be read."""
    yield from _wrong_ways(operation, seen, kind)
    yield from _too_dear(operation, seen, operation.reads + (operation.unknowing or 0))


def _wrong_ways(operation: Operation, seen: Seen, kind: str) -> Iterator[str]:
    ways = seen.accesses()
    for way in ways:
        if way.whole and kind not in operation.whole_on:
            yield f"it reads all of {way.table}, by {way.index}"
        elif (
            way.table not in BESIDE and not way.whole and way.index not in (PRIMARY, *operation.by)
        ):
            yield f"it goes by {way.index}"
    # A condition that cannot hold needs no access at all.
    if ways and operation.by and not {way.index for way in ways} & set(operation.by):
        yield f"it does not go by {' or '.join(operation.by)}"


def _too_dear(operation: Operation, seen: Seen, reads: int) -> Iterator[str]:
    for unit, cost in seen.costs.items():
        each, per_change, per_read = ALLOWED[unit]
        allowed = each + per_change * operation.changes + per_read * reads
        if cost > allowed:
            yield f"it costs {cost} {unit}, and {allowed} are allowed"
