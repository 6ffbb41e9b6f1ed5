"""The three ports of OqronKit for blocking callers: documents, ids that wait, and locks.

It is OqronKit's `IStorageEngine`, `IBrokerEngine` and `ILockAdapter` in snake_case, with one answer
where its own backends disagree. Parameters after a `*` are additions, so that the upstream call
still works. Spans of time are timedeltas, instants are aware datetimes, and every "now" is the
backend's clock. Names are refused with `InvalidName`, values that JSON cannot carry with
`PayloadError`, and a generator in place of a list, which would be empty when tried again, with
`InvalidInput`, before anything is written. Losing the backend raises `StoreUnavailable`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, Self

from oqron_sql.contract.codec import MAX_BYTES
from oqron_sql.hiding import hiding

Document = Any
"""Whatever JSON can carry; most often an object. A "field" is a key at the top of one."""

Filter = Mapping[str, Any]
"""Fields and the values they must equal, all of them: deeply, and with their types.

None equals a stored null and not a missing field; 1 equals 1.0 and neither "1" nor True.
"""

Comparison = Literal["$lt", "$lte", "$gt", "$gte", "$ne"]


@hiding("value")
@dataclasses.dataclass(frozen=True, slots=True)
class Where:
    """A condition on one field; a document without it, or with null in it, never meets one.

    Numbers compare with numbers, text with text by code point, booleans with booleans, and
    datetimes with datetimes, with numbers (taken as epoch milliseconds) and with text that is an
    ISO 8601 instant with a time zone. What cannot be compared does not match, and never raises;
    `$ne` too asks for values that can be compared.
    """

    field: str
    op: Comparison
    value: Any


@dataclasses.dataclass(frozen=True, slots=True)
class OrderBy:
    """An order by one field; values that are no `type` come last both ways, ties as without it.

    A "date" is whatever states an instant: a datetime, a number of epoch milliseconds, or an ISO
    8601 text with a time zone. Without a `type`, numbers and datetimes (as epoch milliseconds) come
    before text if ascending, and after it if descending.
    """

    field: str
    direction: Literal["asc", "desc"] = "asc"
    type: Literal["number", "date", "string"] | None = None


class Storage(Protocol):
    """Documents under a namespace and an id.

    A document's record time is its `createdAt`, else its `expiresAt` (a datetime, an ISO 8601 text
    with a time zone, or a number of epoch milliseconds, within the calendar), else the instant
    when it was first saved, which later saves keep.
    """

    def save(self, namespace: str, id: str, data: Document) -> None:
        """Save the document, in place of the one that was there: nothing is merged."""

    def save_if_absent(self, namespace: str, id: str, data: Document) -> bool:
        """Save the document unless the id is taken; whether it was saved."""

    def get(self, namespace: str, id: str) -> Document | None:
        """Return a copy of the document, or None."""

    def get_many(self, namespace: str, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents that exist, by id, in the order asked for."""

    def list(
        self,
        namespace: str,
        filter: Filter | None = None,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Document]:
        """Return the documents that match; by default the newest record time first.

        Ties go by insertion, the latest first. A limit of 0 returns nothing.

        Raises:
            InvalidInput: an unknown operator, direction or type, a negative limit or offset.
        """

    def delete(self, namespace: str, id: str) -> bool:
        """Delete the document; whether there was one."""

    def bulk_save(self, namespace: str, records: Sequence[tuple[str, Document]]) -> None:
        """Save all or none of `records`, pairs of id and document; of equal ids the last wins."""

    def bulk_delete(self, namespace: str, ids: Sequence[str]) -> int:
        """Delete those that exist; return how many."""

    def prune(self, namespace: str, before: datetime) -> int:
        """Delete the documents whose record time is earlier than `before`; return how many."""

    def count(
        self, namespace: str, filter: Filter | None = None, *, where: Sequence[Where] = ()
    ) -> int:
        """Return how many documents `list` would return without a limit."""

    def increment(self, namespace: str, id: str, field: str, by: float = 1) -> float:
        """Add to a number in a field, atomically, and return the sum.

        A missing document is made, a missing field starts from 0. Whole numbers stay whole.

        Raises:
            InvalidInput: the field holds no number, the document no fields, or the sum is none.
        """

    def compare_and_set(
        self, namespace: str, id: str, expected: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> bool:
        """Write the fields of `patch` if all of `expected` are equal, as in a filter; atomically.

        False if they are not, or if there is no such document or it has no fields.
        """


class Strategy(enum.StrEnum):
    """Which of the waiting ids are claimed first; each of them drains everything.

    FIFO takes those that were handed back first, then goes by place, then by the order of
    publication. LIFO is the reverse of that, except that those handed back come first in both.
    PRIORITY takes the lowest number first, and goes on as FIFO does.
    """

    FIFO = "fifo"
    LIFO = "lifo"
    PRIORITY = "priority"


class Claim(str):
    """A claimed id that knows its claim: pass it back, and a claim that was lost is noticed.

    It is the id, and equal to it. `token` names the claim; `deliveries` counts how often the id
    was claimed since it was published, this time included.
    """

    __slots__ = ("deliveries", "token")

    token: str
    deliveries: int

    def __new__(cls, id: str, token: str, deliveries: int = 1) -> Self:
        """Return the claim of `id`."""
        made = super().__new__(cls, id)
        made.token, made.deliveries = token, deliveries
        return made


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """An id to be published, in a batch."""

    id: str
    delay: timedelta = timedelta(0)
    priority: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerCounts:
    """How many ids of a broker are in each state."""

    waiting: int = 0
    delayed: int = 0
    claimed: int = 0

    @property
    def total(self) -> int:
        """All of them: what `size` returns."""
        return self.waiting + self.delayed + self.claimed


Handler = Callable[[Any], object]
"""A plain function of the message, decoded. What it raises is logged."""


class Broker(Protocol):
    """Ids that wait under a broker's name until somebody claims them, for a time.

    An id is in a broker once: waiting, delayed until an instant, or claimed until a deadline, after
    which it waits again in its old place, with its old priority. Its place is the instant when it
    was published, or fell due: one with a delay stands where it would if published then.

    A claim is held until somebody else claims the id, or it is acknowledged, handed back, removed,
    or published anew after the deadline. A `Claim` that is passed back and no longer held changes
    nothing: it is lost (`ClaimLost`) if somebody else claimed the id, and otherwise answered False,
    so that a call whose reply was lost can be repeated.
    """

    def publish(
        self, broker: str, id: str, delay: timedelta = timedelta(0), priority: int = 0
    ) -> None:
        """Let the id wait, now or after `delay`.

        One that waits already is published anew, at the end. One that is claimed stays claimed, and
        is published, with this delay and priority, by its ack; if it is handed back or claimed
        again instead, that delivery is the answer. Priorities are whole numbers of 32 bits.
        """

    def publish_batch(self, broker: str, messages: Sequence[Message]) -> None:
        """Publish all or none, in order; of equal ids the last counts."""

    def claim(
        self,
        broker: str,
        consumer: str,
        limit: int,
        ttl: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> list[Claim]:
        """Claim up to `limit` ids for `consumer` until now + `ttl`, in the order of `strategy`.

        No two callers get one id. Whatever fell due or was not acknowledged in time waits again.
        Nothing is claimed while the broker is paused, nor for a caller who is cancelled.

        Raises:
            InvalidInput: a strategy nobody knows, a negative limit, a `ttl` that is not positive.
        """

    def claim_blocking(
        self,
        broker: str,
        consumer: str,
        ttl: timedelta,
        timeout: timedelta,
        strategy: Strategy | str = Strategy.FIFO,
    ) -> Claim | None:
        """Claim one id, waiting for it up to `timeout`; a pause is waited out.

        Other calls go on meanwhile. A caller that gives up claims nothing.
        """

    def extend_lock(
        self, id: str, consumer: str, ttl: timedelta, broker: str | None = None
    ) -> None:
        """Let the claim end at now + `ttl`.

        Without a `broker`, it is the one where `consumer` claimed the id.

        Raises:
            ClaimLost: not claimed by `consumer`, over, or (given a `Claim`) another one.
            InvalidInput: no `broker` is given, and `consumer` claimed this id in several.
        """

    def ack(self, broker: str, id: str) -> bool:
        """Take the id out, whatever its state; whether there was one.

        A held `Claim` is accepted after its deadline too: the work was done once. If the id was
        published meanwhile, it now waits.

        Raises:
            ClaimLost: `id` is a `Claim`, and somebody else claimed it. Nothing was changed.
        """

    def remove(self, broker: str, id: str) -> bool:
        """Take the id out, whoever claimed it, and forget that it was published meanwhile.

        Returns whether there was one.
        """

    def nack(
        self, broker: str, id: str, delay: timedelta = timedelta(0), priority: int | None = None
    ) -> bool:
        """Hand a claimed id back: to the head of its priority, or after `delay`; whether it was.

        The head is what the next claim takes, oldest first or newest first. Without a `priority`
        it keeps its own. An id that is unknown or not claimed (any more) stays as it is.

        Raises:
            ClaimLost: `id` is a `Claim`, and somebody else claimed it. Nothing was changed.
        """

    def pause(self, broker: str) -> None:
        """Hand out nothing until `resume`; everything else goes on."""

    def resume(self, broker: str) -> None:
        """Hand out again, and wake who waits."""

    def is_paused(self, broker: str) -> bool:
        """Whether the broker is paused."""

    def size(self, broker: str) -> int:
        """Return how many ids there are, in any state."""

    def counts(self, broker: str) -> BrokerCounts:
        """Return how many ids there are per state. One past its deadline counts as waiting."""

    def broadcast(self, channel: str, message: Any) -> None:
        """Send `message`, as JSON, to whoever subscribes to the channel now, in any process.

        Raises:
            PayloadTooLarge: it is longer than `MESSAGE_BYTES`.
        """

    def subscribe(self, channel: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` with each message; return what ends that, and may be called again.

        A message is there for those who had subscribed when it was sent. Each handler gets a copy
        of its own, once, in order; an awaitable broker calls it on the loop of the subscriber.

        Raises:
            InvalidInput: `handler` is not a function, or is one to be awaited.
        """


class Lock(Protocol):
    """Mutual exclusion by a name, for a time; an owner is whoever says the same text."""

    def acquire(self, key: str, owner: str, ttl: timedelta) -> int | None:
        """Take the lock until now + `ttl`, or, if `owner` has it, let it last that long.

        Returns its fencing number, or None if somebody else has it: never waits. Each time a key is
        taken anew its number is higher, even by the owner who let it run out; write it where the
        lock protects something, and refuse lower ones there.

        Raises:
            InvalidInput: `ttl` is not positive.
        """

    def renew(self, key: str, owner: str, ttl: timedelta) -> bool:
        """Let the lock last until now + `ttl`; False if `owner` does not have it (any more)."""

    def release(self, key: str, owner: str) -> bool:
        """Give the lock up; False if `owner` does not have it."""

    def is_owner(self, key: str, owner: str) -> bool:
        """Whether `owner` has the lock now."""


MESSAGE_BYTES = MAX_BYTES
"""How long a broadcast message may be as JSON, in bytes, on every backend."""
