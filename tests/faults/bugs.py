"""Bugs that are planted in the processes of a run, to see whether the checks find them.

Each is one that queues were shipped with, or nearly. The product knows nothing of them: a process
that is told to have one changes the product's functions for itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from oqron_sql import queries
from oqron_sql.queries import fetch, finishing, groups, locks, saving
from tests.faults import bugs_in_leases as leases
from tests.faults import bugs_in_limits as limits


@dataclasses.dataclass(frozen=True, slots=True)
class Bug:
    """What is wrong, in which run it shows, and which check is to find it."""

    name: str
    plant: Callable[[], None]
    fault: str
    check: str
    stage: str = "sqlite-thread"

    @property
    def about(self) -> str:
        return (self.plant.__doc__ or "").strip()


BUGS = {
    bug.name: bug
    for bug in (
        Bug("lease-is-not-counted", leases.lease_is_not_counted, "kill", "shared"),
        Bug("finish-by-owner", leases.finish_by_owner, "pause", "stale"),
        Bug("finish-by-id", leases.finish_by_id, "pause", "ended_twice"),
        Bug("extend-by-id", leases.extend_by_id, "pause", "shared"),
        Bug("claim-in-two-steps", leases.claim_in_two_steps, "kill", "shared"),
        Bug("clock-of-the-client", leases.clock_of_the_client, "kill", "shared"),
        Bug("recovery-takes-all", leases.recovery_takes_all, "kill", "shared"),
        Bug("enqueue-acknowledged-early", leases.enqueue_acknowledged_early, "kill", "lost"),
        Bug("job-acknowledged-early", leases.job_acknowledged_early, "kill", "unfounded"),
        Bug("finish-forgotten", leases.finish_forgotten, "kill", "ended_twice"),
        Bug("key-is-not-unique", leases.key_is_not_unique, "keys", "doubled"),
        Bug("cap-without-turns", limits.limits_without_turns, "cap", "exceeded"),
        Bug("rate-without-turns", limits.limits_without_turns, "rate", "hurried"),
        Bug("group-counted-early", limits.group_counted_early, "groups", "exceeded"),
        Bug("newest-first", limits.newest_first, "order", "out_of_order"),
        Bug("queue-forgotten", limits.queue_forgotten, "apart", "strayed"),
        Bug("migration-without-lock", limits.migration_without_lock, "start-at-once", "died"),
        Bug("slots-in-two-steps", limits.slots_in_two_steps, "schedules", "slots"),
        Bug("slots-looked-at-first", limits.slots_looked_at_first, "schedules", "slots"),
        Bug("id-taken-out-by-name", limits.id_taken_out_by_name, "pause", "stale", "redis"),
        Bug("fence-stays", limits.fence_stays, "locks", "fences"),
        Bug("lock-taken-in-two-steps", limits.lock_taken_in_two_steps, "locks", "held_twice"),
        Bug("lock-renewed-by-all", limits.lock_renewed_by_all, "locks", "held_twice"),
    )
}


def plant(name: str) -> None:
    """Let this process have the bug of that name, and forget what it has prepared without it."""
    BUGS[name].plant()
    for module in (fetch, finishing, groups, queries.leases, locks, saving):
        for each in vars(module).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()
