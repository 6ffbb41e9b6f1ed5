"""The tables of the adapters: documents, ids that wait, broadcasts and locks."""

from __future__ import annotations

import enum
from collections.abc import Callable

from sqlalchemy import BigInteger, Column, Double, Index, Integer, String, Table, literal_column

from oqron_sql.schema.types import Excerpt, Key, LongText, Serial, ShortKey, Timestamp


class MessageState(enum.StrEnum):
    """Where an id is. One that was not acknowledged in time stays claimed until the next claim."""

    WAITING = "waiting"
    DELAYED = "delayed"
    CLAIMED = "claimed"


# Partial indexes are used only for a literal.
MESSAGE_STATES = {state: literal_column(f"'{state.value}'", String()) for state in MessageState}


def adapter_tables(table: Callable[..., Table], index: Callable[..., Index]) -> dict[str, Table]:
    """Return the tables, made by `table` and `index`."""
    waiting = "state = 'waiting'"
    return {
        "documents": table(
            "documents",
            Column("seq", Serial, primary_key=True, autoincrement=True),
            Column("namespace", Key, nullable=False),
            Column("id", Key, nullable=False),
            Column("record_time", Timestamp, nullable=False),
            Column("saved_at", Timestamp, nullable=False),
            Column("indexed", String(16)),
            Column("data", LongText, nullable=False),
            index("documents_id", "namespace", "id", unique=True),
            # The order of a listing, and of pruning.
            index("documents_age", "namespace", "record_time", "seq"),
            # Finds those whose fields were written down by somebody who declared others. It is
            # never null: the condition keeps planners from going by it for all of a namespace.
            index("documents_indexed", "namespace", "indexed", where="indexed IS NOT NULL"),
            key=("namespace", "id"),
        ),
        # The declared fields of a document, as far as they can be put in order. A search is
        # narrowed down by them; whether a document matches is never decided by them.
        "fields": table(
            "fields",
            Column("document", BigInteger, primary_key=True, autoincrement=False),
            Column("field", ShortKey, primary_key=True),
            Column("namespace", Key, nullable=False),
            Column("number", Double),
            Column("text", Excerpt),
            Column("record_time", Timestamp, nullable=False),
            index(
                "fields_number",
                *("namespace", "field", "number", "record_time", "document"),
                where="number IS NOT NULL",
            ),
            index(
                "fields_text",
                *("namespace", "field", "text", "record_time", "document"),
                where="text IS NOT NULL",
            ),
        ),
        # `turn` is 0 for what was handed back, else 1. `due` says when a delay or a claim ends; the
        # token of a claim stays until the next one. "Again" is what to publish after the
        # acknowledgement, its delay in microseconds.
        "messages": table(
            "messages",
            Column("seq", Serial, primary_key=True, autoincrement=True),
            Column("broker", Key, nullable=False),
            Column("id", Key, nullable=False),
            Column("state", String(8), nullable=False),
            Column("priority", Integer, nullable=False),
            Column("turn", Integer, nullable=False, server_default="1"),
            Column("place", Timestamp, nullable=False),
            Column("due", Timestamp),
            Column("consumer", Key),
            Column("token", String(36)),
            Column("deliveries", Integer, nullable=False, server_default="0"),
            Column("again_delay", BigInteger),
            Column("again_priority", Integer),
            # Leads with the id, so that it also answers a look-up without a broker.
            index("messages_id", "id", "broker", unique=True),
            index("messages_place", "broker", "state", "turn", "place", "seq", where=waiting),
            index(
                "messages_priority",
                *("broker", "state", "priority", "turn", "place", "seq"),
                where=waiting,
            ),
            index("messages_due", "broker", "due", where="due IS NOT NULL"),
        ),
        # A row for each broker that is paused.
        "stopped": table("stopped", Column("broker", Key, primary_key=True)),
        "broadcasts": table(
            "broadcasts",
            Column("id", Serial, primary_key=True, autoincrement=True),
            Column("channel", Key, nullable=False),
            Column("sent_at", Timestamp, nullable=False),
            Column("body", LongText, nullable=False),
        ),
        # A row outlives its holder, so that its fence keeps rising. The row of no name has the
        # highest fence of those that were swept.
        "locks": table(
            "locks",
            Column("name", Key, primary_key=True),
            Column("owner", Key, nullable=False),
            Column("expires_at", Timestamp, nullable=False),
            Column("fence", BigInteger, nullable=False),
            index("locks_expires", "expires_at"),
        ),
    }
