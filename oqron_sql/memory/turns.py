"""Which waiting jobs a fetch may take, and how groups take turns."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator

from oqron_sql.contract.model import JobState
from oqron_sql.contract.options import FetchOptions
from oqron_sql.memory.data import QueueData, Record


def is_wanted(queue: QueueData, record: Record, opts: FetchOptions) -> bool:
    """Whether pauses and the fetch's own filters let this job run."""
    job = record.job
    return (
        job.name not in queue.paused_names
        and opts.job_name in (None, job.name)
        and (job.group_id is None or job.group_id not in opts.exclude_groups)
    )


def take_turns(
    queue: QueueData, candidates: Iterable[Record], n: int, opts: FetchOptions
) -> Iterator[Record]:
    """Yield up to `n` jobs, each from the group that was served longest ago, or first by name.

    Jobs without a group form one more group, which no cap applies to. Whoever is served goes to
    the end of the line, so nobody is served twice in a round.
    """
    lines: dict[str | None, deque[Record]] = defaultdict(deque)
    for record in candidates:
        lines[record.job.group_id].append(record)
    room = _room_per_group(queue, lines, opts)

    def turn(group: str | None) -> tuple[int, str]:
        return queue.turns.get(group, 0), group or ""

    for _ in range(n):
        ready = [group for group, line in lines.items() if line and room[group] > 0]
        if not ready:
            return
        group = min(ready, key=turn)
        queue.last_turn += 1
        queue.turns[group] = queue.last_turn
        room[group] -= 1
        yield lines[group].popleft()


def _room_per_group(
    queue: QueueData, groups: Iterable[str | None], opts: FetchOptions
) -> dict[str | None, float]:
    cap = math.inf if opts.group_concurrency is None else opts.group_concurrency
    active = Counter(r.job.group_id for r in queue.states[JobState.ACTIVE].values())
    return {group: math.inf if group is None else cap - active[group] for group in groups}
