"""Signing up writes a user and enqueues a mail, in one transaction; with Flask.

DATABASE_URL=postgresql+psycopg://me@localhost/shop flask --app examples.flask_app run
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request
from sqlalchemy import String, create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from oqron_sql import SQLStore, new_job
from oqron_sql.models import JobMixin

engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///shop.db"))
session = scoped_session(sessionmaker(engine))
store = SQLStore(engine)


class Base(DeclarativeBase):
    """The application's models."""


class User(Base):
    """Somebody who signed up."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(200), unique=True)
    mail_id: Mapped[str] = mapped_column(String(36))


class JobRow(JobMixin, Base):
    """A job, to be read next to users."""


app = Flask(__name__)
Base.metadata.tables["users"].create(engine, checkfirst=True)
store.connect()  # makes its own tables


@app.teardown_appcontext
def close_session(_: BaseException | None) -> None:
    """End what a request left open: roll it back."""
    session.remove()


@app.post("/users")
def sign_up() -> tuple[dict[str, Any], int]:
    """Write the user and enqueue the mail: both, or neither."""
    email = request.get_json()["email"]
    welcome = new_job("mail", "welcome", {"to": email})
    store.using(session).save_job("mail", welcome)
    user = User(email=email, mail_id=welcome.id)
    session.add(user)
    session.commit()
    return {"id": user.id, "email": user.email}, 201


@app.errorhandler(IntegrityError)
def refuse(_: IntegrityError) -> tuple[dict[str, str], int]:
    """Tell somebody who has signed up before."""
    return {"detail": "this address is taken"}, 409


@app.get("/users")
def list_users() -> list[dict[str, Any]]:
    """Return the users, and how far their mail is."""
    query = select(User, JobRow).join(JobRow, JobRow.id == User.mail_id).order_by(User.id)
    return [{"email": user.email, "mail": mail.state} for user, mail in session.execute(query)]
