"""Flows: trees of jobs over several queues, saved in one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from oqron_sql.contract import AsyncStore, Job, Store, StoreEvent
from oqron_sql.runtime import orders
from oqron_sql.runtime.handles import BlockingJobHandle, JobHandle
from oqron_sql.runtime.stores import fitting
from oqron_sql.runtime.telling import joined, tell, tell_blocking
from oqron_sql.runtime.trees import Branch, FlowJob, grow

H = TypeVar("H")


@dataclasses.dataclass(frozen=True, slots=True)
class Flow(Generic[H]):
    """A job that was saved with its children, and the handle of each."""

    job: H
    children: Sequence[Flow[H]] = ()


class FlowProducer:
    """Saves flows, for callers that await, on a store that they connect and disconnect.

    Raises:
        ConfigurationError: the store is not awaited; `BlockingFlowProducer` takes one that blocks.
    """

    def __init__(self, store: AsyncStore) -> None:
        self.store = fitting(store, "FlowProducer", awaited=True)

    async def add(self, root: FlowJob, *, session: Any = None) -> Flow[JobHandle]:
        """Save a tree of jobs, all or none; with the host's `session`, in its transaction.

        A child that another job stands for, by its deduplication key, is not waited for.

        Raises:
            InvalidInput: a name, an option or a payload cannot be what it is.
            GroupFull: as many jobs of a group wait as may.
        """
        tree, store = grow(root), joined(self.store, session)
        ids = iter(await store.save_flow(list(tree.jobs())))
        await tell(store, _heard(store, tree))
        return _handles(tree, ids, lambda queue, id_: JobHandle(self.store, queue, id_))


class BlockingFlowProducer:
    """Saves flows, for callers that block, on a store that they connect and disconnect.

    Raises:
        ConfigurationError: the store is awaited, which `FlowProducer` is for.
    """

    def __init__(self, store: Store) -> None:
        self.store = fitting(store, "BlockingFlowProducer", awaited=False)

    def add(self, root: FlowJob, *, session: Any = None) -> Flow[BlockingJobHandle]:
        """Save a tree of jobs, all or none; with the host's `session`, in its transaction.

        A child that another job stands for, by its deduplication key, is not waited for.

        Raises:
            InvalidInput: a name, an option or a payload cannot be what it is.
            GroupFull: as many jobs of a group wait as may.
        """
        tree, store = grow(root), joined(self.store, session)
        ids = iter(store.save_flow(list(tree.jobs())))
        tell_blocking(store, _heard(store, tree))
        return _handles(tree, ids, lambda queue, id_: BlockingJobHandle(self.store, queue, id_))


def _heard(store: AsyncStore | Store, tree: Branch) -> Iterator[StoreEvent]:
    """Yield what there is to tell of the jobs of queues that somebody listens to."""
    jobs: list[Job] = list(tree.jobs())
    heard = {queue for queue in {job.queue_name for job in jobs} if store.has_subscribers(queue)}
    return (orders.saved(job) for job in jobs if job.queue_name in heard)


def _handles(tree: Branch, ids: Iterator[str], handle: Callable[[str, str], H]) -> Flow[H]:
    """Return the handles of a tree; ids come children first."""
    children = [_handles(branch, ids, handle) for branch in tree.branches]
    return Flow(handle(tree.job.queue_name, next(ids)), children)
