"""Changing members of one job, with the consequences a new state has."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, null, select, update

from oqron_sql.contract import codec
from oqron_sql.contract.checks import (
    check_count,
    check_finite,
    check_instant,
    check_name,
    check_names,
)
from oqron_sql.contract.model import FINISHED, UPDATABLE, JobState, JobUpdate, check_state
from oqron_sql.errors import InvalidInput, InvalidJobState
from oqron_sql.queries import deduplicating, groups, history, metrics, tallies
from oqron_sql.queries.leases import lease_lost
from oqron_sql.queries.options import dump_options
from oqron_sql.queries.rows import INSTANTS, attempt_body, dump_ids, in_state
from oqron_sql.queries.tx import Tx
from oqron_sql.queries.waking import report, report_surely, rouse_for

_HISTORY = {"logs": "log", "stacktrace": "stack", "attempt_logs": "attempt"}
# What cannot be written without a look at the job.
_LOOKED_AT = {"state", "deduplication_key", "group_id", "locked_by"}


def update_job(
    tx: Tx,
    queue: str,
    job_id: str,
    updates: JobUpdate,
    *,
    expected_state: JobState | Sequence[JobState] | None = None,
    lease: int | None = None,
) -> None:
    """Write the given members, if the job is in an expected state and the lease is held."""
    check_names(queue=queue, job_id=job_id)
    values = _values(updates, tx.settings.max_payload)
    entries = _entries(updates)
    expected = _states(expected_state)
    jobs = tx.tables.jobs
    guard = [jobs.c.id == job_id, jobs.c.queue_name == queue]
    if expected is not None:
        guard.append(in_state(jobs, *expected))
    if lease is not None:
        guard += [jobs.c.lease == lease, jobs.c.locked_by.is_not(None)]
    # A delayed job keeps an instant to be due at: it is not cleared without a look at the state.
    cleared = values.get("delay_until", ...) is None
    if not (entries or cleared or values.keys() & _LOOKED_AT):
        report(tx, queue, [job_id])
        if values and tx.change(update(jobs).where(*guard).values(values)):
            return
        _explain(tx, queue, job_id, expected, lease, ok=bool(not values))
        return
    tx.begin()
    old = tx.conn.execute(
        tx.dialect.lock_rows(
            select(
                jobs.c.seq, jobs.c.queue_name, jobs.c.state, jobs.c.lease, jobs.c.entries,
                jobs.c.attempts_made, jobs.c.processed_at, jobs.c.completed_at, jobs.c.delay_until,
                jobs.c.locked_by,
            ).where(*guard),
            skip_locked=False,
        )
    ).first()  # fmt: skip
    if old is None:
        _explain(tx, queue, job_id, expected, lease, ok=False)
        return
    report_surely(tx, queue, job_id)
    _write(tx, old, values, entries)


def _write(tx: Tx, old: Row[Any], values: dict[str, Any], entries: dict[str, list[str]]) -> None:
    jobs = tx.tables.jobs
    state = JobState(values.get("state", old.state))
    moved = state != old.state
    _follow(tx, old, state, values)
    if moved and old.state == JobState.COMPLETED and "attempt" not in entries:
        history.keep_last_attempts(tx, [old])
    if "deduplication_key" in values or (moved and state in FINISHED):
        values["dedup_slot"] = null()
    if entries:
        # Only ever a flag and a hint: what counts is in the table of history.
        values["entries"] = jobs.c.entries + sum(map(len, entries.values()))
        if old.entries:
            history.forget(tx, [old.seq], list(entries))
        history.append(
            tx, [(old.seq, kind, body) for kind, all_ in entries.items() for body in all_]
        )
    tx.conn.execute(update(jobs).where(jobs.c.seq == old.seq).values(values))
    if values.get("group_id") is not None:
        groups.know_groups(tx, old.queue_name, [values["group_id"]])
    if moved:
        rouse_for(tx, [{"queue_name": old.queue_name, "state": state}])
        tallies.add(tx, old.queue_name, old.state, -1)
        tallies.add(tx, old.queue_name, state, 1)
        if state in FINISHED:
            metrics.record(tx, old.queue_name, [old.seq])
    _hold_key(tx, old, state, values)


def _follow(tx: Tx, old: Row[Any], state: JobState, values: dict[str, Any]) -> None:
    """Add to `values` what the new state brings with it, unless the caller said otherwise."""
    if state is JobState.DELAYED and values.get("delay_until", old.delay_until) is None:
        values["delay_until"] = tx.now()
    if values.get("locked_by") is not None:
        _own(old, state, values)
    if state == old.state:
        return
    if old.state == JobState.ACTIVE:
        values.setdefault("lock_until", null())
        values.setdefault("locked_by", null())
    if state is JobState.COMPLETED:
        values.setdefault("completed_at", tx.now())
    elif state is JobState.FAILED:
        values.setdefault("failed_at", tx.now())


def _own(old: Row[Any], state: JobState, values: dict[str, Any]) -> None:
    """Let an owner that is given have a lease of its own: one that was given up stays lost."""
    if state is not JobState.ACTIVE:
        values["locked_by"] = None
    elif old.state != JobState.ACTIVE or old.locked_by is None:
        values["lease"] = old.lease + 1


def _hold_key(tx: Tx, old: Row[Any], state: JobState, values: dict[str, Any]) -> None:
    """Let a job that lives (again), or has a new key, hold it if nobody else does."""
    jobs = tx.tables.jobs
    revived = old.state in FINISHED and state not in FINISHED
    if state in FINISHED or not (revived or "deduplication_key" in values):
        return
    row = tx.conn.execute(
        select(jobs.c.seq, jobs.c.queue_name, jobs.c.deduplication_key).where(
            jobs.c.seq == old.seq, jobs.c.deduplication_key.is_not(None)
        )
    ).first()
    if row is not None:
        deduplicating.take_back(tx, [row])


def _explain(
    tx: Tx,
    queue: str,
    job_id: str,
    expected: tuple[JobState, ...] | None,
    lease: int | None,
    *,
    ok: bool,
) -> None:
    """Raise what kept an update from being made; an unknown job alone is no error."""
    if expected is None and lease is None:
        return
    jobs = tx.tables.jobs
    query = select(jobs.c.state, jobs.c.lease, jobs.c.locked_by).where(
        jobs.c.id == job_id, jobs.c.queue_name == queue
    )
    found = tx.conn.execute(tx.current(query)).first()
    if lease is not None and (found is None or found.lease != lease or found.locked_by is None):
        raise lease_lost(tx, queue, job_id, lease)
    if expected is not None and (found is None or found.state not in expected or not ok):
        raise InvalidJobState(job_id, "unknown" if found is None else found.state, expected)


def _states(expected: JobState | Sequence[JobState] | None) -> tuple[JobState, ...] | None:
    if expected is None:
        return None
    if isinstance(expected, str):
        return (check_state("expected_state", expected),)
    return tuple(check_state("expected_state", state) for state in expected)


def _values(updates: JobUpdate, limit: int) -> dict[str, Any]:
    """Return the columns to write.

    Raises:
        InvalidInput: a member cannot be updated, or has a value that cannot be stored.
    """
    made: dict[str, Any] = {}
    for name, value in updates.items():
        if name not in UPDATABLE:
            close = difflib.get_close_matches(name, UPDATABLE, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidInput("updates", name, f"is not a member that can be updated{hint}")
        if name not in _HISTORY:
            made |= _column(name, value, limit)
    return made


def _column(name: str, value: Any, limit: int) -> dict[str, Any]:
    if name == "opts":
        return {
            "opts": dump_options(value),
            "priority": value.priority,
            "repeats": value.repeat is not None,
        }
    if name == "state":
        return {"state": check_state("state", value).value}
    if name == "data":
        return {"data": codec.dumps(value, limit)}
    if name == "children_ids":
        return {name: dump_ids(value) if value else None}
    if name in ("attempts_made", "lost_count", "pending_children_count"):
        return {name: check_count(name, value)}
    if name == "discarded":
        return {name: bool(value)}
    if name == "progress":
        return {name: check_finite(name, value or 0)}
    if value is None:
        return {name: None}
    if name == "returnvalue":
        return {name: codec.dumps(value, limit)}
    if name == "failed_reason":
        return {name: codec.clean_text(value)}
    if name in INSTANTS:
        return {name: check_instant(name, value)}
    return {name: check_name(name, value)}


def _entries(updates: JobUpdate) -> dict[str, list[str]]:
    """Return the history to be replaced, per kind."""
    made: dict[str, list[str]] = {}
    for name, kind in _HISTORY.items():
        if name in updates:
            items: Sequence[Any] = updates.get(name) or ()  # type: ignore[assignment]
            made[kind] = [
                codec.dumps(attempt_body(i) if kind == "attempt" else codec.clean_text(i))
                for i in items
            ]
    return made
