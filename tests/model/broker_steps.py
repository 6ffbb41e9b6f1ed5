"""Every step that a broker can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from oqron_sql.contract.adapters import Message, Strategy
from tests.model.message_steps import WRONG_NAMES, Channels, MessageSteps
from tests.model.twins import TICK, Both, Twins, often, rarely, step, ticks

BROKERS = ("b", "b", "b", "B")
IDS = ("i0", "i1", "i2", "i3", "i4", "I0", "i0 ", "ä{%")
CONSUMERS = ("c1", "c2", "C1")
STRATEGIES: tuple[Strategy | str, ...] = (*Strategy, "priority")
NOW = timedelta(0)
DELAYS = (NOW, NOW, NOW, *map(ticks, (0, 1, 3, 10, 100)))
TTLS = tuple(map(ticks, (0, 3, 3, 10, 10, 30, 100)))
SHORTLY = timedelta(milliseconds=10)
KEPT_CLAIMS = 12


class Given(Channels):
    """Gives each step what it is called with; seldom what is refused."""

    def broker(self) -> str:
        return self.seldom(self.one(BROKERS), WRONG_NAMES)

    def id(self) -> str:
        return self.seldom(self.one(IDS), WRONG_NAMES)

    def consumer(self) -> str:
        return self.one(CONSUMERS)

    def delay(self) -> timedelta:
        return self.seldom(self.one(DELAYS), [-TICK])

    def ttl(self) -> timedelta:
        return self.seldom(self.one(TTLS), [NOW, -TICK])

    def priority(self) -> int:
        return self.seldom(self.one((0, 0, 0, 0, -1, 5, 2**31 - 1)), [2**31])

    def message(self) -> Message:
        return Message(self.id(), self.delay(), self.priority())

    def strategy(self) -> Strategy | str:
        return self.seldom(self.one(STRATEGIES), ["newest"])


class BrokerSteps(MessageSteps[Given]):
    """Drives two brokers; claims that were handed out are passed back, lost ones too."""

    given = Given

    def __init__(self, twins: Twins) -> None:
        super().__init__(twins)
        self.claims: list[tuple[str, str, Both]] = []  # of which broker, by whom

    @often
    def publish(self, some: Given) -> None:
        self.call("publish", some.broker(), some.id(), some.delay(), some.priority())

    @step
    def publish_again(self, some: Given) -> None:
        self.call("publish", some.broker(), some.id())

    @often
    def publish_batch(self, some: Given) -> None:
        self.call("publish_batch", some.broker(), some.several(some.message, 4))

    @often
    def claim(self, some: Given) -> None:
        broker, consumer, limit = some.broker(), some.consumer(), some.seldom(some.below(4), [-1])
        got = self.call("claim", broker, consumer, limit, some.ttl(), some.strategy())
        self.keep(broker, consumer, got.reference or (), got.store or ())

    @often
    def claim_one(self, some: Given) -> None:
        broker, consumer = some.broker(), some.consumer()
        got = self.call("claim", broker, consumer, 1, some.ttl())
        self.keep(broker, consumer, got.reference or (), got.store or ())

    @step
    def claim_blocking(self, some: Given) -> None:
        broker, consumer, ttl = some.broker(), some.consumer(), some.ttl()
        wait = some.one((NOW, SHORTLY))
        got = self.call("claim_blocking", broker, consumer, ttl, wait, some.strategy())
        if got.reference is not None:
            self.keep(broker, consumer, [got.reference], [got.store])

    def keep(self, broker: str, consumer: str, left: Sequence[Any], right: Sequence[Any]) -> None:
        pairs = [(broker, consumer, Both(*pair)) for pair in zip(left, right, strict=True)]
        self.claims = [*pairs, *self.claims][:KEPT_CLAIMS]

    def chosen(self, some: Given) -> tuple[str, str, Any]:
        """Return a claim that was handed out, its id alone, or any id."""
        kind = some.below(4)
        if kind == 3 or not self.claims:
            return some.broker(), some.consumer(), some.id()
        broker, consumer, claim = some.one(self.claims)
        return broker, consumer, str(claim.reference) if kind == 2 else claim

    @step
    def extend_lock(self, some: Given) -> None:
        broker, consumer, claim = self.chosen(some)
        consumer = some.usually(consumer, some.consumer, 6)
        of = broker if some.below(4) else None
        self.call("extend_lock", claim, consumer, some.ttl(), of)

    @step
    def ack(self, some: Given) -> None:
        broker, _, claim = self.chosen(some)
        self.call("ack", broker, claim)

    @step
    def nack(self, some: Given) -> None:
        broker, _, claim = self.chosen(some)
        self.call("nack", broker, claim, some.delay(), some.maybe(some.priority))

    @step
    def remove(self, some: Given) -> None:
        self.call("remove", some.broker(), some.id())

    @step
    def pause_or_resume(self, some: Given) -> None:
        self.call(some.one(("resume", "resume", "pause")), some.broker())

    @rarely
    def drop_connection(self, some: Given) -> None:
        """Go on as if nothing had been, when the connection in the pool is gone."""
        self.twins.drop()
        getattr(self, some.one(("publish", "publish_batch", "broadcast", "ack", "nack", "remove")))(
            some
        )
        self.look_at("b")

    @step
    def look_at_broker(self, some: Given) -> None:
        self.look_at(some.broker())

    def look_at(self, broker: str) -> None:
        for method in ("counts", "size", "is_paused"):
            self.call(method, broker)

    @step
    def pass_time(self, some: Given) -> None:
        self.twins.clock.advance(some.one((1, 7, 40)) * TICK)

    def look(self) -> None:
        """All that is left, in the order it is handed out."""
        for broker in ("b", "B"):
            self.look_at(broker)
            self.call("resume", broker)
            for strategy in Strategy:
                self.call("claim", broker, "last", 2, ticks(300), strategy)
            self.twins.clock.advance(200 * TICK)
            self.call("claim", broker, "last", 20, ticks(300), Strategy.PRIORITY)
            self.look_at(broker)
