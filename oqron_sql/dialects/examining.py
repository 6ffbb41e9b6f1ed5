"""What a database says of itself, for people who look after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something about `about` that is wrong, or with `serious` False merely worth knowing."""

    about: str
    problem: str
    remedy: str
    serious: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Examination:
    """The server and its version, the settings that matter to the store, and what was found."""

    server: str
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    findings: Sequence[Finding] = ()
