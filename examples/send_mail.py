"""A worker in threads, without an event loop: sends the mails that the applications enqueue.

    DATABASE_URL=postgresql+psycopg://me@localhost/shop python -m examples.send_mail

Each mail that was sent is noted, and its job finished, in one transaction. Ends when there is
nothing left to send.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from oqron_sql import Complete, Fail, Job, SQLStore, new_worker_id

engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///shop.db"))
store = SQLStore(engine)


class Base(DeclarativeBase):
    """The application's models."""


class Sent(Base):
    """A mail that was sent."""

    __tablename__ = "sent"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(200))


def send(job: Job) -> None:
    """Send one mail, note it, and finish its job: the two together."""
    print(f"to {job.data['to']}: welcome!")
    with Session(engine) as session, session.begin():
        session.add(Sent(address=job.data["to"]))
        (settled,) = store.using(session).finish_jobs("mail", [Complete(job, "sent")])
        if settled.lost:  # somebody else has the job by now, and will note it
            session.rollback()


def attempt(job: Job) -> None:
    """Send one mail; a mail that cannot be sent is a job that failed."""
    try:
        send(job)
    except Exception as error:  # noqa: BLE001 - whatever it was, the job tells it
        store.finish_jobs("mail", [Fail(job, str(error))])


def main() -> None:
    """Send all there is to send."""
    Base.metadata.create_all(engine)
    worker, lock = new_worker_id(), timedelta(seconds=30)
    with store, ThreadPoolExecutor(4) as threads:
        while jobs := store.fetch_jobs("mail", worker, lock, 4):
            list(threads.map(attempt, jobs))


if __name__ == "__main__":
    main()
