"""Telling everybody who listens."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from oqron_sql.contract.adapters import MESSAGE_BYTES
from oqron_sql.contract.async_adapters import AsyncBroker
from oqron_sql.errors import InvalidInput, PayloadError, PayloadTooLarge
from oqron_sql.testing.adapter_harness import AdapterHarness, needs
from oqron_sql.testing.adapters.steps import T2024, until

CHANNEL = "news"


@needs("broadcast")
async def test_everybody_is_told(broker: AsyncBroker, harness: AdapterHarness) -> None:
    """[68] Each once, in order, with a copy of its own."""
    other = broker if "shared_data" in harness.missing else await harness.broker()
    heard: list[list[Any]] = [[], [], []]
    for listener, where in zip(heard, (broker, broker, other), strict=True):
        await where.subscribe(CHANNEL, listener.append)
    messages: list[Any] = [{"n": [1]}, None, "text", T2024, [], 2**70]
    for message in messages:
        await other.broadcast(CHANNEL, message)
    await until(lambda: all(len(each) >= len(messages) for each in heard))
    assert heard == [messages] * 3
    heard[0][0]["n"].append(2)
    assert heard[1][0] == {"n": [1]}


@needs("broadcast")
async def test_channels_are_apart(broker: AsyncBroker) -> None:
    heard: list[Any] = []
    await broker.subscribe("news.sport", heard.append)
    await broker.subscribe("end", heard.append)
    for channel in ("news", "news.*", "*", "NEWS.sport", "news.sport ", "end"):
        await broker.broadcast(channel, channel)
    await until(lambda: "end" in heard)
    assert heard == ["end"]


@needs("broadcast")
async def test_who_does_not_listen_is_told_nothing(broker: AsyncBroker) -> None:
    """[69] Neither what was sent before, nor what comes after."""
    early: list[Any] = []
    late: list[Any] = []
    await broker.broadcast(CHANNEL, "to nobody")
    stop = await broker.subscribe(CHANNEL, early.append)
    await broker.broadcast(CHANNEL, 1)
    await until(lambda: early == [1])
    await stop()
    await stop()
    await broker.subscribe(CHANNEL, late.append)
    await broker.broadcast(CHANNEL, 2)
    await until(lambda: late == [2])
    assert early == [1]


@needs("broadcast")
async def test_the_same_handler_can_listen_twice(broker: AsyncBroker) -> None:
    heard: list[Any] = []
    stop = await broker.subscribe(CHANNEL, heard.append)
    await broker.subscribe(CHANNEL, heard.append)
    await broker.broadcast(CHANNEL, 1)
    await until(lambda: len(heard) == 2)
    await stop()
    await broker.broadcast(CHANNEL, 2)
    await until(lambda: len(heard) == 3)
    assert heard == [1, 1, 2]


@needs("broadcast")
async def test_a_failing_handler_is_logged_and_called_once(
    broker: AsyncBroker, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []
    heard: list[Any] = []

    def fail(message: Any) -> None:
        calls.append(message)
        raise LookupError("handlers may fail")

    await broker.subscribe(CHANNEL, fail)
    await broker.subscribe(CHANNEL, heard.append)
    with caplog.at_level(logging.WARNING, "oqron_sql"):
        await broker.broadcast(CHANNEL, {"secret": "hunter2"})
        await broker.broadcast(CHANNEL, "next")
        await until(lambda: len(heard) == 2 and "next" in calls)
    assert calls == heard == [{"secret": "hunter2"}, "next"]
    assert "handlers may fail" in caplog.text
    assert "hunter2" not in caplog.text


@needs("broadcast")
async def test_handlers_are_called_on_the_loop_of_the_subscriber(broker: AsyncBroker) -> None:
    loops: list[Any] = []
    await broker.subscribe(CHANNEL, lambda _: loops.append(asyncio.get_running_loop()))
    await broker.broadcast(CHANNEL, 1)
    await until(lambda: loops)
    assert loops == [asyncio.get_running_loop()]


@needs("broadcast", "large_text")
async def test_a_message_has_a_limit(broker: AsyncBroker) -> None:
    """The same everywhere."""
    heard: list[Any] = []
    await broker.subscribe(CHANNEL, heard.append)
    longest = "ä" * (MESSAGE_BYTES // 2 - 1)
    with pytest.raises(PayloadTooLarge):
        await broker.broadcast(CHANNEL, longest + "x")
    with pytest.raises(PayloadError):
        await broker.broadcast(CHANNEL, float("nan"))
    await broker.broadcast(CHANNEL, longest)
    await until(lambda: heard)
    assert heard == [longest]


@needs("broadcast")
async def test_a_handler_is_a_plain_function(broker: AsyncBroker) -> None:
    async def wrong(message: Any) -> None: ...

    for handler in (wrong, "text", None):
        with pytest.raises(InvalidInput):
            await broker.subscribe(CHANNEL, handler)  # type: ignore[arg-type]  # is what is tested
