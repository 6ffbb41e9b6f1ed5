"""The tables in an application's own MetaData, for its own queries.

    jobs = models.tables(Base.metadata).jobs         # to be joined with Core

    class JobRow(models.JobMixin, Base):             # to be read with the ORM
        pass

Reading is all they are for: a store alone knows what a change brings with it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import MetaData, Table, event
from sqlalchemy.orm import Mapped, declared_attr

from oqron_sql.errors import ReadOnlyRow
from oqron_sql.schema.tables import DEFAULT_PREFIX, Tables, build
from oqron_sql.schema.types import Value

__all__ = ["JobMixin", "Tables", "tables"]


def tables(
    metadata: MetaData, *, prefix: str = DEFAULT_PREFIX, schema: str | None = None
) -> Tables:
    """Return the tables of a store with that prefix and schema, in `metadata`.

    The columns `data`, `returnvalue`, `opts` and `children_ids` read as values, not as JSON text.

    Raises:
        InvalidPrefix: one of them is not a safe identifier.
    """
    key = ("oqron_sql", prefix, schema)
    if key not in metadata.info:
        metadata.info[key] = build(metadata, prefix, schema, values=Value)
    made: Tables = metadata.info[key]
    return made


class JobMixin:
    """Makes a declarative class of the table of jobs; its instances are read, never flushed.

    Set `__oqron_prefix__` and `__oqron_schema__` to those of the store. Writing one raises
    `ReadOnlyRow`.
    """

    __oqron_prefix__: ClassVar[str] = DEFAULT_PREFIX
    __oqron_schema__: ClassVar[str | None] = None

    if TYPE_CHECKING:
        metadata: ClassVar[MetaData]
        seq: Mapped[int]
        queue_name: Mapped[str]
        id: Mapped[str]
        name: Mapped[str]
        state: Mapped[str]
        priority: Mapped[int]
        lease: Mapped[int]
        lost_count: Mapped[int]
        attempts_made: Mapped[int]
        progress: Mapped[float]
        pending_children_count: Mapped[int]
        entries: Mapped[int]
        discarded: Mapped[bool]
        repeats: Mapped[bool]
        parent_notified: Mapped[bool]
        created_at: Mapped[datetime]
        processed_at: Mapped[datetime | None]
        completed_at: Mapped[datetime | None]
        failed_at: Mapped[datetime | None]
        cancelled_at: Mapped[datetime | None]
        delay_until: Mapped[datetime | None]
        lock_until: Mapped[datetime | None]
        locked_by: Mapped[str | None]
        group_id: Mapped[str | None]
        deduplication_key: Mapped[str | None]
        dedup_slot: Mapped[str | None]
        dedup_until: Mapped[datetime | None]
        parent_queue_name: Mapped[str | None]
        parent_id: Mapped[str | None]
        opts: Mapped[Any]
        data: Mapped[Any]
        returnvalue: Mapped[Any]
        failed_reason: Mapped[str | None]
        children_ids: Mapped[Any]

    else:  # its type is declared by the host's own base

        @declared_attr.directive
        def __table__(cls) -> Table:  # noqa: N805 - SQLAlchemy passes the class
            made = tables(cls.metadata, prefix=cls.__oqron_prefix__, schema=cls.__oqron_schema__)
            return made.jobs


def _refuse(_mapper: object, _conn: object, row: JobMixin) -> None:
    raise ReadOnlyRow(row.queue_name, row.id)


for _change in ("before_insert", "before_update", "before_delete"):
    event.listen(JobMixin, _change, _refuse, propagate=True)
