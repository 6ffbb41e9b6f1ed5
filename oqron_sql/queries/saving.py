"""Saving jobs: one row in one statement, many rows in one statement, one live job per key."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, null, select, update

from oqron_sql.contract.checks import check_list
from oqron_sql.contract.model import FINISHED, Job
from oqron_sql.errors import OqronError
from oqron_sql.queries import flows, tallies
from oqron_sql.queries.groups import know_groups
from oqron_sql.queries.history import append
from oqron_sql.queries.room import demand_room
from oqron_sql.queries.rows import NOW, history_of, place, row_of
from oqron_sql.queries.tx import Contended, Tx
from oqron_sql.queries.waking import rouse_for

# What one statement carries: enough to make round trips cheap, little enough for every server.
CHUNK_ROWS = 1000
CHUNK_BYTES = 4 * 1024 * 1024
RIVALS = 20
_Name = tuple[str | None, str | None]
New = dict[_Name, bool | None]
"""Whether jobs, by queue and id, were not there before; None if that is not known yet."""

# Sent once for all rows if they agree.
_OFTEN_THE_SAME = ("queue_name", "name", "state")
_ZERO: dict[str, Any] = {
    "lease": 0,
    "lost_count": 0,
    "attempts_made": 0,
    "progress": 0.0,
    "pending_children_count": 0,
    "entries": 0,
    "priority": 0,
    "discarded": False,
    "repeats": False,
}


def save_job(tx: Tx, queue: str, job: Job) -> str:
    """Save `job`, or find the one that stands for it; returns the id."""
    row = row_of(queue, job, tx.settings.max_payload)
    demand_room(tx, [(row, job)])
    place(row, job)
    return _save(tx, row, job)[0]


def save_each(tx: Tx, jobs: Sequence[tuple[str, Job]]) -> list[str | OqronError]:
    """Save jobs that have nothing to do with each other; one that is refused fails alone."""
    made: dict[int, str | OqronError] = {}
    rows: dict[int, tuple[dict[str, Any], Job]] = {}
    for i, (queue, job) in enumerate(jobs):
        try:
            rows[i] = row_of(queue, job, tx.settings.max_payload), job
        except OqronError as error:
            made[i] = error
    if len(rows) == 1:
        ((row, job),) = rows.values()
        demand_room(tx, [(row, job)])
        place(row, job)
        ids = [_save(tx, row, job)[0]]
    else:
        ids = save_rows(tx, list(rows.values()))
    made.update(zip(rows, ids, strict=True))
    return [made[i] for i in range(len(jobs))]


def save_bulk(tx: Tx, queue: str, jobs: Sequence[Job]) -> list[str]:
    """Save all or none of `jobs`, in order."""
    check_list("jobs", jobs)
    return save_rows(tx, [(row_of(queue, job, tx.settings.max_payload), job) for job in jobs])


def save_flow(tx: Tx, jobs: Sequence[Job]) -> list[str]:
    """Save jobs of any queues, all or none, in order."""
    limit = tx.settings.max_payload
    check_list("jobs", jobs)
    rows = [(row_of(job.queue_name, job, limit), job) for job in jobs]
    new: New = {_parent(job): None for row, job in rows if "deduplication_key" in row}
    ids = save_rows(tx, rows, new)
    # Another job stands for such a child and will not tell its parent. A parent that was there
    # before heard of it then: this flow is saved again.
    stood_for = [job for job, saved in zip(jobs, ids, strict=True) if saved != job.id]
    flows.excuse(tx, [job for job in stood_for if new[_parent(job)] is not False])
    return ids


def _parent(job: Job) -> _Name:
    return job.parent_queue_name, job.parent_id


def save_rows(tx: Tx, rows: list[tuple[dict[str, Any], Job]], new: New | None = None) -> list[str]:
    """Save all or none of the jobs that `row_of` has made rows of, in order.

    Those whose queue and id are in `new` are saved one by one, and it is told whether they are.
    """
    if not rows:
        return []
    demand_room(tx, rows)
    keyed = [row["queue_name"] for row, _ in rows if "dedup_slot" in row]
    if len(keyed) > 1:
        # Two saves that want the same keys in another order would wait for each other for ever.
        for queue in sorted(set(keyed)):
            tx.dialect.serialize(tx, tx.tables.queues, queue)
    # Now that nothing is left to wait for: of a key whose time was over, a bulk would save two.
    now = tx.read_clock() if any(_relative(row, job) for row, job in rows) else NOW
    for row, job in rows:
        place(row, job, now)
    rouse_for(tx, (row for row, _ in rows))
    new = {} if new is None else new
    chunks = list(_chunks(rows, new))
    if len(chunks) > 1 or not all(_plain(row) for row, _ in rows):
        tx.begin()
    return [id_ for chunk in chunks for id_ in _save_chunk(tx, chunk, new)]


def _save_chunk(tx: Tx, chunk: list[tuple[dict[str, Any], Job]], new: New) -> list[str]:
    jobs = tx.tables.jobs
    rows = [row for row, _ in chunk]
    name = rows[0]["queue_name"], rows[0]["id"]
    if name in new and new[name] is None:
        saved, is_new = _save(tx, *chunk[0])
        if saved == name[1]:  # or another job stands for it, and one of this name may follow
            new[name] = is_new
        return [saved]
    present, first = set().union(*rows), rows[0]
    if any(map(_special, rows)) or ("dedup_slot" in present and (_repeat(rows) or _late(chunk))):
        return [_save(tx, row, job)[0] for row, job in chunk]
    if "dedup_slot" in present:
        _free_over(tx, rows)
    timed = tuple(name for name in present if type(first.get(name)) is timedelta)
    same = {name: first[name] for name in _OFTEN_THE_SAME if len({r[name] for r in rows}) == 1}
    names = tuple(c.name for c in jobs.columns if c.name in present - same.keys() - set(timed))
    values = _values(rows, names, present)
    inserted = tx.dialect.insert_many(tx, jobs, names, values, timed=timed, same=same)
    _know_groups(tx, rows)
    if inserted == len(rows) or "dedup_slot" not in present:
        return [row["id"] for row in rows]
    return _stand_ins(tx, chunk)


def _know_groups(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    found: dict[str, set[str]] = {}
    for row in rows:
        if "group_id" in row:
            found.setdefault(row["queue_name"], set()).add(row["group_id"])
    for queue in sorted(found):
        know_groups(tx, queue, found[queue])


def _values(
    rows: list[dict[str, Any]], names: tuple[str, ...], present: set[str]
) -> list[tuple[Any, ...]]:
    """Return the columns `names` of `rows`; one that has not all of `present` gets the defaults."""
    pick = operator.itemgetter(*names)  # at least an id and a payload
    missing = {name: _ZERO.get(name) for name in names}
    full = len(present)
    return [pick(row if len(row) == full else {**missing, **row}) for row in rows]


def _free_over(tx: Tx, rows: list[dict[str, Any]]) -> None:
    """Take the keys of `rows` from jobs that have held them for their time.

    Else a row would be inserted after those behind it, when its key is found to be free.
    """
    jobs = tx.tables.jobs
    keys: dict[str, set[str]] = {}
    for row in rows:
        if "dedup_slot" in row:
            keys.setdefault(row["queue_name"], set()).add(row["dedup_slot"])
    for queue, wanted in sorted(keys.items()):
        over = jobs.c.dedup_slot.in_(sorted(wanted)), jobs.c.dedup_until < tx.now()
        freeing = update(jobs).where(jobs.c.queue_name == queue, *over)
        tx.conn.execute(freeing.values(dedup_slot=null()))


def _stand_ins(tx: Tx, chunk: list[tuple[dict[str, Any], Job]]) -> list[str]:
    """Return the ids of a chunk of which some were not inserted, saving those once more."""
    jobs = tx.tables.jobs
    known = set(
        tx.conn.execute(
            select(jobs.c.queue_name, jobs.c.id).where(jobs.c.id.in_([r["id"] for r, _ in chunk]))
        ).all()
    )
    return [
        row["id"] if (row["queue_name"], row["id"]) in known else _save(tx, row, job)[0]
        for row, job in chunk
    ]


def _save(tx: Tx, row: dict[str, Any], job: Job) -> tuple[str, bool]:
    """Save one job; return its id or that of the one that stands for it, and whether it is new."""
    rouse_for(tx, [row])
    if not _plain(row):
        tx.begin()
    for _ in range(RIVALS):
        if tx.dialect.insert_ignore(tx, tx.tables.jobs, row):
            _complete(tx, row, job)
            return job.id, True
        found = _standing_for(tx, row)
        if found is not None:
            return found, False
    raise Contended


def _complete(tx: Tx, row: dict[str, Any], job: Job) -> None:
    """Write what belongs to a new row in other tables."""
    if "group_id" in row:
        know_groups(tx, row["queue_name"], [row["group_id"]])
    if row["state"] in FINISHED:
        tallies.add(tx, row["queue_name"], row["state"], 1)
    if "entries" in row:
        seq = tx.conn.execute(_by_id(tx, row)).scalar_one()
        append(tx, [(seq, kind, body) for kind, body in history_of(job)])


def _standing_for(tx: Tx, row: dict[str, Any]) -> str | None:
    """Return the id of the job in the way of `row`; None if the way is free now."""
    tx.begin()
    if tx.conn.execute(tx.current(_by_id(tx, row))).first() is not None:
        return str(row["id"])
    jobs, key = tx.tables.jobs, row.get("dedup_slot")
    if key is None:
        return None
    holder = tx.conn.execute(
        tx.dialect.lock_rows(
            select(jobs.c.seq, jobs.c.id, (jobs.c.dedup_until < tx.now()).label("over")).where(
                jobs.c.queue_name == row["queue_name"], jobs.c.dedup_slot == key
            ),
            skip_locked=False,
        )
    ).first()
    if holder is None:
        return None
    if not holder.over:
        return str(holder.id)
    tx.conn.execute(update(jobs).where(jobs.c.seq == holder.seq).values(dedup_slot=null()))
    return None


def _by_id(tx: Tx, row: dict[str, Any]) -> Select[int]:
    jobs = tx.tables.jobs
    return select(jobs.c.seq).where(jobs.c.id == row["id"], jobs.c.queue_name == row["queue_name"])


def _relative(row: dict[str, Any], job: Job) -> bool:
    """Whether this row has an instant that differs from its neighbours' now."""
    timed = job.opts.deduplication is not None and job.opts.deduplication.ttl is not None
    return "created_at" in row or timed or (row["state"] == "delayed" and "delay_until" not in row)


