"""How each question is asked of one contestant, and in which order of all."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from oqron_sql.bench import model
from oqron_sql.bench.model import QUESTIONS, Contestant, Question, Result, SideFailed, Work
from oqron_sql.bench.troupe import Member, Troupe

Pair = tuple[Member, Member]
Ask = Callable[[Pair, Work, str], Awaitable[float | None]]
"""Asks one question, in a queue of its own; returns the figure, None if there is none."""
Tell = Callable[[str], None]
WARM_UP = Work(jobs=100, rounds=1)


async def ask_all(
    contestants: Sequence[Contestant], troupe: Troupe, result: Result, tell: Tell
) -> None:
    """Ask everybody every question in every round; `tell` is told what is asked next.

    Whoever fails takes part no more. In each round another one is the first to be asked.

    Raises:
        SideFailed: one of ours did.
    """
    pairs: dict[Contestant, Pair] = {}
    for contestant in contestants:
        tell(f"{contestant.label}: tables")
        with _forgiving(contestant, result, pairs):
            pairs[contestant] = pair = await troupe.enter(contestant)
            await _drain(2)(pair, WARM_UP, "warm-up")
    for number in range(result.work.rounds):
        for question in QUESTIONS:
            entered = list(pairs)
            turn = number % max(1, len(entered))
            for contestant in entered[turn:] + entered[:turn]:
                tell(f"{contestant.label}: {question.title}")
                with _forgiving(contestant, result, pairs):
                    await _ask(question, contestant, pairs[contestant], number, result)


@contextlib.contextmanager
def _forgiving(
    contestant: Contestant, result: Result, pairs: dict[Contestant, Pair]
) -> Iterator[None]:
    """Let a peer that fails leave, with its reason in the result."""
    try:
        yield
    except SideFailed as error:
        if not contestant.peer:
            raise
        pairs.pop(contestant, None)
        result.failures[contestant.label] = str(error)


async def _ask(
    question: Question, contestant: Contestant, pair: Pair, number: int, result: Result
) -> None:
    queue = f"{question.name}-{number}"
    figure = await ASKED[question.name](pair, result.work, queue)
    if figure is not None:
        result.note(question, contestant.label, figure)
    await pair[0].do("clear", queue=queue)


def _add(in_flight: int) -> Ask:
    async def ask(pair: Pair, work: Work, queue: str) -> float | None:
        took = await pair[0].do("add", queue=queue, jobs=work.single, in_flight=in_flight)
        return float(work.single / took)

    return ask


async def _bulk(pair: Pair, work: Work, queue: str) -> float | None:
    took = await pair[0].do("bulk", queue=queue, jobs=work.jobs)
    return None if took is None else float(work.jobs / took)


def _drain(processes: int) -> Ask:
    async def ask(pair: Pair, work: Work, queue: str) -> float | None:
        await pair[0].do("bulk", queue=queue, jobs=work.jobs)
        return await _run(pair[:processes], work.jobs, queue=queue)

    return ask


async def _backlog(pair: Pair, work: Work, queue: str) -> float | None:
    await pair[0].do("bulk", queue=queue, jobs=work.some + work.backlog)
    return await _run(pair[:1], work.some, queue=queue, limit=work.some)


async def _grouped(pair: Pair, work: Work, queue: str) -> float | None:
    if await pair[0].do("bulk", queue=queue, jobs=work.some, grouped=True) is None:
        return None
    return await _run(pair[:1], work.some, queue=queue, grouped=True)


async def _pick_up(pair: Pair, work: Work, queue: str) -> float | None:
    worker, adder = pair
    await worker.do("serve", queue=queue)
    try:
        await adder.do("post", queue=queue, jobs=work.pick_ups)
    finally:
        waits = await worker.do("stop")
    return float(1000 * statistics.median(waits))


async def _run(members: Sequence[Member], jobs: int, **how: Any) -> float:
    """Let processes run all jobs; return how many began in a second of all that took."""
    runs = await asyncio.gather(*(member.do("drain", **how) for member in members))
    begun = [run for run in runs if run[0]]
    counted = sum(count for count, _, _ in begun)
    if counted != jobs:
        raise SideFailed(f"of {jobs} jobs {counted} were run")
    first, last = min(run[1] for run in begun), max(run[2] for run in begun)
    return jobs / float(last - first)


ASKED: Mapping[str, Ask] = {
    model.ADD.name: _add(1),
    model.ADD_TEN.name: _add(10),
    model.BULK.name: _bulk,
    model.DRAIN.name: _drain(1),
    model.DRAIN_TWO.name: _drain(2),
    model.BACKLOG.name: _backlog,
    model.GROUPED.name: _grouped,
    model.PICK_UP.name: _pick_up,
}
