"""`gnomon study` from the outside: what it prints, what it leaves behind, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gnomon
from gnomon.cli import main
from gnomon.store.run import Run, list_runs

MODELS = "planted:calibrated?b=0.4,planted:calibrated?b=2.5"
COMMAND = ["study", "sizes", "self-knowledge", "--model", MODELS, "--parameters", "1e6,1e9", "--data", "synthetic"]
SMALL = ["--only", "truefalse", "--shots", "0", "--n", "30", "--resamples", "50"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNOMON_RUNS", raising=False)


def test_a_study_leaves_a_run_for_each_model_and_one_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, *SMALL, "--json", "a.json"]) == 0
    out, err = capsys.readouterr()

    assert out.startswith("self-knowledge against the size of the model\n2 models from 1M (planted:calibrated?b=0.4)")
    assert "page: runs/study-sizes-" in err.splitlines()[-1]
    verbs = sorted(m.verb for m in list_runs())
    assert verbs == ["assay", "assay", "study"]
    [own] = [m for m in list_runs() if m.verb == "study"]
    kept = Run.find(own.id)
    rows = {row.key: row.evidence for row in kept.rows()}
    kept.close()
    assert [e["parameters"] for e in rows.values()] == [1e6, 1e9]
    assert {e["run"] for e in rows.values()} == {m.id for m in list_runs() if m.verb == "assay"}
    page = (own.folder / "report.html").read_text()
    assert "Brier score of true or false, by size" in page
    assert "gnomon study sizes self-knowledge --model" in page


def test_the_same_study_says_the_same_and_makes_no_new_run() -> None:
    main([*COMMAND, *SMALL, "--json", "a.json"])
    before = {m.id for m in list_runs()}
    main([*COMMAND, *SMALL, "--json", "b.json"])

    assert {m.id for m in list_runs()} == before
    first, second = (json.loads(Path(name).read_text()) for name in ("a.json", "b.json"))
    assert first["estimates"] == second["estimates"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["study"], "no study is named; put one first; `gnomon list` names them"),
        (["study", "sizes"], "sizes asks one evaluation, and 0 are named; write gnomon study sizes self-knowledge"),
        (["study", "size", "self-knowledge"], "no study is called 'size'; did you mean 'sizes'?"),
        (["study", "sizes", "self-knowledge", "--model", "brook"], "1 models are no family; name two or more"),
        (
            ["study", "sizes", "self-knowledge", "--model", MODELS],
            "the size of 'planted:calibrated?b=0.4' is not known",
        ),
        (["study", "judges", "brook", "--model", MODELS, "--parameters", "1,2"], "brook has no P(True)"),
    ],
)
def test_what_makes_no_study_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()

    lines = [line for line in err.splitlines() if line.startswith("gnomon: ")]
    assert not out and len(lines) == 1 and said in lines[0], err


def test_a_study_from_python_reads_the_runs_of_the_command() -> None:
    main([*COMMAND, *SMALL, "--json", "a.json"])
    before = {m.id for m in list_runs()}

    settings = {"only": ["truefalse"], "shots": [0], "n": 30, "resamples": 50, "data": ["synthetic"]}
    report = gnomon.study("sizes", "self-knowledge", MODELS.split(","), parameters=[1e6, 1e9], **settings)

    assert {m.id for m in list_runs()} == before
    assert [e.value for e in report.estimates] == [
        e["value"] for e in json.loads(Path("a.json").read_text())["estimates"]
    ]
