"""Firing the slots of a queue that are due: what workers and schedulers do alike."""

from __future__ import annotations

from datetime import timedelta

from oqron_sql.contract import AsyncStore, EventType, Outlook
from oqron_sql.runtime.notes import Tell

AT_ONCE = 100


async def fire(store: AsyncStore, queue: str, outlook: Outlook, tell: Tell) -> bool:
    """Fire what the outlook says is due, a bounded part of it; tell whether to look again now."""
    if outlook.fires_in is None or outlook.fires_in > timedelta(0):
        return False
    fired = await store.fire_schedules(queue, limit=AT_ONCE)
    for slot in fired:
        tell(EventType.JOB_WAITING, slot.job_id, None)
    # What is due next may come before it is time to look; if nothing was fired, others are at it.
    return bool(fired)
