"""`oqron-sql bench`: it asks every question, draws what came of it, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
import sqlalchemy as sa

from oqron_sql.bench import plot
from oqron_sql.bench.asking import ASKED, ask_all
from oqron_sql.bench.model import QUESTIONS, Contestant, Result, SideFailed, Work
from oqron_sql.bench.troupe import Member, Troupe
from tests.cli.conftest import RunHere, Start
from tests.cli.operating import Operator

NAMES = [question.name for question in QUESTIONS]
SVG = "{http://www.w3.org/2000/svg}"
SMALL = ("--jobs", "100", "--rounds", "1")


def tables(operator: Operator) -> list[str]:
    engine = sa.create_engine(operator.blocking_url)
    names = sa.inspect(engine).get_table_names()
    engine.dispose()
    return sorted(names)


def result_of(*labels: str) -> Result:
    """Return the result of three rounds in which the last one could not answer everything."""
    made = Result([Contestant(label, "ours", "") for label in labels], Work(1000, 3))
    for i, question in enumerate(QUESTIONS):
        for n, label in enumerate(labels):
            for figure in (90, 100, 120):
                if i % 2 == 0 or n < len(labels) - 1:
                    made.note(question, label, figure * (n + 1) * 10 ** (i % 4))
    return made


def test_every_question_is_answered_and_nothing_is_left(run_here: RunHere, tmp_path: Path) -> None:
    picture, new = tmp_path / "made.svg", tmp_path / "new.db"
    outcome = run_here(
        "bench", *SMALL, "--json", "--plot", str(picture), "--url", f"sqlite:///{new}"
    )
    assert outcome.status == 0, outcome.errors
    told = json.loads(outcome.said)
    assert [question["name"] for question in told["questions"]] == NAMES == list(ASKED)
    (contestant,) = told["contestants"]
    for question in told["questions"]:
        answer = question["answers"][contestant["label"]]
        assert answer["samples"] == [answer["median"]]
        assert answer["median"] > 0
    assert contestant["server"]
    assert told["machine"]["cores"]
    assert told["packages"]["sqlalchemy"] == sa.__version__
    assert list(tmp_path.iterdir()) == [picture]
    assert Xml.parse(picture).getroot().tag == f"{SVG}svg"


def test_beside_peers_less_is_done_by_default() -> None:
    ours, peer = Contestant("ours", "ours", ""), Contestant("huey", "huey", "", peer=True)
    assert Work.of(None, None, peers=False) == Work(jobs=5000, rounds=3)
    work = Work.of(None, None, peers=True)
    assert work.lasts([ours, peer, peer]) <= 150
    assert Work.of(300, 4, peers=True) == Work(jobs=300, rounds=4)
    assert work.lasts([ours]) < work.lasts([peer]) < Work(5000, 3).lasts([peer])


def test_ctrl_c_drops_the_tables_and_leaves_others(start: Start, sqlite_operator: Operator) -> None:
    sqlite_operator.fill()
    before = tables(sqlite_operator)
    command = start("bench", "--jobs", "100000", "--url", sqlite_operator.url)
    command.wait_until(lambda: tables(sqlite_operator) != before)
    command.process.send_signal(signal.SIGINT)
    assert command.wait() == 130, command.said
    first, second = command.said.splitlines()
    assert first.startswith("On two cores this takes about")
    assert second == "Interrupted; the tables are dropped."
    assert tables(sqlite_operator) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--plot", "made.gif"], "made.gif ends in none of .svg, .png"),
        (["--plot", "/nowhere/at/all/made.svg"], "there is no folder /nowhere/at/all"),
        (["--url", "sqlite://"], "memory of one process"),
        (["--url", "nonsense"], "not a database URL"),
        (["--jobs", "1"], "'--jobs'"),
        (["--url", "postgresql+asyncpg://me:s3cret@127.0.0.1:1/db"], "the database did not"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(
    run_here: RunHere, arguments: list[str], said: str
) -> None:
    outcome = run_here("bench", *arguments)
    assert outcome.status == 2
    assert said in " ".join(outcome.errors.replace("│", " ").split())
    assert "s3cret" not in outcome.errors


def test_a_png_without_its_library_is_refused(
    run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cairosvg", None)
    outcome = run_here("bench", "--plot", "made.png")
    assert outcome.status == 2
    assert "pip install 'oqron-sql[plot]'" in outcome.errors


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_picture_has_a_bar_for_each_answer_and_keeps_within_itself(count: int) -> None:
    labels = [f"a <strange> & name {n}" for n in range(count)]
    result = result_of(*labels)
    root = Xml.fromstring(plot.draw(result, ["PostgreSQL <15>", "2 cores"]))
    bars = [each for each in root.iter(f"{SVG}rect") if float(each.attrib["height"]) > 12.5]
    answers = sum(len(result.medians(question)) for question in QUESTIONS)
    assert len(bars) == answers + 1  # the paper is one, too
    for bar in bars:
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= plot.WIDTH
        assert float(bar.attrib["y"]) + float(bar.attrib["height"]) <= float(root.attrib["height"])
    words = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert {*labels, *(question.title for question in QUESTIONS), "2 cores"} <= {*words}
    for each in root.iter(f"{SVG}text"):
        length = len(each.text or "") * float(each.attrib["font-size"]) * plot.GLYPH
        assert float(each.attrib["x"]) + length <= plot.WIDTH, each.text


async def test_a_peer_that_fails_leaves_and_the_others_go_on() -> None:
    class Absent(Troupe):
        async def enter(self, contestant: Contestant) -> tuple[Member, Member]:
            raise SideFailed(f"{contestant.label} is not well")

    peer, ours = Contestant("peer", "huey", "", peer=True), Contestant("ours", "ours", "")
    result = Result([peer], Work(100, 1))
    await ask_all([peer], Absent([], ""), result, lambda _: None)
    assert result.failures == {"peer": "peer is not well"}
    with pytest.raises(SideFailed, match="ours is not well"):
        await ask_all([ours], Absent([], ""), result, lambda _: None)
