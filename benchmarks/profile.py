"""Where the time of one run goes: `python -m benchmarks.profile QUESTION RUN [--sort KEY]`.

The profiler slows Python down and not the database, so read shares, never rates.
"""

from __future__ import annotations

import argparse
import pstats
import tempfile
from pathlib import Path

from benchmarks.databases import databases
from benchmarks.questions import QUESTIONS
from benchmarks.rounds import make


def main() -> None:
    """Profile one run and print its dearest functions."""
    parser = argparse.ArgumentParser("python -m benchmarks.profile", description=__doc__)
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("run", help="the label of one of the question's runs")
    parser.add_argument("--sort", default="tottime", choices=("tottime", "cumtime", "ncalls"))
    parser.add_argument("--lines", type=int, default=40)
    args = parser.parse_args()
    question = QUESTIONS[args.question]
    runs = {run.label: run for run in question.runs}
    if args.run not in runs:
        raise SystemExit(f"no run {args.run!r}; there are: {', '.join(runs)}")
    with tempfile.TemporaryDirectory() as folder, databases(question.family) as where:
        path = Path(folder) / "profile"
        sample = make(runs[args.run], where, profile=str(path))
        print(f"{args.run}: {sample.rate:,.0f} jobs/s under the profiler")
        pstats.Stats(str(path)).sort_stats(args.sort).print_stats(args.lines)


if __name__ == "__main__":
    main()
