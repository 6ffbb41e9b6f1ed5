"""What is told to whoever waits: a topic, which says where to look and nothing else."""

from __future__ import annotations

import functools
import hashlib
import time
import zlib
from collections.abc import Collection

EVERYTHING = "*"
ASKING = "?"  # comes before the topic that somebody waits for
MOST = 400  # in one hint, lest it gets too long; more than these are told as everything
ASKED_MOST = 1000


@functools.lru_cache(maxsize=1024)
def topic(kind: str, name: str) -> str:
    """Return the topic of a thing of that kind and name: short, and not to be read back."""
    digest = hashlib.blake2b(f"{kind}:{name}".encode(), digest_size=9)
    return digest.hexdigest()


def jobs_topic(queue: str) -> str:
    """Return the topic of jobs that can be fetched from a queue, or soon will be."""
    return topic("jobs", queue)


def job_topic(queue: str, job_id: str) -> str:
    """Return the topic of one job, cheap to make; that two of them may share it does no harm."""
    return f"{zlib.crc32(f'{queue}:{job_id}'.encode()):08x}"


def payload(topics: Collection[str]) -> str:
    """Return the text of a hint."""
    return ",".join(sorted(topics)) if len(topics) <= MOST else EVERYTHING


class Asked:
    """The topics of jobs that somebody waits for, in this process or another, for a while."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._last = 0.0

    def add(self, asked: str, seconds: float) -> None:
        """Note that somebody waits for a topic, for so long."""
        now = time.monotonic()
        if len(self._until) >= ASKED_MOST:
            self._until = {each: end for each, end in self._until.items() if end > now}
        self._until[asked] = self._last = now + seconds

    def among(self, queue: str, job_ids: Collection[str]) -> set[str]:
        """Return the topics of those of the jobs that somebody waits for."""
        now = time.monotonic()
        if now > self._last:
            return set()  # nearly always
        topics = {job_topic(queue, job_id) for job_id in job_ids}
        return {each for each in topics if self._until.get(each, 0) > now}
