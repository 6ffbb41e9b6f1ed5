"""The files of the demo: which there are, and what can be learned from one."""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from typing import Any

CHUNK = 1 << 20
TOP_WORDS = 20
NOT_PYTHONS_OWN = frozenset({"site-packages", "dist-packages", "__pycache__"})
_WORD = re.compile(r"[^\W\d_]{3,}")


class Stopped(Exception):
    """The analysis was told to stop before the end of the file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was when it was found, to tell a wrong result from a changed file."""

    size: int
    changed_ns: int


@dataclasses.dataclass(slots=True)
class Found:
    """The regular files below `root`, and how much could not be looked at."""

    root: str
    files: dict[str, Seen] = dataclasses.field(default_factory=dict)
    unnameable: int = 0
    closed: int = 0


def find_files(root: str, *, skip: frozenset[str] = frozenset()) -> Found:
    """Find the regular files at or below `root`; folders named in `skip` are left out.

    Names that are not UTF-8 cannot be stored and are only counted, like folders we may not list.
    """
    found = Found(os.path.abspath(root))
    if os.path.isfile(found.root):
        _look(found, found.root)
        return found

    def closed(_: OSError) -> None:
        found.closed += 1

    for folder, below, names in os.walk(found.root, onerror=closed):
        below[:] = sorted(name for name in below if name not in skip)
        for name in sorted(names):
            _look(found, os.path.join(folder, name))
    return found


def look_at(path: str) -> Seen | None:
    """Return the regular file at `path` as it is now, or None."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return Seen(status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def analyse(path: str, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Read the file and return its size, lines, SHA-256 and most frequent words.

    Raises:
        OSError: it cannot be read.
        Stopped: `stop` said so between two pieces of it.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    words: Counter[str] = Counter()
    size = lines = 0
    last, rest, binary = b"", "", False
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            if stop():
                raise Stopped
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
            last = chunk[-1:]
            binary = binary or b"\0" in chunk
            if not binary:
                rest = _count(words, rest + decoder.decode(chunk))
    if not binary:
        words.update(_WORD.findall(rest.lower()))
    return {
        "bytes": size,
        "lines": lines + (last not in (b"", b"\n")),
        "sha256": digest.hexdigest(),
        "words": [] if binary else [list(pair) for pair in words.most_common(TOP_WORDS)],
    }


def _look(found: Found, path: str) -> None:
    seen = look_at(path)
    if seen is None:
        return
    try:
        path.encode()
    except UnicodeEncodeError:
        found.unnameable += 1
    else:
        found.files[path] = seen


def _count(words: Counter[str], text: str) -> str:
    """Count the words of `text` and return its end, where a word may have been cut in two."""
    end = max(text.rfind(" "), text.rfind("\n")) + 1
    if len(text) - end > CHUNK:  # no such word: do not keep the whole file for it
        end = len(text)
    words.update(_WORD.findall(text[:end].lower()))
    return text[end:]
