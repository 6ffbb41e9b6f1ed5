"""The plans of MariaDB and SQLite: asked for just before each statement, with its parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, event

from oqron_sql import SQLStore
from tests.plans.plan import Plan, Ready, Seen, Watch

EXPLAINABLE = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
STEPS = 10


class _AskingWatch(Watch):
    """Calls twice: once to see the plans, once to count, undisturbed by questions."""

    word: str

    def __init__(self, store: SQLStore, prefix: str) -> None:
        super().__init__(store, prefix)
        self._plans: list[Plan] | None = None
        self._asked = 0
        event.listen(self.ask(lambda conn: conn.engine), "before_cursor_execute", self._before)

    def observe(self, ready: Ready) -> Seen:
        plans: list[Plan] = []
        self._plans = plans
        with ready() as call:
            plans.clear()
            call()
            self._plans = None
        with ready() as call:
            return Seen(plans, self._count(call))

    def _count(self, call: Any) -> dict[str, int]:
        raise NotImplementedError

    def _plan(self, statement: str, told: Sequence[Any]) -> Plan:
        raise NotImplementedError

    def _before(
        self, conn: Connection, _: Any, statement: str, params: Any, __: Any, many: bool
    ) -> None:
        if self._plans is not None and EXPLAINABLE.match(statement):
            cursor = conn.connection.cursor()
            # Another text each time: an answer is remembered, on SQLite even if an index has gone.
            self._asked += 1
            question = f"{self.word} {statement} -- {self._asked}"
            cursor.execute(question, params[0] if many else params)
            self._plans.append(self._plan(statement, cursor.fetchall()))
            cursor.close()


class MariaDBWatch(_AskingWatch):
    """Counts the rows that were handed up from the tables."""

    word = "EXPLAIN"

    def _count(self, call: Any) -> dict[str, int]:
        self.ask(lambda conn: conn.exec_driver_sql("FLUSH STATUS"))
        call()
        reads = self.ask(
            lambda conn: conn.exec_driver_sql(
                "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler\\_read%%'"
            ).all()
        )
        return {"rows": sum(int(n) for _, n in reads)}

    def _plan(self, statement: str, told: Sequence[Any]) -> Plan:
        plan = Plan(statement, "\n".join(str(row) for row in told))
        for _, _, table, how, _, key, _, _, _, extra in told:
            if table is None or how is None or not table.startswith(self.prefix):
                continue
            if how == "ALL" and statement.startswith("INSERT"):
                continue  # the table it inserts into
            plan.accesses.append(self.access(table, key, whole=how in ("ALL", "index")))
            if "filesort" in (extra or "") or "temporary" in (extra or ""):
                plan.sorts.append(f"{table}: {extra}")
        return plan


class SQLiteWatch(_AskingWatch):
    """Counts the steps of SQLite's virtual machine, in tens."""

    word = "EXPLAIN QUERY PLAN"
    _line = re.compile(r"(SCAN|SEARCH) (\w+)(?: USING (.*))?")

    def _count(self, call: Any) -> dict[str, int]:
        steps = 0

        def tick() -> None:
            nonlocal steps
            steps += STEPS

        driver: Any = self.ask(lambda conn: conn.connection.driver_connection)
        driver.set_progress_handler(tick, STEPS)
        call()
        driver.set_progress_handler(None, STEPS)
        return {"steps": steps}

    def _plan(self, statement: str, told: Sequence[Any]) -> Plan:
        lines = [row[3] for row in told]
        plan = Plan(statement, "\n".join(lines))
        for line in lines:
            found = self._line.match(line)
            if found and found[2].startswith(self.prefix):
                index = re.search(r"PRIMARY|(?<=INDEX )\w+", found[3] or "")
                whole = found[1] == "SCAN"
                plan.accesses.append(self.access(found[2], index and index[0], whole=whole))
            # The rows of a batch may be sorted: they are the caller's.
            if "TEMP B-TREE" in line and not statement.startswith("INSERT"):
                plan.sorts.append(line)
        return plan
