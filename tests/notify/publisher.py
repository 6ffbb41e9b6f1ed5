"""Another process that publishes an id for each word it hears, and says when it was about to."""

from __future__ import annotations

import time

from oqron_sql.adapters.sql import SQLBroker
from tests.forked import READY, Wire


def publisher(wire: Wire, url: str) -> None:
    """Publish until there is nobody to say what."""
    with SQLBroker(url) as broker:
        wire.say(READY)
        while True:
            message = wire.hear()
            begun = time.time()
            broker.publish("queue", message)
            wire.say(begun)
