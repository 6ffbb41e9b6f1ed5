"""What a memory broker remembers: ids, each in one state, in the order of every strategy."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from oqron_sql.contract.adapters import BrokerCounts, Message, Strategy
from oqron_sql.memory.adapters.heap import Heap
from oqron_sql.memory.adapters.shell import Data
from oqron_sql.memory.adapters.subscribing import Subscriptions

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class State(enum.Enum):
    """Where an id is."""

    WAITING = enum.auto()
    DELAYED = enum.auto()
    CLAIMED = enum.auto()
    GONE = enum.auto()


@dataclasses.dataclass(slots=True, eq=False)
class Item:
    """One publication of an id. `token` stays after the deadline, until somebody else claims."""

    id: str
    priority: int
    place: datetime
    seq: int
    state: State = State.GONE
    version: int = 0
    handed_back: bool = False
    deliveries: int = 0
    token: str | None = None
    consumer: str | None = None
    deadline: datetime | None = None
    again: Message | None = None


def _oldest_first(item: Item) -> tuple[Any, ...]:
    return not item.handed_back, item.place


def _newest_first(item: Item) -> tuple[Any, ...]:
    return not item.handed_back, _EPOCH - item.place, -item.seq


def _lowest_first(item: Item) -> tuple[Any, ...]:
    return item.priority, *_oldest_first(item)


ORDERS: dict[Strategy, Callable[[Item], tuple[Any, ...]]] = {
    Strategy.FIFO: _oldest_first,
    Strategy.LIFO: _newest_first,
    Strategy.PRIORITY: _lowest_first,
}


class QueueOfIds:
    """The ids of one broker. The order of a strategy is kept from its first use on."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.paused = False
        self.wakers: set[Callable[[], object]] = set()
        self._numbers = dict.fromkeys(State, 0)
        self._delayed: Heap[Item] = Heap()
        self._claimed: Heap[Item] = Heap()
        self._waiting: dict[Strategy, Heap[Item]] = {}

    def move(self, item: Item, state: State) -> None:
        """Put an item into a state; what its order depends on must have been set before."""
        self._numbers[item.state] -= 1
        self._numbers[state] += 1
        item.state = state
        item.version += 1
        if state is State.WAITING:
            for strategy, heap in self._waiting.items():
                heap.push(ORDERS[strategy](item), item)
        elif state is State.DELAYED:
            self._delayed.push(item.place, item)
        elif state is State.CLAIMED:
            self._claimed.push(item.deadline, item)

    def settle(self, now: datetime) -> None:
        """Let wait what fell due, and what was not acknowledged in time."""
        for heap in (self._delayed, self._claimed):
            while (found := heap.first()) is not None and found[0] <= now:
                self.move(found[1], State.WAITING)

    def first(self, strategy: Strategy) -> Item | None:
        """Return the waiting item that is first in that order."""
        if strategy not in self._waiting:
            heap = self._waiting[strategy] = Heap()
            for item in self.items.values():
                if item.state is State.WAITING:
                    heap.push(ORDERS[strategy](item), item)
        found = self._waiting[strategy].first()
        return found[1] if found else None

    def next_change(self) -> datetime | None:
        """Return when there may be something to claim without anybody doing anything."""
        if self.paused:
            return None
        changes = [found[0] for heap in (self._delayed, self._claimed) if (found := heap.first())]
        return min(changes, default=None)

    def counts(self) -> BrokerCounts:
        """Return how many items are in each state."""
        states = (State.WAITING, State.DELAYED, State.CLAIMED)
        return BrokerCounts(*(self._numbers[state] for state in states))

    def wake(self) -> None:
        """Wake whoever waits for an id."""
        for waker in tuple(self.wakers):
            waker()


class MemoryQueues(Data):
    """The ids of one or more memory brokers; those given the same one share them."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: dict[str, QueueOfIds] = {}
        self.subscriptions = Subscriptions()
        self._last_seq = 0

    def queue(self, name: str, now: datetime) -> QueueOfIds:
        """Return the queue to be read, as it is now; one nobody wrote to is not remembered."""
        queue = self.queues.get(name) or QueueOfIds()
        queue.settle(now)
        return queue

    def open_queue(self, name: str, now: datetime) -> QueueOfIds:
        """Return the queue to be written to, as it is now."""
        queue = self.queues.setdefault(name, QueueOfIds())
        queue.settle(now)
        return queue

    def drop_if_idle(self, name: str) -> None:
        """Forget a queue about which there is nothing to remember."""
        queue = self.queues.get(name)
        if queue is not None and not (queue.items or queue.paused or queue.wakers):
            del self.queues[name]

    def next_seq(self) -> int:
        """Return the place of the next publication in the order of all of them."""
        self._last_seq += 1
        return self._last_seq
