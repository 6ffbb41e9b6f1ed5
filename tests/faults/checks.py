"""What must be true of every history; each check returns a sentence per violation.

Only what is certain counts: a call without a reply may have been carried out or not, and neither
is held against anybody.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.faults.history import Event, History
from tests.faults.locking import fences, held_twice
from tests.faults.resuming import idle
from tests.faults.rules import ENDS, ROUNDING, Lease, Rules, lease_of


def lost(h: History, rules: Rules) -> Iterator[str]:
    """Each acknowledged enqueue reaches an end."""
    final = {event["job"]: event for event in h.of("final")}
    for event in h.of("enqueued", "fired"):
        found = final.get(event["job"])
        if found is None:
            yield f"{event['job']} was acknowledged and is gone"
        elif found["state"] not in ENDS:
            yield f"{event['job']} was acknowledged and is still {found['state']}"
    taken_out = {event["job"] for event in h.of("finishing") if event.get("state") == "completed"}
    for event in h.of("published"):
        if event["job"] not in taken_out:
            yield f"{event['job']} was acknowledged, and nobody worked on it"
    for event in h.of("left"):
        if event["ids"]:
            yield f"{event['ids']} ids are there still"


def invented(h: History, rules: Rules) -> Iterator[str]:
    """Nothing is there, or runs, that nobody enqueued."""
    asked = {event["job"] for event in h.of("enqueueing")}
    series = {event["key"] for event in h.of("putting")}
    for event in h.of("claimed", "began", "final"):
        if event["job"] not in asked and event["job"].rpartition("@")[0] not in series:
            yield f"{event['job']} was {event.what} and never enqueued"


def ended_twice(h: History, rules: Rules) -> Iterator[str]:
    """A job has one end, which belongs to one lease, and nothing comes after it."""
    accepted: dict[str, set[int]] = defaultdict(set)
    for event in h.of("finished"):
        if event["state"] in ENDS:
            accepted[event["job"]].add(event["lease"])
    for job, leases in accepted.items():
        if len(leases) > 1:
            yield f"{job} ended with leases {sorted(leases)}"
    for event in h.of("claimed"):
        job, lease = lease_of(event)
        if lease > min(accepted.get(job, {lease})):
            yield f"{job} was claimed with lease {lease} after its end"
    for event in h.of("final"):
        job, lease = lease_of(event)
        if accepted.get(job, {lease}) != {lease}:
            yield f"{job} ended with lease {accepted[job]}, and its row says {lease}"


def unfounded(h: History, rules: Rules) -> Iterator[str]:
    """What is recorded as completed was done, by the lease that is recorded, with that result."""
    done = {lease_of(event) for event in h.of("ended")}
    for event in h.of("final"):
        if event["state"] != "completed":
            continue
        if lease_of(event) not in done:
            yield f"{event['job']} is completed, and lease {event['lease']} never did it"
        if "result" in event.facts and event["result"] != list(lease_of(event)):
            yield f"{event['job']} of lease {event['lease']} has the result {event['result']}"


def shared(h: History, rules: Rules) -> Iterator[str]:
    """No lease is given out twice, and valid leases of one job never overlap.

    `since` and `until` are instants of the clock of the database; `valid` is the instant of the
    clock that all processes share before which a lease cannot be over, if the database's clock is
    right: so long after it was asked for. Where that clock was put forth in between, the lease was
    shorter; where it was put back, the next one began earlier by it.
    """
    claims: dict[str, dict[int, Event]] = defaultdict(dict)
    until: dict[Lease, float] = {}
    valid: dict[Lease, float] = {}
    for event in h.of("claimed"):
        job, lease = lease_of(event)
        if lease in claims[job]:
            yield f"lease {lease} of {job} was given out twice"
        claims[job][lease] = event
    for event in h.of("claimed", "extended"):
        until[lease_of(event)] = max(event.get("until", 0), until.get(lease_of(event), 0))
        valid[lease_of(event)] = max(event.get("valid", 0), valid.get(lease_of(event), 0))
    asked = {lease_of(event): event.get("state") for event in h.of("finishing")}
    refused = {lease_of(event) for event in h.of("finished") if event["state"] is None}
    # One that hands a job back, and is repeated because its reply was lost, may find it given out.
    over = {lease for lease, state in asked.items() if lease not in refused or state not in ENDS}
    for job, leases in claims.items():
        for before, after in pairwise(sorted(leases)):
            if (job, before) in over:
                continue
            next_one = leases[after]
            begun = leases[before].get("asked", leases[before].at)
            forth, back = h.steps(begun, next_one.at)
            early = until[job, before] - next_one.get("since", until[job, before]) - back
            early = max(early, valid[job, before] - next_one.at - forth)
            if early > ROUNDING:
                yield f"lease {after} of {job} began {early:.3f} s before lease {before} was over"


def late(h: History, rules: Rules) -> Iterator[str]:
    """A job that is to be handed out again waits for its lease, for the clock, and little more."""
    if rules.late is None:
        return
    claims: dict[str, dict[int, Event]] = defaultdict(dict)
    free: dict[Lease, float] = defaultdict(float)
    for event in h.of("claimed"):
        claims[event["job"]][event["lease"]] = event
    for event in h.of("claimed", "extended", "finishing"):
        free[lease_of(event)] = max(event.get("valid", event.at), free[lease_of(event)])
    for job, leases in claims.items():
        for before, after in pairwise(sorted(leases)):
            _, back = h.steps(leases[before].get("asked", leases[before].at), leases[after].at)
            waited = leases[after].at - free[job, before] - back
            if waited > rules.late:
                yield f"{job} waited {waited:.1f} s longer than lease {before} and the clock ask"


def stale(h: History, rules: Rules) -> Iterator[str]:
    """No finish is accepted that was asked for after a newer lease had been given out."""
    newest: dict[str, int] = {}
    asked: dict[Lease, int] = {}  # the newest lease that was known when it was asked for
    for event in h.events:
        if event.what == "claimed":
            newest[event["job"]] = max(event["lease"], newest.get(event["job"], 0))
        elif event.what == "finishing":
            asked[lease_of(event)] = newest.get(event["job"], 0)
        elif event.what == "finished" and event["state"] is not None:
            job, lease = lease_of(event)
            if asked.get((job, lease), 0) > lease:
                yield f"lease {lease} of {job} finished it, and {newest[job]} had been given out"


def torn(h: History, rules: Rules) -> Iterator[str]:
    """What is kept of an id in several places agrees."""
    for event in h.of("torn"):
        yield event["problem"]


def out_of_order(h: History, rules: Rules) -> Iterator[str]:
    """With one worker, jobs begin in the order in which they were enqueued."""
    if not rules.ordered:
        return
    place = {event["job"]: n for n, event in enumerate(h.of("enqueued"))}
    last, before = -1, ""
    for event in h.of("claimed"):
        here = place.get(event["job"])
        if here is None or event["lease"] > 1:
            continue
        if here < last:
            yield f"{event['job']} was claimed after {before}, which was enqueued later"
        last, before = max(here, last), event["job"]


def strayed(h: History, rules: Rules) -> Iterator[str]:
    """A job is handed out in its own queue, to a worker of its own prefix."""
    for event in h.of("claimed"):
        if event.get("home") not in (None, event.get("space")):
            yield f"{event['job']} of {event['home']} was claimed in {event['space']}"


def doubled(h: History, rules: Rules) -> Iterator[str]:
    """There is one live job per key: from the reply to its enqueue until it is to be finished."""
    if not rules.keyed:
        return
    finishing: dict[str, float] = {}
    for event in h.of("finishing"):
        finishing.setdefault(event["job"], event.at)
    live: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for event in h.of("enqueued"):
        if event.get("key") is not None:
            # Until somebody might have ended it, it lives.
            end = finishing.get(event["job"], h.events[-1].at)
            live[event["key"]].append((event.at, end, event["job"]))
    for key, spans in live.items():
        last, holder = 0.0, ""
        for start, end, job in sorted(spans):
            if job != holder and start < last:
                yield f"{holder} and {job} lived at once under the key {key}"
            if end > last:
                last, holder = end, job


def exceeded(h: History, rules: Rules) -> Iterator[str]:
    """No more jobs of a group, or of the queue, are active at a time than they may be."""
    finishing: dict[Lease, float] = {}
    for event in h.of("finishing"):
        finishing.setdefault(lease_of(event), event.at)
    known: dict[Lease, float] = {}
    for event in h.of("claimed", "began", "extended"):
        known[lease_of(event)] = max(event.at, known.get(lease_of(event), 0))
    steps: list[tuple[float, int, str | None]] = []
    for event in h.of("claimed"):
        lease = lease_of(event)
        steps.append((event.at, 1, event.get("group")))
        steps.append((finishing.get(lease, known[lease]), -1, event.get("group")))
    active: Counter[str | None] = Counter()
    total = 0
    for at, step, group in sorted(steps, key=lambda each: (each[0], -each[1])):
        active[group] += step
        total += step
        if step < 0:
            continue
        if rules.max_active is not None and total > rules.max_active:
            yield f"{total} jobs were active at {at:.3f}, {rules.max_active} may be"
        if rules.group_cap is not None and group and active[group] > rules.group_cap:
            yield f"{active[group]} jobs of {group} were active at {at:.3f}"


def hurried(h: History, rules: Rules) -> Iterator[str]:
    """No span of the database's time sees more leases than the rate allows."""
    if rules.rate is None:
        return
    most, span = rules.rate
    taken = sorted(event["since"] for event in h.of("claimed"))
    for first, beyond in zip(taken, taken[most:], strict=False):
        if beyond - first < span.total_seconds() - ROUNDING:
            yield f"{most + 1} leases within {beyond - first:.3f} s from {first:.3f}"


