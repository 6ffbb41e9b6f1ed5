"""Every exception this package raises on purpose; facts are attributes, messages say what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from oqron_sql.hiding import outline, quote_cause


class OqronError(Exception):
    """Base of all errors raised on purpose."""


# -- how the store was set up ------------------------------------------------------------------


class ConfigurationError(OqronError):
    """The store was configured in a way that cannot work."""


class InvalidPrefix(ConfigurationError):
    """A table prefix or schema name that is not safe to use as an identifier."""

    def __init__(self, kind: str, value: str, pattern: str) -> None:
        super().__init__(
            f"{kind} {value!r} is not a safe identifier: use lower-case letters, digits and "
            f"underscores, matching {pattern}"
        )
        self.kind, self.value, self.pattern = kind, value, pattern


class UnsupportedDatabase(ConfigurationError):
    """The server, its version or its settings cannot keep this package's promises."""

    def __init__(self, database: str, problem: str, remedy: str) -> None:
        super().__init__(f"{database}: {problem}. {remedy}")
        self.database, self.problem, self.remedy = database, problem, remedy


class SchemaOutOfDate(ConfigurationError):
    """The tables in the database are not the ones this version works with.

    If there are none, `prefixes` are those under which there are some.
    """

    def __init__(
        self, current: str | None, expected: str, remedy: str, prefixes: Sequence[str] = ()
    ) -> None:
        found = f"revision {current!r}" if current else "no oqron_sql tables"
        self.current, self.expected, self.remedy = current, expected, remedy
        self.prefixes = tuple(prefixes)
        super().__init__(
            f"the database has {found}{self.elsewhere}, this version needs {expected!r}. {remedy}"
        )

    @property
    def elsewhere(self) -> str:
        """What is to be added where tables are said to be missing."""
        if not self.prefixes:
            return ""
        named = " and ".join(map(repr, self.prefixes))
        return f" with this prefix (there are tables with the prefix {named})"


class MetricsDisabled(ConfigurationError):
    """Metrics were asked of a store that does not record them."""

    def __init__(self) -> None:
        super().__init__("this store records no metrics; create it with metrics=Metrics()")


class InvalidAdapter(ConfigurationError):
    """Something that is to be a storage, a broker or a lock, and lacks methods of one."""

    def __init__(self, port: str, problems: Iterable[str], missing: Iterable[str]) -> None:
        self.port, self.problems, self.missing = port, tuple(problems), tuple(missing)
        super().__init__(f"this is no {port}: {'; '.join(self.problems)}")


# -- what the caller passed --------------------------------------------------------------------


class InvalidInput(OqronError, ValueError):
    """An argument that is refused before anything is written."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        super().__init__(f"{field}: {problem} (got {_short(value)})")
        self.field, self.value, self.problem = field, value, problem


class InvalidName(InvalidInput):
    """A queue, job, group or worker name, an id or a key that cannot be stored faithfully."""


class NaiveDatetime(InvalidInput):
    """A datetime without a time zone; nobody can know which instant it means."""

    def __init__(self, field: str, value: datetime) -> None:
        super().__init__(field, value, "needs a time zone, e.g. datetime.now(UTC)")


class PayloadError(InvalidInput):
    """A value that JSON cannot carry faithfully; `path` says where in it. Never shows the value."""

    def __init__(self, path: str, problem: str) -> None:
        OqronError.__init__(self, f"cannot store this value as JSON: {path} {problem}")
        self.field, self.value, self.problem, self.path = path, None, problem, path


class PayloadTooLarge(PayloadError):
    """A value whose JSON is longer than the store accepts; sizes in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__("the value", f"is {size} bytes long, the limit is {limit} bytes")
        self.size, self.limit = size, limit


# -- what became of a job ----------------------------------------------------------------------


class JobNotFound(OqronError):
    """No job of that id is in the queue."""

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__(f"queue {queue!r} has no job {job_id!r}; it may have been removed")
        self.queue, self.job_id = queue, job_id


class JobFailed(OqronError):
    """The job whose result was waited for has failed; `reason` says why."""

    def __init__(self, queue: str, job_id: str, reason: str) -> None:
        super().__init__(f"job {job_id!r} of queue {queue!r} failed: {reason}")
        self.queue, self.job_id, self.reason = queue, job_id, reason


