"""A broker with a long backlog and a namespace with many documents, one statement per kind."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from oqron_sql.queries.fields import declare
from tests.plans.load import execute, insert

BROKER, SPACE, ALIKE = "big", "jobs", "alike"
INDEXES = {SPACE: ("status", "rank")}
WAITING, DELAYED, CLAIMED, DOCUMENTS, STATUSES = 200_000, 20_000, 5_000, 200_000, 10
SELDOM = 5_000  # one in so many documents has a status of its own

Columns = Mapping[str, str]
IDS: Columns = {
    "broker": f"'{BROKER}'",
    "priority": "(i % 7) % 4",
    "place": "AT(i * 0.01 - n)",
}
MESSAGES: Mapping[str, tuple[int, Columns]] = {
    "waiting": (WAITING, {}),
    "delayed": (DELAYED, {"place": "AT(3600 + i)", "due": "AT(3600 + i)"}),
    "claimed": (
        CLAIMED,
        {
            "due": "AT(3600 + i)",
            "consumer": "'consumer-' || (i % 50)",
            "token": "'token-' || i",
            "deliveries": "1",
        },
    ),
}
STATUS = f"CASE WHEN i % {SELDOM} = 0 THEN 'rare' ELSE 's' || (i % {STATUSES}) END"
# Of one instant, and without declared fields.
PLAIN: Columns = {
    "namespace": f"'{ALIKE}'",
    "id": "'id-' || i",
    "record_time": "AT(-1000)",
    "saved_at": "AT(-1000)",
    "indexed": "''",
    "data": "'{}'",
}
DOCUMENT: Columns = {
    "namespace": f"'{SPACE}'",
    "id": "'id-' || i",
    "record_time": "AT(i - n)",
    "saved_at": "AT(i - n)",
    "indexed": f"'{declare(INDEXES)[SPACE].mark}'",
    "data": f"""'{{"status":"' || ({STATUS}) || '","rank":' || (i * 7) || '}}'""",
}
FIELDS = """
    INSERT INTO {p}fields (document, field, namespace, number, text, record_time)
    SELECT seq, field, namespace, CASE field WHEN 'rank' THEN seq * 7 END,
    CASE field WHEN 'status' THEN {status} END, record_time
    FROM {p}documents, (SELECT 'status' AS field UNION ALL SELECT 'rank') AS names
    WHERE namespace = '{space}'
"""


def add_adapters(conn: Connection, prefix: str, part: int) -> None:
    """Add one in `part` of all that."""
    for state, (n, columns) in MESSAGES.items():
        of_state = {"state": f"'{state}'", "id": f"'{state}-' || i"}
        insert(conn, f"{prefix}messages", {**IDS, **of_state, **columns}, n // part)
    insert(conn, f"{prefix}documents", DOCUMENT, DOCUMENTS // part)
    insert(conn, f"{prefix}documents", PLAIN, DOCUMENTS // 4 // part)
    status = STATUS.replace("i %", "seq %")
    execute(conn, FIELDS.format(p=prefix, status=status, space=SPACE))
