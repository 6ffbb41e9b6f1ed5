"""What is told to whoever waits: a topic, which says where to look and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

EVERYTHING = "*"
MOST = 50  # in one hint, lest it gets too long; more than these are told as everything


def topic(kind: str, name: str) -> str:
    """Return the topic of a thing of that kind and name: short, and not to be read back."""
    digest = hashlib.blake2b(f"{kind}:{name}".encode(), digest_size=9)
    return digest.hexdigest()


def payload(topics: Collection[str]) -> str:
    """Return the text of a hint."""
    return ",".join(sorted(topics)) if len(topics) <= MOST else EVERYTHING
