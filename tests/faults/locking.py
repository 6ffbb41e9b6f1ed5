"""What must be true of locks in every history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.faults.history import Event, History
from tests.faults.rules import ROUNDING, Rules


def held_twice(h: History, rules: Rules) -> Iterator[str]:
    """A lock has one holder at a time: from the reply to its acquisition until it is let go of."""
    holds: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for key, (event, end) in _holds(h):
        if event.at < end:  # else it heard of it when it was over
            holds[key].append((event.at, end, event.process))
    for key, spans in holds.items():
        last, holder = 0.0, ""
        for start, end, process in sorted(spans):
            if process != holder and start < last - ROUNDING:
                yield f"{process} got {key} {last - start:.3f} s before {holder} was done with it"
            if end > last:
                last, holder = end, process


def fences(h: History, rules: Rules) -> Iterator[str]:
    """Whoever gets a lock later has a higher number, and no two have the same."""
    highest: dict[str, tuple[int, str]] = {}
    steps: dict[str, list[tuple[float, int, Event]]] = defaultdict(list)
    for event in h.of("acquired"):
        steps[event["key"]] += [(event["asked"], 1, event), (event.at, 0, event)]
    before: dict[int, tuple[int, str]] = {}
    for key, each in steps.items():
        for _, asked, event in sorted(each, key=lambda step: step[:2]):
            known = highest.get(key, (0, ""))
            if asked:
                before[id(event)] = known
                continue
            fence, holder = before[id(event)]
            if event["fence"] < fence or (event["fence"] == fence and event.process != holder):
                yield f"{event.process} got {key} with {event['fence']}, {holder} had {fence}"
            highest[key] = max(known, (event["fence"], event.process))


def _holds(h: History) -> Iterator[tuple[str, tuple[Event, float]]]:
    """Go through the acquisitions, each with the instant until which it certainly lasts."""
    ends: dict[tuple[str, str, int], tuple[float, float]] = {}
    for event in h.of("acquired", "renewed", "releasing"):
        name = (event.process, event["key"], event["fence"])
        valid, let_go = ends.get(name, (0.0, float("inf")))
        if event.what == "releasing":
            ends[name] = (valid, min(let_go, event.at))
        else:
            ends[name] = (max(valid, event["valid"]), let_go)
    for event in h.of("acquired"):
        yield event["key"], (event, min(ends[event.process, event["key"], event["fence"]]))