def _plain(row: dict[str, Any]) -> bool:
    """Whether inserting this row is all there is to do."""
    return not ("deduplication_key" in row or "group_id" in row or _special(row))


def _special(row: dict[str, Any]) -> bool:
    return "entries" in row or row["state"] in FINISHED


def _repeat(rows: list[dict[str, Any]]) -> bool:
    """Whether an id comes twice: one may be saved, while another job stands for the other."""
    return len({(row["queue_name"], row["id"]) for row in rows}) < len(rows)


def _late(chunk: list[tuple[dict[str, Any], Job]]) -> bool:
    """Whether a key comes twice whose time may be over by the first: then both are inserted."""
    keys = Counter((row["queue_name"], row.get("dedup_slot")) for row, _ in chunk)
    dated = (row for row, job in chunk if "dedup_slot" in row and job.created_at is not None)
    return any(keys[row["queue_name"], row["dedup_slot"]] > 1 for row in dated)


def _chunks(
    rows: list[tuple[dict[str, Any], Job]], apart: Container[_Name]
) -> Iterator[list[tuple[dict[str, Any], Job]]]:
    chunk: list[tuple[dict[str, Any], Job]] = []
    size, alone = 0, False
    for row, job in rows:
        length, before = len(row["data"]), alone
        alone = (row["queue_name"], row["id"]) in apart
        full = len(chunk) == CHUNK_ROWS or size + length > CHUNK_BYTES
        if chunk and (full or alone or before):
            yield chunk
            chunk, size = [], 0
        chunk.append((row, job))
        size += length
    if chunk:
        yield chunk
