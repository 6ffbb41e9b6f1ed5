"""Outcomes that are reported more than once: the first counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from oqron_sql.contract import AsyncStore, Complete, Fail, Job, JobState, Outcome, Retry
from oqron_sql.testing.steps import QUEUE, SECOND, contents, finish, leased, read, take


@pytest.mark.parametrize("kind", ["complete", "fail", "retry", "retry-later"])
async def test_a_repeated_outcome_is_accepted_once(store: AsyncStore, kind: str) -> None:
    made = await leased(store)
    outcome = outcome_of(made, kind)
    first = await finish(store, outcome)
    before = await contents(store)
    again = await finish(store, outcome)
    assert again == first
    assert not again.lost
    assert await contents(store) == before


async def test_an_outcome_twice_in_one_call_counts_once(store: AsyncStore) -> None:
    made = await leased(store)
    settled = await store.finish_jobs(QUEUE, [Fail(made, "boom"), Fail(made, "boom")])
    assert [each.state for each in settled] == [JobState.FAILED] * 2
    found = await read(store, made)
    assert (found.attempts_made, len(found.attempt_logs)) == (1, 1)


async def test_the_first_of_two_outcomes_counts(store: AsyncStore) -> None:
    """W28: what is finished cannot be finished differently."""
    made = await leased(store)
    settled = await store.finish_jobs(QUEUE, [Complete(made, 1), Fail(made, "boom")])
    assert [each.state for each in settled] == [JobState.COMPLETED, None]
    before = await contents(store)
    for kind in ("fail", "retry", "retry-later"):
        assert (await finish(store, outcome_of(made, kind))).lost
    assert await contents(store) == before
    assert (await read(store, made)).returnvalue == 1


async def test_a_repeated_retry_after_the_next_lease_is_lost(store: AsyncStore) -> None:
    made = await leased(store)
    await finish(store, Retry(made, "boom"))
    newer = await take(store)
    before = await contents(store)
    assert (await finish(store, Retry(made, "boom"))).lost
    assert await contents(store) == before
    assert not (await finish(store, Complete(newer))).lost


def outcome_of(made: Job, kind: str) -> Outcome:
    """Return an outcome of each kind there is."""
    outcomes: dict[str, Outcome] = {
        "complete": Complete(made, {"x": 1}),
        "fail": Fail(made, "boom", "trace"),
        "retry": Retry(made, "boom", timedelta(0), "trace"),
        "retry-later": Retry(made, "boom", 30 * SECOND),
    }
    return outcomes[kind]
