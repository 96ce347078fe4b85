"""`explain attention`: what is shown of a circuit set by hand is what it does, and no model writes the page."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnomon.cli import main
from gnomon.core.errors import DataError, UsageError
from gnomon.explain._running import run_explanation
from gnomon.explain.attention import Attention, summarise
from gnomon.explain.attention.reading import read_texts
from gnomon.models.hooks import Plan, keep
from gnomon.models.local import LocalModel
from gnomon.report.page import page
from tests.unit._wired import wired_model

TWICE = " ".join([*(f"w{i}" for i in range(12))] * 2)


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return wired_model(tmp_path_factory.mktemp("words"))


def pixels(png: bytes) -> Any:
    """The bytes of a grey picture whose lines are not filtered."""
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    begin = png.index(b"IDAT")
    size = int.from_bytes(png[begin - 4 : begin], "big")
    lines = np.frombuffer(zlib.decompress(png[begin + 4 : begin + 4 + size]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


def test_the_circuit_is_shown_as_it_is(circuit: LocalModel) -> None:
    cfg = Attention(text=TWICE)
    (row,) = read_texts(cfg, circuit)
    report = summarise(cfg, [row])
    assert report.tables[0].rows[0][0] == "1.0"
    adds = report.estimate("adds to the next token's logit", "1.0")
    assert adds.value is not None and adds.value > 1 and adds.low is None and "one cluster" in adds.reason
    scores = row.evidence["scores"]
    assert scores["previous token"][0][0] > 0.9
    assert scores["behind an earlier copy"][1][0] > 0.9
    assert scores["behind an earlier copy"][0][0] < 0.1
    # At a token of the second copy the head raises the one that followed before.
    at = 18
    raised = row.evidence["raised"][1][0][at][0]
    assert row.evidence["words"][raised].strip() == row.evidence["tokens"][at + 1].strip()


def test_the_picture_holds_every_pattern(circuit: LocalModel) -> None:
    (row,) = read_texts(Attention(text=TWICE), circuit)
    grey = pixels(base64.b64decode(row.evidence["patterns"]))
    size = len(row.evidence["tokens"])
    assert grey.shape == (2 * size, 2 * size)
    ids = [circuit.tokenizer.bos_id or 0, *circuit.tokenizer.encode(TWICE, special=False)]
    plan = Plan(read={"1.pattern": keep})
    with torch.no_grad():
        circuit.net(torch.tensor([ids]), plan=plan)
    pattern = ((255.0 - grey[size:, size:]) / 255) ** 2
    np.testing.assert_allclose(pattern, plan.results["1.pattern"][0, 1].numpy(), atol=0.005)


def test_what_a_model_wrote_is_not_part_of_the_page(circuit: LocalModel) -> None:
    (row,) = read_texts(Attention(text=TWICE), circuit)
    bad = "</script><script>alert(1)</script>"
    row.evidence["tokens"][3] = row.evidence["words"][0] = bad  # type: ignore[index]  # rows are read from JSON
    html = page(summarise(Attention(text=TWICE), [row]))
    assert bad not in html and "alert(1)" in html
    assert html.count('<script type="application/json" id="view-0-data">') == 1
    data = html.partition('id="view-0-data">')[2].partition("</script>")[0]
    assert json.loads(data)["texts"][0]["tokens"][3] == bad


def test_tokens_are_coloured_by_what_a_second_model_says(tiny: str, tmp_path: Path) -> None:
    cfg = Attention(n=2, window=20, against="brook")  # type: ignore[arg-type]  # a name
    done = run_explanation(cfg, "attention", tiny, root=tmp_path)
    less = done.report.estimate("loss less that of brook")
    # A model that has learnt nothing is worse than the one that ships.
    assert less.value is not None and less.value > 1
    (view,) = done.report.views
    text = view.data["texts"][0]
    assert view.data["before"] == "brook" and len(text["before"]) == len(text["loss"]) == len(text["tokens"]) - 1
    assert done.manifest.identity["against"]


def test_the_command_writes_a_page_that_runs_alone(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["explain", "attention", "--model", tiny, "--n", "2", "--window", "12", "--out", str(tmp_path)]
    assert main(line) == 0
    told = capsys.readouterr().out
    assert len(told.splitlines()) < 20 and "looks most at" in told and "Parts of the logit" not in told
    html = next(tmp_path.glob("explain-*/report.html")).read_text(encoding="utf-8")
    assert html.count('<img alt="" src="data:image/png;base64,') == 2
    assert 'data-script="patterns"' in html and "sha256-" in html


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ({"n": 0}, UsageError, "--n is 0 and --window 96; give a text, and 2 tokens or more"),
        ({"text": " "}, DataError, "text: it has 1 tokens; give a text of two tokens or more"),
        ({"text": TWICE * 9, "window": 200}, UsageError, "text has 200 tokens, and wired has 128 positions"),
        ({"text": TWICE, "against": "brook"}, DataError, "the text cannot be tokenized"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    circuit: LocalModel, given: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught:
        read_texts(Attention(**given), circuit)
    assert told in str(caught.value)
