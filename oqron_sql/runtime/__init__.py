"""Queues, workers and flows, on any store: this package knows the contract and nothing else."""

from oqron_sql.runtime.blocking_queue import BlockingQueue
from oqron_sql.runtime.context import Context, Stop
from oqron_sql.runtime.flows import BlockingFlowProducer, Flow, FlowProducer
from oqron_sql.runtime.handlers import Handlers
from oqron_sql.runtime.handles import BlockingJobHandle, JobHandle
from oqron_sql.runtime.queue import Queue
from oqron_sql.runtime.scheduler import Scheduler
from oqron_sql.runtime.schedules import BlockingSchedules, Schedules
from oqron_sql.runtime.trees import FlowJob
from oqron_sql.runtime.worker import Worker

__all__ = [
    "BlockingFlowProducer",
    "BlockingJobHandle",
    "BlockingQueue",
    "BlockingSchedules",
    "Context",
    "Flow",
    "FlowJob",
    "FlowProducer",
    "Handlers",
    "JobHandle",
    "Queue",
    "Scheduler",
    "Schedules",
    "Stop",
    "Worker",
]
