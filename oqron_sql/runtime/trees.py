"""Trees of jobs as people write them, and the jobs that they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from oqron_sql.contract import Job, JobOptions, JobState, new_job
from oqron_sql.contract.options import DEFAULT_OPTIONS
from oqron_sql.errors import InvalidInput
from oqron_sql.hiding import hiding
from oqron_sql.runtime.orders import heeded


@hiding("data")
@dataclasses.dataclass(frozen=True, slots=True)
class FlowJob:
    """A job of a flow and those that have to end before it runs; each in a queue of its choice.

    What becomes of it when a child fails is said by `JobOptions.fail_parent_on_child_failure`.
    """

    queue: str
    name: str
    data: Any = None
    opts: JobOptions = DEFAULT_OPTIONS
    children: Sequence[FlowJob] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """One job of a tree that is to be saved, and its branches."""

    job: Job
    branches: Sequence[Branch]

    def jobs(self) -> Iterator[Job]:
        """Yield all jobs, children before their parents."""
        for branch in self.branches:
            yield from branch.jobs()
        yield self.job


def grow(root: FlowJob) -> Branch:
    """Return the jobs of a flow, linked to each other.

    Raises:
        InvalidInput: a name or an option cannot be what it is, or not of a job with children.
    """
    job = new_job(root.queue, root.name, root.data, heeded(root.opts))
    branches = [grow(child) for child in root.children]
    if branches:
        _wait_for(job, [branch.job for branch in branches])
    return Branch(job, branches)


def _wait_for(parent: Job, children: Sequence[Job]) -> None:
    if parent.opts.delay or parent.opts.deduplication:
        what = "delay" if parent.opts.delay else "deduplication"
        raise InvalidInput(
            what, parent.name, "cannot be asked of a job with children, which runs when they end"
        )
    for child in children:
        child.parent_id, child.parent_queue_name = parent.id, parent.queue_name
    parent.state = JobState.WAITING_CHILDREN
    parent.pending_children_count = len(children)
    parent.children_ids = [child.id for child in children]
