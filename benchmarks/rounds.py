"""Makes the runs, round after round, and sums them up in medians."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
from collections.abc import Callable

from benchmarks.databases import Databases
from benchmarks.plan import Bound, Comparison, Question, Run, Sample, Task

RETRIES = 4
Samples = dict[str, list[Sample]]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one comparison.

    `ratio` is that of the medians; `paired` the median of the ratios within one round, which a
    load that comes and goes disturbs less.
    """

    comparison: Comparison
    rate: float
    peer_rate: float
    ratio: float
    paired: float

    @property
    def met(self) -> bool | None:
        """Whether the target was reached, by both ratios; None without a target."""
        target = self.comparison.target
        return None if target is None else min(self.ratio, self.paired) >= target


def measure(
    question: Question,
    where: Databases,
    tell: Callable[[str], None],
    *,
    rounds: int,
    share: int = 1,
    quiet: float | None = None,
) -> Samples:
    """Make every run once per round, one after the other; `share` divides the number of jobs.

    With `quiet`, a run during which others used more cores than that is made again, up to
    `RETRIES` times, and the one they disturbed least counts.
    """
    samples: Samples = {run.label: [] for run in question.runs}
    for number in range(1, rounds + 1):
        for run in question.runs:
            sample = make(run, where, share)
            for _ in range(RETRIES if quiet is not None else 0):
                if sample.other_cores <= (quiet or 0):
                    break
                sample = min(sample, make(run, where, share), key=lambda one: one.other_cores)
            samples[run.label].append(sample)
            figures = f"{sample.rate:,.0f}/s, others {sample.other_cores:.2f}"
            tell(f"{question.name} {number}/{rounds}: {run.label}: {figures}")
    return samples


def make(run: Run, where: Databases, share: int = 1, profile: str | None = None) -> Sample:
    """Make one run in a process and a database of its own."""
    with where.fresh(run.driver) as url:
        jobs = max(run.jobs // share, run.batch, 1)
        pid = where.pid
        task = Task(run.action, url, jobs, run.batch, run.in_flight, pid, profile)
        module = f"benchmarks.sides.{run.side}"
        done = subprocess.run(
            [sys.executable, "-m", module, json.dumps(dataclasses.asdict(task))],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"{run.label} failed:\n{done.stderr[-4000:]}")
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


def judge(question: Question, samples: Samples) -> list[Verdict]:
    """Return the verdict on every comparison."""
    return [_judge(comparison, samples) for comparison in question.comparisons]


def judge_bounds(question: Question, samples: Samples) -> list[tuple[Bound, float, bool]]:
    """Return the median of each figure that has a bound, and whether that was kept."""
    found = [
        (bound, statistics.median(sample.figures[bound.figure] for sample in samples[bound.run]))
        for bound in question.bounds
    ]
    return [(bound, figure, figure <= bound.most) for bound, figure in found]


def _judge(comparison: Comparison, samples: Samples) -> Verdict:
    rates = [sample.rate for sample in samples[comparison.run]]
    peers = [sample.rate for sample in samples[comparison.peer]]
    rate, peer = statistics.median(rates), statistics.median(peers)
    pairs = [ours / theirs for ours, theirs in zip(rates, peers, strict=True)]
    return Verdict(comparison, rate, peer, rate / peer, statistics.median(pairs))
