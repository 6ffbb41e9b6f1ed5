"""What is asked, of whom, and what came of it."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from oqron_sql.errors import OqronError


class SideFailed(OqronError):
    """Somebody who is measured could not do the work."""


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """Something that is measured, in a unit of which more is better, unless `less` is."""

    name: str
    title: str
    unit: str = "jobs/s"
    less: bool = False

    @property
    def better(self) -> str:
        """Which figures are the better ones."""
        return "lower is better" if self.less else "higher is better"


ADD = Question("add", "Add, one by one")
ADD_TEN = Question("add-ten", "Add, ten in flight")
BULK = Question("bulk", "Add in bulk, 1,000 a call")
DRAIN = Question("drain", "Run, one process")
DRAIN_TWO = Question("drain-two", "Run, two processes")
BACKLOG = Question("backlog", "Run, with a backlog")
GROUPED = Question("grouped", "Run, 100 groups in turn")
PICK_UP = Question("pick-up", "From add to begin, median", "ms", less=True)
QUESTIONS = (ADD, ADD_TEN, BULK, DRAIN, DRAIN_TWO, BACKLOG, GROUPED, PICK_UP)


@dataclasses.dataclass(frozen=True, slots=True)
class Contestant:
    """Whoever is measured: a module of `sides`, the database it works on, and what it is called."""

    label: str
    side: str
    url: str = dataclasses.field(repr=False)
    peer: bool = False


_START = 4.0
"""How many seconds it takes until the first job of each who is measured."""
_OUR_PACE, _PEERS_PACE = 5.0, 20.0
"""How many seconds all questions take about a thousand jobs."""


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """How much is done: `jobs` is the largest part, the others are shares of it."""

    jobs: int
    rounds: int

    @classmethod
    def of(cls, jobs: int | None, rounds: int | None, *, peers: bool) -> Work:
        """Return what is asked for; by default less beside peers, which take their time."""
        return cls(jobs or (2000 if peers else 5000), rounds or (1 if peers else 3))

    def lasts(self, contestants: Sequence[Contestant]) -> float:
        """Return for how many seconds, as far as one can tell: two cores, a database close by."""
        shares = sum(_PEERS_PACE if each.peer else _OUR_PACE for each in contestants)
        return _START * len(contestants) + self.rounds * self.jobs / 1000 * shares

    @property
    def single(self) -> int:
        """How many jobs are added by calls of their own."""
        return max(20, self.jobs // 5)

    @property
    def some(self) -> int:
        """How many jobs are run where others are in the way."""
        return max(20, self.jobs // 2)

    @property
    def backlog(self) -> int:
        """How many jobs wait behind those that are run."""
        return 4 * self.jobs

    @property
    def pick_ups(self) -> int:
        """How many jobs are added to an idle worker."""
        return min(100, self.single)


@dataclasses.dataclass(slots=True)
class Result:
    """Everything that was measured; `figures` by question and label, one for each round."""

    contestants: Sequence[Contestant]
    work: Work
    servers: dict[str, str] = dataclasses.field(default_factory=dict)
    figures: dict[str, dict[str, list[float]]] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)

    def note(self, question: Question, label: str, figure: float) -> None:
        """Add what one round came to."""
        self.figures.setdefault(question.name, {}).setdefault(label, []).append(figure)

    def medians(self, question: Question) -> Mapping[str, float]:
        """Return the median of each who answered, in the order of the contestants."""
        found = self.figures.get(question.name, {})
        labels = [each.label for each in self.contestants if found.get(each.label)]
        return {label: statistics.median(found[label]) for label in labels}

    def samples(self, question: Question, label: str) -> Sequence[float]:
        """Return all that one came to, in the order of the rounds."""
        return self.figures[question.name][label]
