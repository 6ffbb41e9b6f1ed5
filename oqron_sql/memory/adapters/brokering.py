"""What the methods of the memory broker do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from oqron_sql.contract.adapters import BrokerCounts, Claim, Message, Strategy
from oqron_sql.contract.asking import (
    ambiguous,
    check_messages,
    check_priority,
    check_strategy,
    check_ttl,
    token_of,
)
from oqron_sql.contract.checks import check_count, check_duration, check_names
from oqron_sql.contract.ids import new_id
from oqron_sql.errors import ClaimLost
from oqron_sql.memory.adapters.queues import Item, MemoryQueues, QueueOfIds, State
from oqron_sql.memory.adapters.shell import Call

Broking = Call[MemoryQueues]
NOW = timedelta(0)


def publish(call: Broking, broker: str, id: str, delay: timedelta = NOW, priority: int = 0) -> None:
    """Let the id wait."""
    publish_batch(call, broker, [Message(id, delay, priority)])


def publish_batch(call: Broking, broker: str, messages: Sequence[Message]) -> None:
    """Publish all or none."""
    check_names(broker=broker)
    messages = check_messages(messages)
    for message in messages:
        call.after("delay", message.delay)
    queue = call.data.open_queue(broker, call.now)
    for message in messages:
        item = queue.items.get(message.id)
        if item is not None and item.state is State.CLAIMED:
            item.again = message
        else:
            _enter(call, queue, message)
    queue.wake()


def claim(
    call: Broking,
    broker: str,
    consumer: str,
    limit: int,
    ttl: timedelta,
    strategy: Strategy | str = Strategy.FIFO,
) -> list[Claim]:
    """Claim up to `limit` ids."""
    check_names(broker=broker, consumer=consumer)
    check_count("limit", limit)
    deadline = call.after("ttl", check_ttl(ttl))
    strategy = check_strategy(strategy)
    queue = call.data.queue(broker, call.now)
    token = new_id()
    claimed: list[Claim] = []
    while not queue.paused and len(claimed) < limit:
        item = queue.first(strategy)
        if item is None:
            break
        item.token, item.consumer, item.deadline = token, consumer, deadline
        item.deliveries += 1
        item.again = None
        queue.move(item, State.CLAIMED)
        claimed.append(Claim(item.id, token, item.deliveries))
    return claimed


def claim_or_wait(
    call: Broking,
    broker: str,
    consumer: str,
    ttl: timedelta,
    strategy: Strategy | str,
    waker: Callable[[], object],
) -> tuple[Claim | None, timedelta | None]:
    """Claim one id; if there is none, have `waker` called, and say how long it may take at most."""
    claimed = claim(call, broker, consumer, 1, ttl, strategy)
    if claimed:
        return claimed[0], None
    queue = call.data.open_queue(broker, call.now)
    queue.wakers.add(waker)
    change = queue.next_change()
    return None, None if change is None else change - call.now


def wait_no_more(call: Broking, broker: str, waker: Callable[[], object]) -> None:
    """Have `waker` called no more."""
    call.data.queue(broker, call.now).wakers.discard(waker)
    call.data.drop_if_idle(broker)


def extend_lock(
    call: Broking, id: str, consumer: str, ttl: timedelta, broker: str | None = None
) -> None:
    """Let the claim end later."""
    check_names(id=id, consumer=consumer, **({} if broker is None else {"broker": broker}))
    deadline = call.after("ttl", check_ttl(ttl))
    names = list(call.data.queues) if broker is None else [broker]
    queues = [call.data.queue(name, call.now) for name in names]
    held = [queue for queue in queues if _is_claimed_by(queue, id, consumer)]
    if not held:
        raise ClaimLost(broker, id, consumer)
    if len(held) > 1:
        raise ambiguous(id, consumer)
    item = held[0].items[id]
    item.deadline = deadline
    held[0].move(item, State.CLAIMED)
    held[0].wake()


def ack(call: Broking, broker: str, id: str) -> bool:
    """Take the id out, or let it wait again if it was published meanwhile."""
    check_names(broker=broker, id=id)
    queue = call.data.queue(broker, call.now)
    item = _find(queue, broker, id)
    if item is None:
        return False
    _take_out(queue, item)
    if item.again is not None:
        _enter(call, queue, item.again)
        queue.wake()
    call.data.drop_if_idle(broker)
    return True


def remove(call: Broking, broker: str, id: str) -> bool:
    """Take the id out."""
    check_names(broker=broker, id=id)
    queue = call.data.queue(broker, call.now)
    item = queue.items.get(id)
    if item is None:
        return False
    _take_out(queue, item)
    call.data.drop_if_idle(broker)
    return True


def nack(
    call: Broking, broker: str, id: str, delay: timedelta = NOW, priority: int | None = None
) -> bool:
    """Hand a claimed id back."""
    check_names(broker=broker, id=id)
    due = call.after("delay", check_duration("delay", delay))
    if priority is not None:
        check_priority(priority)
    queue = call.data.queue(broker, call.now)
    item = _find(queue, broker, id)
    if item is None or item.state is not State.CLAIMED:
        return False
    item.token = item.again = None
    item.priority = item.priority if priority is None else priority
    item.handed_back = not delay
    item.place = due if delay else item.place
    queue.move(item, State.DELAYED if delay else State.WAITING)
    queue.wake()
    return True


def pause(call: Broking, broker: str) -> None:
    """Hand out nothing."""
    check_names(broker=broker)
    call.data.open_queue(broker, call.now).paused = True


def resume(call: Broking, broker: str) -> None:
    """Hand out again."""
    check_names(broker=broker)
    queue = call.data.queue(broker, call.now)
    queue.paused = False
    queue.wake()
    call.data.drop_if_idle(broker)


def is_paused(call: Broking, broker: str) -> bool:
    """Whether the broker is paused."""
    check_names(broker=broker)
    return call.data.queue(broker, call.now).paused


def size(call: Broking, broker: str) -> int:
    """Return how many ids there are."""
    return counts(call, broker).total


def counts(call: Broking, broker: str) -> BrokerCounts:
    """Return how many ids are in each state."""
    check_names(broker=broker)
    return call.data.queue(broker, call.now).counts()


def _enter(call: Broking, queue: QueueOfIds, message: Message) -> None:
    """Publish an id that nobody has claimed; the publication before it is answered by this one."""
    old = queue.items.get(message.id)
    if old is not None:
        _take_out(queue, old)
    place: datetime = call.after("delay", message.delay)
    item = Item(message.id, message.priority, place, call.data.next_seq())
    queue.items[message.id] = item
    queue.move(item, State.DELAYED if message.delay else State.WAITING)


def _take_out(queue: QueueOfIds, item: Item) -> None:
    del queue.items[item.id]
    queue.move(item, State.GONE)


def _find(queue: QueueOfIds, broker: str, id: str) -> Item | None:
    """Return the item that may be acknowledged or handed back by `id`, which may be a claim.

    Raises:
        ClaimLost: somebody else claimed it.
    """
    item, token = queue.items.get(id), token_of(id)
    if item is None or token is None or item.token == token:
        return item
    if item.state is State.CLAIMED:
        raise ClaimLost(broker, id)
    return None


def _is_claimed_by(queue: QueueOfIds, id: str, consumer: str) -> bool:
    item, token = queue.items.get(id), token_of(id)
    return (
        item is not None
        and item.state is State.CLAIMED
        and item.consumer == consumer
        and (token is None or item.token == token)
    )
