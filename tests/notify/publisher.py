"""Another process: `python -m tests.notify.publisher URL`; publishes an id for each line it reads.

It answers with the instant before it did so.
"""

from __future__ import annotations

import sys
import time

from oqron_sql.adapters.sql import SQLBroker


def main(url: str) -> None:
    with SQLBroker(url) as broker:
        print("ready", flush=True)
        for line in sys.stdin:
            begun = time.time()
            broker.publish("queue", line.strip())
            print(begun, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
