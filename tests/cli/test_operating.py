"""The operator's commands on real databases: what they show, what they change, what they refuse."""

from __future__ import annotations

from datetime import datetime, timedelta

from oqron_sql import FetchOptions, JobState
from oqron_sql.testing.steps import PAYLOAD
from tests.cli.operating import HOSTILE, LEASE, Operator

COUNTS = {state.value: 1 for state in JobState} | {"waiting-children": 0}


def test_queues_are_listed_by_their_very_names(operator: Operator) -> None:
    assert operator.read("queues") == []
    assert operator.run("queues").said == "No queue has any job.\n"
    operator.fill()
    (queue,) = operator.read("queues")
    assert queue["name"] == HOSTILE
    assert queue["counts"] == COUNTS
    assert queue["is_paused"] is False
    assert datetime.fromisoformat(queue["latest_activity"]).utcoffset() == timedelta(0)
    assert HOSTILE in operator.run("queues").said


def test_a_paused_queue_is_listed_without_any_job(operator: Operator) -> None:
    operator.run("pause", "mial")
    (queue,) = operator.read("queues")
    assert (queue["name"], queue["is_paused"]) == ("mial", True)
    assert set(queue["counts"].values()) == {0}
    assert "note: queue 'mial': is paused." in operator.run("doctor").said
    operator.run("resume", "mial")
    assert operator.read("queues") == []


def test_jobs_are_listed_without_what_they_carry(operator: Operator) -> None:
    ids = operator.fill()
    listed = operator.read("jobs", "list", HOSTILE)
    assert listed["total"] == 5
    assert {job["state"]: job["id"] for job in listed["jobs"]} == ids
    only = ("--state", "failed", "--name", "WELC")
    (failed,) = operator.read("jobs", "list", HOSTILE, *only)["jobs"]
    assert failed["failed_reason"].startswith("no such address")
    said = operator.run("jobs", "list", HOSTILE).said
    assert "welcome [red]" in said
    assert "no such address" in said
    assert "at all" not in said
    tried = {
        line.split()[3]: line.split()[4] for line in said.splitlines()[1:-1] if "[red]" in line
    }
    assert tried == {"waiting": "0", "active": "1", "completed": "1", "failed": "1"}
    assert said.endswith("5 of 5\n")
    assert PAYLOAD not in said + str(listed)
    assert operator.run("jobs", "list", HOSTILE, "--limit", "2", "--offset", "4").said.endswith(
        "1 of 5\n"
    )


def test_a_job_is_shown_with_all_it_carries(sqlite_operator: Operator) -> None:
    ids = sqlite_operator.fill()
    completed = sqlite_operator.read("jobs", "show", HOSTILE, ids["completed"])
    assert (completed["data"], completed["returnvalue"]) == ({"to": PAYLOAD}, {"sent": PAYLOAD})
    assert completed["opts"]["attempts"] == 1
    delayed = sqlite_operator.read("jobs", "show", HOSTILE, ids["delayed"])
    assert delayed["opts"]["delay"] == 86_400
    assert datetime.fromisoformat(delayed["delay_until"]).utcoffset() == timedelta(0)
    said = sqlite_operator.run("jobs", "show", HOSTILE, ids["failed"]).said
    assert PAYLOAD in said
    assert "    at all\n" in said
    assert "\x1b" not in said
    assert "attempts               1 of 1\n" in said
    assert said.count("Trace") == 1
    (attempt,) = sqlite_operator.read("jobs", "show", HOSTILE, ids["failed"])["attempt_logs"]
    assert "Trace" in attempt["stacktrace"]  # for programs, all of it


