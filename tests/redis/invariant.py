"""What is true of the data in Redis after every call: each id is in exactly one place, its own.

Written apart from the scripts, from what the guide says about the keys.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import redis

KEY = re.compile(r"(?s)(.*):(broker|store|lock|channel):\{([^{}]*)\}(?::(.*))?")
STATES = ("waiting", "handed_back", "delayed", "claimed")
PARTS = {
    "broker": {"ids", *STATES, "ranked", "paused", "last", "request"},
    "store": {"documents", "times", "last", "request"},
    "lock": {""},
    "channel": {"request"},
}
# Instants do not survive cjson, which writes fourteen digits.
DECODE = """
local r = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))
local function show(n) return n and string.format('%.0f', n) or '' end
return {r.state, show(r.at), show(r.place), show(r.priority), r.handed_back and '1' or '0',
        show(r.deadline), r.token or ''}
"""


def violations(clients: list[redis.Redis]) -> list[str]:
    """Return what is wrong with the data, which is all of our making, of some servers."""
    return [problem for client in clients for problem in _of_one(client)]


def _of_one(client: redis.Redis) -> list[str]:
    things: dict[str, set[str]] = defaultdict(set)
    problems = []
    found: Any = client.keys("*")
    for key in map(bytes.decode, found):
        if key.endswith(":brokers") or key == "brokers":
            continue
        match = KEY.fullmatch(key)
        part = (match[4] or "").partition(":")[0] if match else None
        if match is None or part not in PARTS[match[2]]:
            problems.append(f"{key}: not one of our keys")
            continue
        things[f"{match[1]}:{match[2]}:{{{match[3]}}}"].add(part)
        if part == "request" and not 0 < int(str(client.ttl(key))) <= 300:
            problems.append(f"{key}: is kept for ever")
        if match[2] == "lock" and int(str(client.pttl(key))) <= 0:
            problems.append(f"{key}: is kept for ever")
    for base in things:
        if ":broker:" in base:
            problems += _of_queue(client, base)
        if ":store:" in base:
            problems += _of_namespace(client, base)
    return problems


def _of_queue(client: Any, base: str) -> list[str]:
    ids = client.hkeys(f"{base}:ids")
    sets = {
        state: dict(client.zrange(f"{base}:{state}", 0, -1, withscores=True)) for state in STATES
    }
    ranked = dict(client.zrange(f"{base}:ranked", 0, -1, withscores=True))
    problems, expected_ranked = [], {}
    for id in ids:  # noqa: A001 - it is one
        state, at, place, priority, handed_back, deadline, token = map(
            bytes.decode, client.eval(DECODE, 1, f"{base}:ids", id)
        )
        member = at.zfill(16).encode() + id
        where = [name for name, members in sets.items() if member in members]
        if where != [state]:
            problems.append(f"{base} {id!r}: says it is {state}, and is {where}")
            continue
        score = {"claimed": deadline}.get(state, place)
        if sets[state][member] != float(score):
            problems.append(f"{base} {id!r}: {state} at {sets[state][member]}, not {score}")
        if state == "claimed" and not token:
            problems.append(f"{base} {id!r}: claimed by nobody")
        if state in ("waiting", "handed_back"):
            if (state == "handed_back") != (handed_back == "1"):
                problems.append(f"{base} {id!r}: {state}, which it is not")
            head = "0" if handed_back == "1" else "1"
            expected_ranked[head.encode() + place.zfill(18).encode() + member] = float(priority)
    if ranked != expected_ranked:
        problems.append(f"{base}: ranked is {ranked}, not {expected_ranked}")
    total = sum(map(len, sets.values()))
    if total != len(ids):
        problems.append(f"{base}: {len(ids)} ids, {total} members")
    return problems


def _of_namespace(client: Any, base: str) -> list[str]:
    documents = client.hgetall(f"{base}:documents")
    members = set(client.zrange(f"{base}:times", 0, -1))
    expected = {text[:16] + id for id, text in documents.items()}  # noqa: A001 - it is one
    stamps = {text[:16] for text in documents.values()}
    problems = [] if members == expected else [f"{base}: times has {members}, not {expected}"]
    if len(stamps) != len(documents):
        problems.append(f"{base}: two documents were first saved at the same instant")
    return problems
