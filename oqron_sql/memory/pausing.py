"""Job names that are not handed out, and whole queues."""

from __future__ import annotations

from oqron_sql.contract.checks import check_name
from oqron_sql.memory.operation import Operation

ALL = "__all__"


def pause_job_name(op: Operation, queue: str, job_name: str) -> None:
    """Stop handing out jobs of that name, or all of them."""
    check_name("queue", queue)
    check_name("job_name", job_name)
    if job_name == ALL:
        op.open_queue(queue).paused = True
    else:
        op.open_queue(queue).paused_names.add(job_name)


def resume_job_name(op: Operation, queue: str, job_name: str) -> None:
    """Hand out jobs of that name again."""
    check_name("queue", queue)
    check_name("job_name", job_name)
    if job_name == ALL:
        op.queue(queue).paused = False
    else:
        op.queue(queue).paused_names.discard(job_name)


def get_paused_job_names(op: Operation, queue: str) -> list[str]:
    """Return the paused names, sorted."""
    state = op.queue(queue)
    return sorted(state.paused_names | ({ALL} if state.paused else set()))
