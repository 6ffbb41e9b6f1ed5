"""PostgreSQL's plans as it carried them out for the store: `auto_explain` tells the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from tests.plans.plan import LOADED, Plan, Ready, Seen, Watch

Node = dict[str, Any]
SETTINGS = {
    "log_analyze": "on",
    "log_buffers": "on",
    "log_timing": "off",
    "log_format": "json",
    "log_level": "notice",  # to the client, not to the server's log
}


class PostgreSQLWatch(Watch):
    """Sees rows and blocks, too."""

    def observe(self, ready: Ready) -> Seen:
        told: list[Node] = []

        def notice(message: Any) -> None:
            _, found, plan = message.message_primary.partition("plan:\n")
            if found:
                told.append(json.loads(plan))

        with ready() as call:
            self.ask(lambda conn: _tell(conn, notice))
            try:
                call()
            finally:
                self.ask(lambda conn: _hush(conn, notice))
        nodes = [node for one in told for node in _nodes(one["Plan"])]
        blocks = [one["Plan"][f"Shared {how} Blocks"] for one in told for how in ("Hit", "Read")]
        return Seen(
            [self._plan(one) for one in told],
            {"rows": sum(map(_rows, nodes)), "blocks": sum(blocks)},
        )

    def _plan(self, told: Node) -> Plan:
        plan = Plan(told["Query Text"], json.dumps(told["Plan"], indent=1))
        for node in _nodes(told["Plan"]):
            if _is_scan(node) and "Relation Name" in node:
                indexes = _indexes(node)
                plan.accesses += [self.access(node["Relation Name"], name) for name in indexes]
            if node["Node Type"] in ("Sort", "Incremental Sort") and self._is_long(node):
                plan.sorts.append(f"by {', '.join(node['Sort Key'])}")
        return plan

    def _is_long(self, node: Node) -> bool:
        tables = {below.get("Relation Name") for below in _nodes(node)}
        return any(self.prefix + table in tables for table in LOADED)


def _tell(conn: Connection, notice: Any) -> None:
    conn.exec_driver_sql("LOAD 'auto_explain'")
    for name, value in SETTINGS.items():
        conn.exec_driver_sql(f"SET auto_explain.{name} = '{value}'")
    driver: Any = conn.connection.driver_connection
    driver.add_notice_handler(notice)
    conn.exec_driver_sql("SET auto_explain.log_min_duration = 0")


def _hush(conn: Connection, notice: Any) -> None:
    conn.exec_driver_sql("SET auto_explain.log_min_duration = -1")
    driver: Any = conn.connection.driver_connection
    driver.remove_notice_handler(notice)


def _nodes(plan: Node) -> Iterator[Node]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _is_scan(node: Node) -> bool:
    # A subplan that was not needed is in the plan all the same.
    return "Scan" in node["Node Type"] and node["Actual Loops"] > 0


def _indexes(node: Node) -> list[str | None]:
    if node["Node Type"] == "Bitmap Heap Scan":
        return [n["Index Name"] for n in _nodes(node) if n["Node Type"] == "Bitmap Index Scan"]
    return [node.get("Index Name")]


def _rows(node: Node) -> int:
    """Return how many rows of a table were looked at, kept or not."""
    if not _is_scan(node) or "Relation Name" not in node:
        return 0
    removed = sum(n for name, n in node.items() if name.startswith("Rows Removed"))
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])
