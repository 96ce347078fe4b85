"""`explain patching`: the head of a circuit set by hand that carries the difference is named, and kept as a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gnomon.cli import main
from gnomon.core.errors import DataError, UsageError
from gnomon.explain.patching import Patching, summarise
from gnomon.explain.patching.reading import read_sites
from gnomon.models.local import LocalModel
from tests.unit._wired import wired_model

PAIR = {"clean": "w5 w1 w2 w6 w7 w1", "corrupt": "w5 w1 w9 w6 w7 w1", "answer": "w2", "wrong": "w9"}
BROOK = {
    "clean": "Note: the home of zarn is the mill . Question: where does zarn live ? Answer:",
    "corrupt": "Note: the home of zarn is the inn . Question: where does zarn live ? Answer:",
    "answer": "mill",
    "wrong": "inn",
}


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return wired_model(tmp_path_factory.mktemp("words"))


def test_the_head_that_copies_is_named(circuit: LocalModel) -> None:
    report = summarise(Patching(**PAIR), read_sites(Patching(**PAIR), circuit))
    assert "Of single heads 1.0 brings back most: 1.00 of the difference." in report.summary
    assert report.estimate("recovered, head", "1.0").value == pytest.approx(1, abs=0.01)
    assert report.estimate("recovered, residual", "layer 0, token 2 w2/w9").value == pytest.approx(1, abs=0.01)
    # No MLPs: no map of them.
    assert [figure.title for figure in report.figures] == [
        "The residual stream before a layer",
        "What attention adds",
        "One head, at all tokens",
    ]


def test_the_command_keeps_every_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["explain", "patching", *(word for name, text in BROOK.items() for word in (f"--{name}", text))]
    assert main([*line, "--out", str(tmp_path), "--json", str(tmp_path / "numbers.json")]) == 0
    found = json.loads((tmp_path / "numbers.json").read_text())["estimates"]
    residual = next(e for e in found if e["metric"] == "recovered, residual")
    assert residual["value"] == pytest.approx(1, abs=0.01) and residual["reason"] == "one pair of texts"
    assert "token 8 mill/inn" in residual["group"]


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ({"answer": "", "wrong": ""}, UsageError, "no --answer and no --wrong is given; give two texts"),
        ({"answer": "w2 w3"}, DataError, "'w2 w3' is 2 tokens; give an answer that is one token"),
        ({"corrupt": "w5 w1"}, UsageError, "the clean text has 6 tokens and the corrupt one 2"),
        ({"corrupt": PAIR["clean"]}, DataError, "above the wrong one's in both texts"),
    ],
)
def test_what_cannot_be_patched_is_refused(
    circuit: LocalModel, given: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught:
        read_sites(Patching(**{**PAIR, **given}), circuit)
    assert told in str(caught.value)
