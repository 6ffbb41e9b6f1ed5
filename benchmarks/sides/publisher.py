"""Another process: publishes an id for each line it reads, and says when it began to."""

from __future__ import annotations

import sys
import time

import sqlalchemy as sa

from oqron_sql.adapters.sql import SQLBroker
from oqron_sql.contract.ids import new_id

if __name__ == "__main__":
    url, queue = sys.argv[1:]
    with SQLBroker(sa.make_url(url).set(drivername="postgresql+psycopg")) as broker:
        for _ in sys.stdin:
            begun = time.time()
            broker.publish(queue, new_id())
            print(begun, flush=True)
