"""`oqron-sql worker`: what it runs, how it ends, and what it says to whoever got it wrong."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from oqron_sql import BlockingQueue, JobState, SQLStore
from tests.backends import BACKENDS, Backends
from tests.cli.conftest import PATIENCE, Command, RunHere, Start
from tests.cli.workers import QUEUE

WORKERS = "tests.cli.workers"
BROKEN = "raise RuntimeError('the configuration is not there')\n"


@pytest.fixture
def url(backends: Backends) -> str:
    return backends.database(BACKENDS["sqlite"]).url


@contextmanager
def queue_at(url: str) -> Iterator[BlockingQueue]:
    with SQLStore(url) as store:
        yield BlockingQueue(QUEUE, store)


def until(condition: Callable[[], object], command: Command) -> None:
    command.wait_until(condition, running=False)


def wait_to_work(command: Command) -> Command:
    command.wait_until(lambda: re.search("works with|processes work", command.said))
    return command


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("worker", "'worker' does not read like shop.work:worker"),
        ("work.py:worker", "name the module, not its file"),
        ("nowhere.at.all:x", "there is no module 'nowhere'"),
        (f"{WORKERS}.x:y", f"there is no module '{WORKERS}.x'"),
        (f"{WORKERS}:wroker", f"'{WORKERS}' has no 'wroker'; did you mean 'worker'?"),
        (f"{WORKERS}:number", "is an object of type int; name a Worker"),
        (f"{WORKERS}:Worker", "is the class Worker; name a Worker"),
        (f"{WORKERS}:make_with", "without arguments: missing a required argument: 'what'"),
        (f"{WORKERS}:make_nothing", "returned an object of type NoneType"),
        (f"{WORKERS}:idle", "has no handlers"),
        (f"{WORKERS}:handlers", "say with --queue whose jobs"),
        (f"{WORKERS}:worker --queue other", "runs the jobs of 'mail'"),
        (f"{WORKERS}:worker --prefix other_", "--prefix and --schema go together with --url"),
        (f"{WORKERS}:worker --grace long", "--grace: must read like"),
        (f"{WORKERS}:worker --lease long", "--lease: must read like"),
        (f"{WORKERS}:worker --lease 0s --processes 2", "--lease: must be positive"),
        (f"{WORKERS}:worker --lease 10ms --processes 2", "--lease: must be at least 0.3 s"),
        (f"{WORKERS}:worker --concurrency 0", "'--concurrency'"),
        (f"{WORKERS}:worker --url nonsense", "not a database URL"),
        (f"{WORKERS}:worker --url sqlite://", "memory of one process"),
        (f"{WORKERS}:worker --url sqlite:///nowhere.db", "there is no file nowhere.db"),
        (f"{WORKERS}:worker", "unable to open database file"),
    ],
)
def test_a_mistake_is_told_in_words(run_here: RunHere, target: str, said: str) -> None:
    outcome = run_here("worker", *target.split(), "--log-level", "warning")
    assert outcome.status == 2, outcome.errors
    assert said in " ".join(outcome.errors.replace("│", " ").split())
    assert "Traceback" not in outcome.errors


@pytest.mark.parametrize("target", ["worker", "handlers --queue mail"])
def test_missing_tables_are_told_with_the_command_that_makes_them(
    run_here: RunHere, url: str, target: str
) -> None:
    named = ("--url", url, "--prefix", "other_", "--log-level", "warning")
    outcome = run_here("worker", *f"{WORKERS}:{target}".split(), *named)
    assert outcome.status == 2
    command = f"oqron-sql migrate upgrade --url {url} --prefix other_"
    assert outcome.errors.endswith(f"Upgrade the tables with `{command}`.\n")


def test_an_error_of_the_users_code_is_shown_with_its_place(
    run_here: RunHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work_that_fails.py").write_text(BROKEN)
    (tmp_path / "work_that_lacks.py").write_text("import what_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    for target in (f"{WORKERS}:broken", "work_that_fails:worker"):
        outcome = run_here("worker", target)
        assert outcome.status == 1
        assert "RuntimeError: the configuration is not there" in outcome.errors
        assert outcome.errors.count("File ") == 1, outcome.errors
    outcome = run_here("worker", "work_that_lacks:worker")
    assert outcome.status == 1
    assert "No module named 'what_is_not_there'" in outcome.errors


def test_it_works_until_told_to_stop_and_hands_back_the_rest(start: Start, url: str) -> None:
    with queue_at(url) as queue:
        command = wait_to_work(
            start("worker", f"{WORKERS}:make_within", "--url", url, "--concurrency", "1")
        )
        done, running, waiting = (queue.add("welcome", data) for data in (0, 2.0, 60.0))
        assert done.result(PATIENCE) == command.process.pid
        until(lambda: queue.counts()[JobState.ACTIVE], command)
        command.process.send_signal(signal.SIGTERM)
        assert command.wait() == 0, command.said
        ends = [job.state if (job := each.get()) else None for each in (done, running, waiting)]
        assert ends == [JobState.COMPLETED, JobState.COMPLETED, JobState.WAITING]
    lines = command.said.splitlines()
    assert (lines[0], lines[-1]) == ("entered", "left")
    assert all(re.match(r"\d{4}-\d\d-\d\d [\d:.]+Z (INFO|WARN)", line) for line in lines[1:-1])
    assert f"{done.id}> completed" in command.said


@pytest.mark.parametrize("who", ["the command", "the module", "both"])
def test_the_first_start_tells_nothing_of_alembic(start: Start, tmp_path: Path, who: str) -> None:
    lines = [
        "import logging",
        "from oqron_sql import AsyncSQLStore, Worker",
        f"worker = Worker('mail', AsyncSQLStore('sqlite:///{tmp_path}/jobs.db'))",
        "worker.handler()(print)",
    ]
    if who != "the command":
        lines.append("logging.basicConfig(level='INFO')")
    (tmp_path / "work_at_first.py").write_text("\n".join(lines))
    level = () if who == "the module" else ("--log-level", "info")
    command = start("worker", "work_at_first:worker", *level, PYTHONPATH=str(tmp_path))
    wait_to_work(command).process.send_signal(signal.SIGTERM)
    assert command.wait() == 0, command.said
    assert all("<Worker " in line for line in command.said.splitlines()), command.said


def test_the_lease_of_a_killed_worker_is_as_long_as_it_was_told(start: Start, url: str) -> None:
    with queue_at(url) as queue:
        command = wait_to_work(
            start("worker", f"{WORKERS}:make", "--url", url, "--lease", "1500 ms")
        )
        job = queue.add("welcome", 60.0)
        until(lambda: queue.counts()[JobState.ACTIVE], command)
        command.process.kill()
        command.process.wait()
        leased = queue.get(job.id)
        assert leased is not None
        assert leased.lock_until is not None
        assert leased.processed_at is not None
        assert leased.lock_until - leased.processed_at < timedelta(seconds=30)


def test_a_second_signal_hurries_and_json_is_for_programs(start: Start, url: str) -> None:
    with queue_at(url) as queue:
        target = (f"{WORKERS}:make_awaited", "--queue", QUEUE, "--json")
        command = wait_to_work(start("worker", *target, OQRON_URL=url))
        failing, slow = queue.add("welcome", "fail"), queue.add("welcome", 60.0)
        until(lambda: queue.counts()[JobState.FAILED], command)
        command.process.send_signal(signal.SIGINT)
        command.wait_until(lambda: "told to stop" in command.said)
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 0, command.said
        left = slow.get()
        assert left is not None
        assert (left.state, left.attempts_made) == (JobState.WAITING, 0)
    told = [json.loads(line) for line in command.said.splitlines()]
    (failed,) = [line for line in told if line.get("exception")]
    assert (failed["level"], failed["job_id"], failed["queue"]) == ("error", failing.id, QUEUE)
    assert "ValueError: no such address" in failed["exception"]


def test_one_that_dies_is_replaced_and_all_stop_together(start: Start, url: str) -> None:
    with queue_at(url) as queue:
        options = ("--url", url, "--processes", "2", "--concurrency", "1")
        command = wait_to_work(start("worker", f"{WORKERS}:make", *options))
        queue.add("welcome", "die")
        command.wait_until(lambda: "a worker process died: SIGKILL" in command.said)
        command.wait_until(lambda: command.said.count("works with") == 3)
        jobs = [queue.add("welcome", 1.0) for _ in range(2)]
        workers = {job.result(PATIENCE) for job in jobs}
        assert len(workers) == 2
        assert command.process.pid not in workers
        command.process.send_signal(signal.SIGTERM)
        assert command.wait() == 0, command.said
    assert command.said.count("has closed") == 2


def test_workers_end_when_their_supervisor_is_killed(start: Start, url: str) -> None:
    with queue_at(url) as queue:
        options = ("--url", url, "--processes", "2")
        command = wait_to_work(start("worker", f"{WORKERS}:worker", *options))
        slow = queue.add("welcome", 1.0)
        until(lambda: queue.counts()[JobState.ACTIVE], command)
        command.process.kill()
        until(lambda: command.said.count("has closed") == 2, command)
        ended = slow.get()
        assert ended is not None
        assert ended.state is JobState.COMPLETED


def test_a_mistake_in_the_first_of_many_is_told_once(start: Start) -> None:
    command = start("worker", f"{WORKERS}:wroker", "--processes", "4")
    assert command.wait() == 2, command.said
    assert command.said.count("did you mean 'worker'?") == 1
    assert "a worker ended before it worked: exit status 2" in command.said
