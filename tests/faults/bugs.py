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
from tests.faults import bugs_in_steps as steps


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
        Bug("finish-by-state", leases.finish_by_state, "pause", "stale"),
        Bug("extend-by-id", leases.extend_by_id, "pause", "shared"),
        Bug(
            "extend-however-late",
            leases.extend_however_late,
            *("deadlock", "shared", "pg-asyncpg"),
        ),
        Bug("claim-in-two-steps", leases.claim_in_two_steps, "kill", "shared"),
        Bug("claim-without-lock", steps.claim_without_lock, "kill", "shared", "pg-asyncpg"),
        Bug("claim-by-in-subselect", steps.claim_by_in_subselect, "cap", "exceeded", "pg-asyncpg"),
        Bug("clock-of-the-client", leases.clock_of_the_client, "kill", "shared"),
        Bug("recovery-takes-all", leases.recovery_takes_all, "kill", "shared"),
        Bug("promotion-in-two-steps", steps.promotion_in_two_steps, "kill", "shared"),
        Bug("enqueue-acknowledged-early", leases.enqueue_acknowledged_early, "kill", "lost"),
        Bug("job-acknowledged-early", leases.job_acknowledged_early, "kill", "unfounded"),
        Bug("finish-forgotten", leases.finish_forgotten, "kill", "ended_twice"),
        Bug("key-is-not-unique", leases.key_is_not_unique, "keys", "doubled"),
        Bug("cap-without-turns", limits.limits_without_turns, "cap", "exceeded"),
        Bug("limit-is-a-counter", steps.limit_is_a_counter, "cap", "lost"),
        Bug("rate-without-turns", limits.limits_without_turns, "rate", "hurried"),
        Bug("group-counted-early", limits.group_counted_early, "groups", "exceeded"),
        Bug("newest-first", limits.newest_first, "order", "out_of_order"),
        Bug("queue-forgotten", limits.queue_forgotten, "apart", "strayed"),
        Bug("migration-without-lock", limits.migration_without_lock, "start-at-once", "died"),
        Bug("slots-in-two-steps", limits.slots_in_two_steps, "schedules", "slots"),
        Bug("slots-looked-at-first", limits.slots_looked_at_first, "schedules", "slots"),
        Bug("id-taken-out-by-name", limits.id_taken_out_by_name, "pause", "stale", "redis"),
        Bug("id-popped", steps.id_popped, "kill", "lost", "redis"),
        Bug("fence-stays", limits.fence_stays, "locks", "fences"),
        Bug("lock-taken-in-two-steps", limits.lock_taken_in_two_steps, "locks", "held_twice"),
        Bug("lock-renewed-by-all", limits.lock_renewed_by_all, "locks", "held_twice"),
        Bug(
            "lock-renewed-in-two-steps",
            steps.lock_renewed_in_two_steps,
            *("locks", "held_twice", "redis"),
        ),
    )
}


def plant(name: str) -> None:
    """Let this process have the bug of that name, and forget what it has prepared without it."""
    BUGS[name].plant()
    for module in (fetch, finishing, groups, queries.leases, locks, saving):
        for each in vars(module).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()
