"""What a server answers that it cannot serve just now is no error of the statement."""

from __future__ import annotations

from typing import Any

from oqron_sql import SQLStore
from tests.backends import BACKENDS, Backends
from tests.conftest import installed

NOT_PREPARED = (
    "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1047,"
    " MESSAGE_TEXT = 'WSREP has not yet prepared node for application use'"
)


def test_a_node_that_has_not_joined_its_cluster(backends: Backends) -> None:
    """It is asked again over another connection, which may lead to another node."""
    answers = iter([NOT_PREPARED])
    connections: set[int] = set()

    def ask(tx: Any) -> Any:
        connections.add(tx.conn.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one())
        return tx.conn.exec_driver_sql(next(answers, "SELECT 1")).scalar_one()

    with installed():
        url = backends.database(BACKENDS["maria-pymysql"]).url
    with SQLStore(url) as store:
        assert store.run(ask) == 1
    assert len(connections) == 2