def slots(h: History, rules: Rules) -> Iterator[str]:
    """Each slot of a series, a second apart, is fired once and has one job; none is left out."""
    fired = Counter((event["key"], event["slot"]) for event in h.of("fired"))
    for (key, slot), times in fired.items():
        if times > 1:
            yield f"{key} was fired {times} times for {slot:.3f}"
    jobs: dict[str, list[float]] = defaultdict(list)
    for event in h.of("final"):
        if "slot" in event.facts:
            jobs[event["key"]].append(event["slot"])
    for event in h.of("series"):
        key, n, found = event["key"], event["fired"], sorted(jobs[event["key"]])
        if event["limit"] is not None and n > event["limit"]:
            yield f"{key} was fired {n} times, {event['limit']} were asked for"
        if len(found) != n:
            yield f"{key} was fired {n} times and has {len(found)} jobs"
        if found and not 0 < found[0] - event["anchor"] <= 1 + ROUNDING:
            yield f"{key} was put at {event['anchor']:.3f}, and its first slot is {found[0]:.3f}"
        for before, after in pairwise(found):
            if abs(after - before - 1) > ROUNDING:
                yield f"{key} has no job between {before:.3f} and {after:.3f}"


Check = Callable[[History, Rules], Iterator[str]]
CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        *(lost, invented, ended_twice, unfounded, shared, late, stale, torn),
        *(out_of_order, strayed, doubled, exceeded, hurried, slots, held_twice, fences, idle),
    )
}


def violations(h: History, rules: Rules) -> dict[str, list[str]]:
    """Return what each check has to say, of those that say something."""
    said = {name: list(check(h, rules)) for name, check in CHECKS.items()}
    return {name: sentences for name, sentences in said.items() if sentences}
