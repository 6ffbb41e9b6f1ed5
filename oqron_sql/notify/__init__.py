"""How whoever waits is woken: by a hint, which says where to look and is never needed.

A hint is a topic. It comes from this process, when a transaction is committed; from another one by
PostgreSQL's NOTIFY, where that is on; or it says no more than that a SQLite file was written to.
Without any of them, whoever waits looks once a second.
"""

from oqron_sql.notify.notifier import Notifier
from oqron_sql.notify.wakeups import QueueWakeup

__all__ = ["Notifier", "QueueWakeup"]
