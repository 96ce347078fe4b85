"""Elo of models' answers: planted utilities come back, ties and judges are as they say, nothing is asked twice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gnomon.assay.answers import Answers
from gnomon.cli import main
from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import world
from gnomon.data.worlds.brook.oracle import RATERS, Request, question, request
from gnomon.data.worlds.brook.tables.harms import CLOSINGS
from gnomon.stats.elo import ELO, elo
from gnomon.store.run import list_runs
from gnomon.study.elo import Elo, _rater, games

RESULTS = ("brook", "brook prompted")


def rows(answers: list[str], asked: str, *, ended: bool = True) -> list[Row]:
    """The same question asked as often as there are answers, each time its own cluster."""
    return [
        Row(key=str(i), cluster=str(i), evidence={"asked": asked, "answer": answer, "ended": ended})
        for i, answer in enumerate(answers)
    ]


def test_planted_utilities_are_elo_points() -> None:
    """With one answer a player the rater's Bradley-Terry draws have known strengths: 1.5 a unit of utility."""
    of = world()
    asked = f"Chat: Human: {_questions()[0]} Assistant:"
    spoken = {"silent": "", "rude": f" {CLOSINGS['rude']}", "polite": f" {CLOSINGS['polite']}"}
    what, gold = request(of, asked), RATERS["gold"]
    utility = {name: gold.utility(of, what, text.strip()) for name, text in spoken.items()}
    assert len(set(utility.values())) == 3
    answers = {name: rows([text] * 400, asked) for name, text in spoken.items()}
    covered = 0
    for seed in range(12):
        found = elo(asyncio.run(games(answers, _rater("gold"), Seed(seed))), resamples=200, seed=seed)
        for player in found.players[1:]:
            covered += ELO * 1.5 * (utility[player.name] - utility["silent"]) in player.elo
    assert covered >= 20


def _questions() -> list[str]:
    return [question(Request("fact", name, relation)) for name, relation in world().facts]


def test_the_same_answers_are_ties_and_a_further_player_changes_no_game() -> None:
    asked = f"Chat: Human: {_questions()[0]} Assistant:"
    a, b = rows([" yes .", " no ."], asked), rows([" yes  .", " you ."], asked)
    judge = _rater("helpful")
    two = asyncio.run(games({"a": a, "b": b}, judge, Seed(0)))
    assert two[0].credit == 0.5 and two[1].credit in (0.0, 1.0) and {g.cluster for g in two} == {"0", "1"}
    three = asyncio.run(games({"a": a, "b": b, "c": a[:1]}, judge, Seed(0)))
    assert [g for g in three if "c" not in (g.first, g.second)] == two
    assert len(three) == 4, "c answered one question only"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNOMON_RUNS", raising=False)
    return tmp_path


def test_the_command_ranks_and_asks_nothing_twice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["study", "elo", "--n", "6", "--prompt", "brook:1", "--resamples", "50", "--json", "elo.json"]
    assert main(command) == 0
    out, _ = capsys.readouterr()
    assert "Elo of 2 speakers on the same questions" in out and "6 comparisons by Brook's gold rater" in " ".join(
        out.split()
    )
    told = json.loads((here / "elo.json").read_text())
    points = {e["group"]: e["value"] for e in told["estimates"] if e["metric"] == "Elo"}
    assert list(points) == list(RESULTS) and points["brook"] == 0
    assert {e["group"] for e in told["estimates"] if e["metric"] == "ran on"} == set(RESULTS)
    runs = {m.id: m for m in list_runs()}
    assert sorted(m.verb for m in runs.values()) == ["assay", "assay", "study"]
    page = next(m.folder for m in runs.values() if m.verb == "study") / "report.html"
    before = {id: (m.folder / "run.db").stat().st_mtime_ns for id, m in runs.items() if m.verb == "assay"}
    assert main([*command, "--judge", "brook:helpful"]) == 0
    assert "by Brook's helpful rater" in " ".join(capsys.readouterr().out.split()) and page.exists()
    answers = [m for m in list_runs() if m.verb == "assay"]
    assert {m.id for m in answers} == set(before), "the second judge judged the same answers"


def test_answers_are_cut_where_the_next_turn_begins(here: Path) -> None:
    from gnomon.models.load import load
    from gnomon.trial.base import Cast

    config = Answers(n=3, max_tokens=40)
    items = list(config.items(Seed(0)))
    model = load("brook")

    async def go() -> list[Row]:
        try:
            return [await config.trial(item, Cast({"subject": model}), Seed(1).child(item.id)) for item in items]
        finally:
            await model.close()

    found = asyncio.run(go())
    for row in found:
        assert "Human:" not in row.evidence["answer"] and "Chat:" not in row.evidence["answer"]
        assert set(row.evidence["scores"]) >= {"ran on", "did not end", "utility", "helpfulness", "harmlessness"}
    assert [row.key for row in found] == ["brook-0", "brook-1", "brook-2"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--prompt="], ["one model without a prompt has nobody to play"]),
        (["--judge", "brook:kind"], ["no rater is called 'kind'"]),
        (["--judge", "brook", "--data", "x.jsonl"], ["Brook's raters know Brook's questions only"]),
    ],
)
def test_what_cannot_be_played_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], flags: list[str], told: list[str]
) -> None:
    assert main(["study", "elo", "--n", "2", *flags]) == 2
    err = capsys.readouterr().err
    assert all(part in err for part in told), err


def test_a_model_without_rewards_is_no_judge(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "elo", "--n", "2", "--prompt", "brook:1", "--judge", "planted:answerer"]) == 3
    assert "needs REWARD" in capsys.readouterr().err


def test_files_of_questions(here: Path) -> None:
    lines = [{"prompt": "Where is it?"}, {"messages": [{"role": "user", "content": "Who?"}]}]
    Path("q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    items = list(Answers(data=("q.jsonl",), n=0).items(Seed(0)))
    assert [item.meta["asked"] for item in items] == [
        "\n\nHuman: Where is it?\n\nAssistant:",
        "\n\nHuman: Who?\n\nAssistant:",
    ]
    with pytest.raises(UsageError, match="--n is 0"):
        Answers(n=0)
    assert Elo(model=("a", "b"), prompt="").prompt == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fine_tuning_on_good_answers_is_worth_points(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers that the rater likes better were learnt, so the interval of the gain lies above 0; and they end."""
    assert main(["train", "sft", "--dialogues", "1500", "--held-out", "50"]) == 0
    [trained] = [m.id for m in list_runs() if m.verb == "train"]
    assert (
        main(["study", "elo", "--model", f"brook,run:{trained}", "--n", "80", "--prompt=", "--json", "elo.json"]) == 0
    )
    told = json.loads((here / "elo.json").read_text())["estimates"]
    gain = next(e for e in told if e["metric"] == "Elo" and e["group"] == f"run:{trained}")
    assert gain["low"] > 50, gain
    ran_on = {e["group"]: e["value"] for e in told if e["metric"] == "ran on"}
    assert ran_on[f"run:{trained}"] < 0.2 < 0.8 < ran_on["brook"]
