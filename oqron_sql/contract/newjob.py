"""How a job is made from what a caller asks for (Conveyor's `createJobData`)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from oqron_sql.contract import codec
from oqron_sql.contract.checks import check_name
from oqron_sql.contract.ids import new_id
from oqron_sql.contract.model import Job, JobState
from oqron_sql.contract.options import DEFAULT_OPTIONS, JobOptions


def new_job(
    queue_name: str, name: str, data: Any = None, opts: JobOptions = DEFAULT_OPTIONS
) -> Job:
    """Return an unsaved job: waiting, or delayed if its options ask for a delay or a later start.

    Raises:
        InvalidName: a name cannot be stored faithfully.
        PayloadError: the payload has to be hashed for deduplication and is not JSON.
    """
    check_name("queue_name", queue_name)
    check_name("name", name)
    start = opts.repeat.start if opts.repeat else None
    dedup = opts.deduplication
    key = None
    if dedup is not None:
        key = dedup.key if dedup.key is not None else hash_payload(data)
    return Job(
        id=opts.job_id if opts.job_id is not None else new_id(),
        queue_name=queue_name,
        name=name,
        data=data,
        opts=opts,
        state=JobState.DELAYED if opts.delay or start else JobState.WAITING,
        delay_until=start,
        deduplication_key=key,
        group_id=opts.group.id if opts.group else None,
    )


def hash_payload(data: Any) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of `data`.

    Keys are sorted by their UTF-16 code units and whole floats are written as integers, as
    Conveyor does, so that both make the same key of the same payload.

    Raises:
        PayloadError: JSON cannot carry the value.
    """
    plain = json.loads(codec.dumps(data))
    text = json.dumps(_canonical(plain), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _canonical(value[k]) for k in sorted(value, key=lambda k: k.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value
