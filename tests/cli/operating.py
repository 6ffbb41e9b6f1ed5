"""A database with a queue in every state, and the commands run on it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from oqron_sql import Complete, Fail, JobOptions, SQLStore, new_job
from oqron_sql.contract import Clock
from oqron_sql.testing.steps import PAYLOAD
from tests.canary import CANARY

HOSTILE = "[bold red]mail[/] \N{SNOWMAN} '\""
LEASE = timedelta(hours=2)
SHOWING = {("jobs", "show"), ("schedules", "show"), ("schedules", "add")}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended that ran in this process, where it need not import everything again."""

    status: object
    said: str
    errors: str


@dataclasses.dataclass(frozen=True)
class Operator:
    """Somebody with a database and the command line."""

    url: str
    run_here: Callable[..., Outcome]

    @property
    def blocking_url(self) -> str:
        """The URL for whoever cannot await."""
        return self.url.replace("+asyncpg", "+psycopg")

    def run(self, *arguments: str) -> Outcome:
        if arguments[:2] in SHOWING:
            with CANARY.looking_away():
                return self.run_here(*arguments, "--url", self.url)
        return self.run_here(*arguments, "--url", self.url)

    def read(self, *arguments: str, status: int = 0) -> Any:
        outcome = self.run(*arguments, "--json")
        assert outcome.status == status, outcome.errors
        return json.loads(outcome.said)

    def store(self, ago: timedelta = timedelta(0)) -> SQLStore:
        """Return a store whose clock is so far behind, connected."""
        clock = Clock()
        clock.advance(-ago)
        store = SQLStore(self.blocking_url, clock=clock)
        store.connect()
        return store

    def fill(self, queue: str = HOSTILE, ago: timedelta = timedelta(0)) -> dict[str, str]:
        """Save a job of each kind and return their ids by state."""
        with self.store(ago) as store:
            for _ in range(3):
                store.save_job(queue, new_job(queue, "welcome [red]", {"to": PAYLOAD}))
            completed, failed, active = store.fetch_jobs(queue, "worker-1", LEASE, 3)
            store.finish_jobs(queue, [Complete(completed, {"sent": PAYLOAD})])
            store.finish_jobs(queue, [Fail(failed, "no such address\nat all", "Trace\x1b[2J")])
            later = JobOptions(delay=timedelta(days=1))
            delayed = store.save_job(queue, new_job(queue, "later", PAYLOAD, later))
            waiting = store.save_job(queue, new_job(queue, "welcome [red]", PAYLOAD))
        return {
            "completed": completed.id,
            "failed": failed.id,
            "active": active.id,
            "delayed": delayed,
            "waiting": waiting,
        }