def test_jobs_are_changed_and_those_that_cannot_be_are_told(operator: Operator) -> None:
    ids = operator.fill()

    def change(command: str, *which: str, status: int = 0) -> tuple[int, list[str]]:
        made = operator.read("jobs", command, HOSTILE, *which, status=status)
        return made["changed"], list(made["refused"])

    assert change("retry", ids["failed"], ids["completed"]) == (2, [])
    assert change("retry", ids["failed"], "unknown", status=1) == (0, [ids["failed"], "unknown"])
    assert change("promote", ids["delayed"]) == (1, [])
    assert change("promote", ids["delayed"], ids["waiting"], status=1)[0] == 0
    assert change("cancel", ids["active"], ids["delayed"]) == (2, [])
    refused = [ids["delayed"], "unknown"]
    assert change("cancel", *refused, status=1) == (0, refused)
    assert change("retry", ids["delayed"]) == (1, [])
    assert change("promote", "--all") == (0, [])
    assert change("retry", "--all") == (0, [])
    assert change("remove", ids["waiting"], "unknown", status=1) == (1, ["unknown"])
    with operator.store() as store:
        retried = store.get_job(HOSTILE, ids["completed"])
        assert retried is not None
        assert (retried.state, retried.returnvalue, retried.completed_at) == ("waiting", None, None)
        cancelled = store.get_job(HOSTILE, ids["active"])
        assert cancelled is not None
        assert cancelled.cancelled_at is not None
        assert store.get_job(HOSTILE, ids["waiting"]) is None
        assert store.count_jobs(HOSTILE, JobState.WAITING) == 3
    outcome = operator.run("jobs", "cancel", HOSTILE, "gone", "unknown")
    assert outcome.said == "0 jobs cancelled.\n"
    assert [line.partition(": ")[0] for line in outcome.errors.splitlines()] == ["oqron-sql"] * 2


def test_all_are_retried_and_promoted(sqlite_operator: Operator) -> None:
    sqlite_operator.fill()
    assert sqlite_operator.run("jobs", "retry", HOSTILE, "--all").said == "1 job retried.\n"
    assert sqlite_operator.run("jobs", "promote", HOSTILE, "--all").said == "1 job promoted.\n"
    (queue,) = sqlite_operator.read("queues")
    assert queue["counts"] == {**COUNTS, "waiting": 3, "failed": 0, "delayed": 0}


def test_a_paused_queue_hands_out_nothing(sqlite_operator: Operator) -> None:
    sqlite_operator.fill()
    with sqlite_operator.store() as store:

        def fetches(name: str | None = None) -> bool:
            job = store.fetch_next_job(HOSTILE, "worker-2", LEASE, FetchOptions(job_name=name))
            if job is not None:
                store.release_lock(HOSTILE, job.id)
                store.update_job(HOSTILE, job.id, {"state": JobState.WAITING})
            return job is not None

        paused = {"queue": HOSTILE, "paused": True, "paused_names": []}
        assert sqlite_operator.read("pause", HOSTILE) == paused
        assert sqlite_operator.read("pause", HOSTILE) == paused
        assert not fetches()
        named = sqlite_operator.read("pause", HOSTILE, "--name", "welcome [red]")
        assert named == {**paused, "paused_names": ["welcome [red]"]}
        assert not sqlite_operator.read("resume", HOSTILE)["paused"]
        assert not fetches()
        said = sqlite_operator.run("resume", HOSTILE, "--name", "welcome [red]").said
        assert said == f"Queue {HOSTILE!r} is not paused.\n"
        assert fetches()


def test_old_jobs_are_cleaned(sqlite_operator: Operator) -> None:
    sqlite_operator.fill(ago=timedelta(days=8))
    sqlite_operator.fill()

    def clean(*arguments: str) -> int:
        made: int = sqlite_operator.read("clean", HOSTILE, *arguments)["deleted"]
        return made

    assert clean("--state", "completed", "--older-than", "9 days") == 0
    both = ("--state", "completed", "--state", "failed", "--older-than")
    assert clean(*both, "7 days", "--limit", "1") == 1
    assert clean(*both, "7d") == 1
    assert sqlite_operator.read("queues")[0]["counts"]["failed"] == 1
    said = sqlite_operator.run("clean", HOSTILE, *both, "0s").said
    assert said == f"Deleted 2 jobs of queue {HOSTILE!r}.\n"


def test_the_revision_is_told(operator: Operator) -> None:
    told = operator.read("migrate", "current")
    assert told == {"current": told["head"], "head": told["head"], "up_to_date": True}
    assert operator.run("migrate", "current").said == f"{told['head']}\n"
    assert operator.run("migrate", "check").status == 0
    absent = operator.run("migrate", "current", "--prefix", "other_")
    assert (absent.status, absent.said) == (1, "There are no tables.\n")
