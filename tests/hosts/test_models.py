"""Our tables in the host's MetaData: joined with its own, read by its ORM, and not written."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from oqron_sql import JobState, SQLStore, models
from oqron_sql.errors import ReadOnlyRow
from tests.hosts.conftest import MakeHost
from tests.hosts.hosts import Host
from tests.hosts.methods import MINUTE, QUEUE, job


class Base(DeclarativeBase):
    pass


class JobRow(models.JobMixin, Base):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    mail_id: Mapped[str | None] = mapped_column(sa.String(40))
    mail: Mapped[JobRow | None] = relationship(
        primaryjoin=lambda: sa.orm.foreign(User.mail_id) == JobRow.id, viewonly=True
    )


@pytest.fixture
def users(typical: Host) -> Iterator[Host]:
    """A host with two users, one of whom has a mail to be sent."""
    table = sa.inspect(User).local_table
    assert isinstance(table, sa.Table)
    table.create(typical.eyes)
    with Session(typical.sync_engine) as session:
        welcome = job("welcome", {"to": "ada"})
        session.add_all([User(id=1, name="ada", mail_id=welcome.id), User(id=2, name="bob")])
        typical.bare.using(session).save_job(QUEUE, welcome)
        session.commit()
    yield typical
    table.drop(typical.eyes)


def test_users_next_to_jobs_in_one_select(users: Host) -> None:
    with Session(users.sync_engine) as session:
        query = (
            sa.select(User, JobRow)
            .outerjoin(JobRow, sa.and_(JobRow.id == User.mail_id, JobRow.queue_name == QUEUE))
            .order_by(User.id)
        )
        (ada, mail), (bob, nothing) = session.execute(query).all()
        assert (ada.name, mail.name, mail.data) == ("ada", "welcome", {"to": "ada"})
        assert bob.name == "bob"
        assert nothing is None
        assert mail.state == JobState.WAITING
        assert mail.created_at.tzinfo is not None
        assert (mail.returnvalue, mail.opts, mail.children_ids) == (None, None, None)
        assert ada.mail is mail
        waiting = sa.select(User.name).join(User.mail).where(JobRow.state == JobState.WAITING)
        assert session.scalars(waiting).all() == ["ada"]


def test_the_same_with_tables_alone(users: Host) -> None:
    jobs, people = models.tables(Base.metadata).jobs, Base.metadata.tables["users"]
    query = sa.select(people.c.name, jobs.c.state, jobs.c.data).join_from(
        people, jobs, jobs.c.id == people.c.mail_id
    )
    with users.sync_engine.connect() as conn:
        assert conn.execute(query).all() == [("ada", "waiting", {"to": "ada"})]
        payload = sa.select(jobs.c.name).where(jobs.c.data == {"to": "ada"})
        assert conn.scalars(payload).all() == ["welcome"]


def rename(session: Session, row: JobRow) -> None:
    row.name = "other"


@pytest.mark.parametrize(
    "change",
    [
        rename,
        lambda session, row: session.delete(row),
        lambda session, row: session.add(JobRow(queue_name=QUEUE, id="new", name="new")),
    ],
    ids=["update", "delete", "insert"],
)
def test_a_session_does_not_write_them(
    users: Host, change: Callable[[Session, JobRow], None]
) -> None:
    before = users.dump()
    with Session(users.sync_engine) as session:
        change(session, session.scalars(sa.select(JobRow)).one())
        with pytest.raises(ReadOnlyRow, match="use a store"):
            session.commit()
        session.rollback()
    assert users.dump() == before


def test_the_attributes_are_the_columns() -> None:
    tree = ast.parse(Path(models.__file__).read_text())
    (mixin,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    typed = {
        line.target.id: ast.unparse(line.annotation)
        for node in mixin.body
        if isinstance(node, ast.If)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }
    del typed["metadata"]
    columns = models.tables(Base.metadata).jobs.c
    assert list(typed) == columns.keys()
    for column in columns:
        if typed[column.name] != "Mapped[Any]":
            assert typed[column.name].endswith("| None]") == column.nullable, column.name


def test_they_are_made_once() -> None:
    metadata = sa.MetaData(schema="app")
    made = models.tables(metadata)
    assert models.tables(metadata) is made
    assert made.jobs.schema is None, "the schema of a store is said, not inherited"
    assert models.tables(metadata, schema="app").jobs.schema == "app"
    assert models.tables(metadata, prefix="more_").jobs.name == "more_jobs"


async def test_in_a_schema_of_the_host(make_host: MakeHost) -> None:
    class AppBase(DeclarativeBase):
        metadata = sa.MetaData(schema="app")

    class AppJob(models.JobMixin, AppBase):
        __oqron_prefix__ = "work_"
        __oqron_schema__ = "app"

    host = await make_host("pg-psycopg-blocking")
    with host.eyes.begin() as conn:
        conn.execute(sa.schema.CreateSchema("app"))
    try:
        with SQLStore(host.engine, prefix="work_", schema="app") as store:  # type: ignore[arg-type]  # it blocks
            store.save_job(QUEUE, job("elsewhere"))
        with Session(host.sync_engine) as session:
            assert session.scalars(sa.select(AppJob.name)).all() == ["elsewhere"]
    finally:
        with host.eyes.begin() as conn:
            conn.execute(sa.schema.DropSchema("app", cascade=True))


def test_a_host_that_creates_all_its_tables_creates_ours(typical: Host) -> None:
    metadata = sa.MetaData(naming_convention={"pk": "pk_%(table_name)s"})
    models.tables(metadata, prefix="made_")
    metadata.create_all(typical.eyes)
    try:
        with typical.store_on(typical.engine, prefix="made_") as store:
            store.save_job(QUEUE, job())
            assert store.fetch_next_job(QUEUE, "me", MINUTE) is not None
    finally:
        reflected = sa.MetaData()
        reflected.reflect(typical.eyes, only=lambda name, _: name.startswith("made_"))
        reflected.drop_all(typical.eyes)
