"""`python -m benchmarks [QUESTION ...] [--rounds N] [--json PATH] [--quick] [--quiet CORES]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.databases import databases
from benchmarks.questions import QUESTIONS, chosen
from benchmarks.report import as_json, show
from benchmarks.rounds import judge, judge_bounds, measure
from oqron_sql.bench.machine import machine, packages

QUICK_SHARE = 10


def main() -> None:
    """Ask the questions of the command line; fails if a target is missed in a full run."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("question", nargs="*", help=f"start of a name: {', '.join(QUESTIONS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each run is made (5)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write everything")
    parser.add_argument("--quick", action="store_true", help="a tenth of the jobs, one round")
    parser.add_argument(
        "--quiet", type=float, metavar="CORES", help="repeat what others disturbed by more cores"
    )
    args = parser.parse_args()
    rounds, share = (1, QUICK_SHARE) if args.quick else (args.rounds, 1)

    answers: list[Any] = []
    missed = 0
    for question in chosen(args.question):
        with databases(question.family) as where:
            server = where.version()
            samples = measure(question, where, _tell, rounds=rounds, share=share, quiet=args.quiet)
        verdicts = judge(question, samples)
        show(question, samples, verdicts)
        answers.append(as_json(question, server, samples, verdicts))
        missed += sum(verdict.met is False for verdict in verdicts)
        missed += sum(not met for *_, met in judge_bounds(question, samples))
        if args.json:  # after each question, so that a later failure loses nothing
            result = {
                "machine": machine(),
                "packages": packages(),
                "rounds": rounds,
                "quiet": args.quiet,
            }
            args.json.write_text(json.dumps({**result, "answers": answers}, indent=1) + "\n")
    if missed and not args.quick:
        raise SystemExit(f"{missed} targets missed")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
