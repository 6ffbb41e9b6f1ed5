"""Signing up writes a user and enqueues a mail, in one transaction; with FastAPI.

DATABASE_URL=postgresql+asyncpg://me@localhost/shop uvicorn examples.fastapi_app:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import String, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from oqron_sql import AsyncSQLStore, new_job
from oqron_sql.models import JobMixin

engine = create_async_engine(os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///shop.db"))
new_session = async_sessionmaker(engine, expire_on_commit=False)
store = AsyncSQLStore(engine)


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


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the store, which makes its own tables, and close what was opened."""
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.tables["users"].create, checkfirst=True)
    async with store:
        yield
    await engine.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    """Give each request a session."""
    async with new_session() as made:
        yield made


app = FastAPI(lifespan=lifespan)
Database = Annotated[AsyncSession, Depends(session)]


@app.post("/users", status_code=201)
async def sign_up(email: Annotated[str, Body(embed=True)], database: Database) -> dict[str, Any]:
    """Write the user and enqueue the mail: both, or neither."""
    welcome = new_job("mail", "welcome", {"to": email})
    async with database.begin():
        await store.using(database).save_job("mail", welcome)
        user = User(email=email, mail_id=welcome.id)
        database.add(user)
    return {"id": user.id, "email": user.email}


@app.exception_handler(IntegrityError)
async def refuse(_: Request, error: Exception) -> JSONResponse:
    """Tell somebody who has signed up before."""
    return JSONResponse({"detail": "this address is taken"}, status_code=409)


@app.get("/users")
async def list_users(database: Database) -> list[dict[str, Any]]:
    """Return the users, and how far their mail is."""
    query = select(User, JobRow).join(JobRow, JobRow.id == User.mail_id).order_by(User.id)
    found = (await database.execute(query)).all()
    return [{"email": user.email, "mail": mail.state} for user, mail in found]