class InvalidJobState(OqronError):
    """The job is in a state that does not allow what was asked; nothing was changed.

    `current` is "unknown" when the job does not exist.
    """

    def __init__(self, job_id: str, current: str, expected: Iterable[str]) -> None:
        self.job_id, self.current, self.expected = job_id, str(current), tuple(map(str, expected))
        wanted = f"expected {' or '.join(map(repr, self.expected))}"
        super().__init__(
            f"there is no job {job_id!r}; it may have been removed ({wanted})"
            if self.current == "unknown"
            else f"job {job_id!r} is {self.current!r}, {wanted}"
        )


class LeaseLost(OqronError):
    """The lease is no longer held: it ran out and the job was taken back, or it is finished.

    Nothing was changed. Stop the work and drop its result: somebody else has the job.
    """

    def __init__(self, queue: str, job_id: str, lease: int, current: int | None) -> None:
        holder = "the job is gone" if current is None else f"the current lease is {current}"
        super().__init__(f"lease {lease} of job {job_id!r} in {queue!r} is lost; {holder}")
        self.queue, self.job_id, self.lease, self.current = queue, job_id, lease, current


class ReadOnlyRow(OqronError):
    """A job's row was written through an application's ORM; nothing was changed."""

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__(
            f"job {job_id!r} in {queue!r} is not changed by a session: use a store, which "
            "store.using(session) binds to the session's transaction"
        )
        self.queue, self.job_id = queue, job_id


class ClaimLost(OqronError):
    """The claim of an id is no longer held: it ran out, or the id was claimed again.

    Nothing was changed. Stop the work and drop its result: somebody else has the id, or will.
    """

    def __init__(self, broker: str | None, message_id: str, consumer: str | None = None) -> None:
        of = f" by {consumer!r}" if consumer is not None else ""
        where = f" in {broker!r}" if broker is not None else ""
        super().__init__(
            f"the claim of {message_id!r}{where}{of} is lost; drop the work done on it"
        )
        self.broker, self.message_id, self.consumer = broker, message_id, consumer


class GroupFull(OqronError):
    """As many jobs of a group wait as its options allow; nothing was saved. Try again later."""

    def __init__(self, queue: str, group: str, max_size: int) -> None:
        super().__init__(f"group {group!r} of queue {queue!r} is full: {max_size} jobs wait in it")
        self.queue, self.group, self.max_size = queue, group, max_size


class QueueActive(OqronError):
    """The queue cannot be obliterated while jobs run in it."""

    def __init__(self, queue: str, active: int) -> None:
        super().__init__(
            f"queue {queue!r}: active jobs exist ({active}); wait for them or pass force=True"
        )
        self.queue, self.active = queue, active


class GiveUp(OqronError):
    """Raised by a handler: the job has failed for good, whatever attempts are left."""


class Interrupted(BaseException):
    """Raised in a handler that runs in a thread, to end it; clean up and let it pass."""


# -- what became of the database ---------------------------------------------------------------


class StoreUnavailable(OqronError):
    """The database could not be reached or did not answer; the driver's error is the cause.

    The message quotes what the driver said, in one line and without credentials.
    `unknown` tells that the outcome could not be learned: the change may have been made.
    """

    def __init__(self, operation: str, *, unknown: bool = False) -> None:
        outcome = "; the change may or may not have been made" if unknown else ""
        super().__init__(f"the database did not complete {operation}{outcome}")
        self.operation, self.unknown = operation, unknown

    def __str__(self) -> str:
        # The cause comes with `raise ... from`, after the message was made.
        said = quote_cause(self)
        return f"{super().__str__()}: {said}" if said else super().__str__()


class StoreClosed(OqronError):
    """The store was used before connect() or after disconnect()."""

    def __init__(self, when: str) -> None:
        super().__init__(f"the store was used {when}")


class LockTimeout(OqronError):
    """Another process held the migration lock for too long."""

    def __init__(self, name: str, waited: timedelta) -> None:
        super().__init__(
            f"the migration lock {name!r} was held elsewhere for {waited.total_seconds():.0f} s; "
            "see whether another process is migrating, then try again"
        )
        self.name, self.waited = name, waited


def _short(value: object) -> str:
    if isinstance(value, Collection) and not isinstance(value, str):
        return outline(value)  # most likely a payload that was passed as something else
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
