"""`explain induction`: from a checkpoint to a ranked table of heads, kept as a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from gnomon.cli import main
from gnomon.core.errors import DataError, ModelError, UsageError
from gnomon.explain._running import run_explanation
from gnomon.explain.induction import Induction, explain, summarise
from gnomon.explain.induction.reading import read_heads
from gnomon.explain.induction.sequences import windows
from gnomon.models.local import LocalModel
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Block, Transformer
from tests.unit._wired import PLACES, narrowed, wired_model


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """The circuit set by hand, with words for its tokens."""
    return wired_model(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def text(circuit: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("text")
    for first, name in enumerate(("one.txt", "two.txt")):
        said = " ".join(f"w{(7 * i * i + first) % 62}" for i in range(750))
        (folder / name).write_text(said, encoding="utf-8")
    return (str(folder / "one.txt"), str(folder / "two.txt"))


def test_the_circuit_set_by_hand_is_found_and_named(circuit: LocalModel, text: tuple[str, ...]) -> None:
    cfg = Induction(data=text, n=4, windows=4, window=100)
    report = summarise(cfg, read_heads(cfg, circuit))
    assert "1 induction head: 1.0." in report.summary
    assert "1 previous token head: 0.0." in report.summary
    match = report.estimate("prefix matching", "1.0")
    assert match.value == pytest.approx(1, abs=0.01)
    assert match.n == 4 and match.null is not None and match.null < 0.5
    lost = report.estimate("repeats without it (frozen)", "0.0")
    assert lost.value == pytest.approx(0, abs=0.1)
    (table,) = report.tables
    assert table.rows[0][:2] == ["1.0", "induction"]
    traced = report.estimate("QK trace", "1.0")
    assert traced.low is not None and traced.low > 0.9 and traced.clusters == 2
    cell = table.rows[0][table.columns.index("prefix matching")]
    assert float(cell.split()[0]) == pytest.approx(match.value, abs=1e-3) and "…" in cell
    drawn = {figure.title: figure for figure in report.figures}
    assert "Heads by what they look for and what they say" in drawn
    (cells,) = drawn["K-composition"].spec["datasets"].values()
    assert max(cells, key=lambda cell: cell["value"]) | {"value": 0} == {"row": "1.0", "column": "0.0", "value": 0}
    # Leaving out the head that uses the context makes the score worse: larger.
    worse = report.estimate("in-context learning without it (zero)", "1.0")
    assert worse.value is not None


@pytest.mark.parametrize(("sign", "called"), [(1, "induction"), (-1, "prefix search without copying")])
def test_a_head_too_narrow_to_raise_one_token_alone_is_called_by_what_it_does(
    text: tuple[str, ...], tmp_path: Path, sign: int, called: str
) -> None:
    model = wired_model(tmp_path)
    narrowed(cast(Transformer, model.net), 8, sign)
    cfg = Induction(data=text, only=("attention", "weights", "frozen"), n=4, windows=4, window=100)
    report = summarise(cfg, read_heads(cfg, model))
    copied = report.estimate("copying", "1.0")
    # It raises its token by less than half of all that it raises, and still by more than chance; or lowers it.
    assert copied.high is not None and copied.high < 0
    assert report.estimate("OV copying", "1.0").value == pytest.approx(sign, abs=0.01)
    assert (report.estimate("repeats without it (frozen)", "1.0").value or 0) * sign > 0.5
    assert {row[0]: row[1] for row in report.tables[0].rows} == {
        "1.0": called,
        "0.0": "previous token",
        "0.1": "",
        "1.1": "",
    }


def test_heads_of_random_weights_have_no_name(text: tuple[str, ...], tmp_path: Path) -> None:
    model = wired_model(tmp_path)
    with torch.no_grad():
        for parameter in model.net.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    cfg = Induction(data=text, only=("attention",), n=4, windows=4, window=100)
    report = summarise(cfg, read_heads(cfg, model))
    assert report.summary.startswith("No head is an induction head.")
    assert {row[1] for row in report.tables[0].rows} == {""}


def test_what_lies_beyond_a_window_is_out_of_reach_and_not_nothing(text: tuple[str, ...], tmp_path: Path) -> None:
    model = wired_model(tmp_path)
    net = cast(Transformer, model.net)
    cfg = Induction(data=text, only=("attention", "weights"), n=4, windows=4, window=100)
    for window, layers in ((25, (1,)), (24, (1,)), (24, (0, 1))):
        net.config = replace(net.config, window=window, window_layers=layers)
        for layer, block in enumerate(net.blocks):
            cast(Block, block).attn.windowed = net.config.windowed(layer)
        report = summarise(cfg, read_heads(cfg, model))
        places = report.tables[0].columns.index("prefix matching")
        found = {str(row[0]): row[places] for row in report.tables[0].rows}
        if window == 25:
            # The nearest copy is 24 tokens back, and the window's last place.
            assert report.estimate("prefix matching", "1.0").value == pytest.approx(1, abs=0.01)
            continue
        assert found["1.0"] == found["1.1"] == "out of reach"
        assert (found["0.0"] == "out of reach") == (layers == (0, 1))
        far = report.estimate("prefix matching", "1.0")
        assert far.value is None and far.reason == "out of reach of the head's window"
        assert len(report.figures) == 4
        # Nor is a window seen in the weights that say what a head would look for.
        assert report.estimate("QK trace", "1.0").reason == "its window does not show in weights"
        assert report.estimate("QK trace", "0.0").reason == "no earlier head"
    assert "No head's window reaches back as far as prefix matching needs." in report.summary


def test_a_model_whose_numbers_are_none_is_refused(text: tuple[str, ...], tmp_path: Path) -> None:
    model = wired_model(tmp_path)
    with torch.no_grad():
        cast(Block, cast(Transformer, model.net).blocks[1]).attn.out.weight[0] = torch.nan
    with pytest.raises(ModelError, match=r"infinite or no numbers, the first at 1\.attn_out"):
        read_heads(Induction(data=text, n=2, windows=2, window=50), model)


def test_a_tokenizer_that_begins_texts_with_nothing_is_said(text: tuple[str, ...], tmp_path: Path) -> None:
    model = wired_model(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    bare = LocalModel(cast(Transformer, model.net), Tokenizer.load(tmp_path), name="bare", revision="1")
    cfg = Induction(data=text, only=("attention",), n=2, windows=2, window=50)
    rows = [read_heads(cfg, each) for each in (model, bare)]
    told = "the tokenizer has no token that begins a text: sequences begin with their first word"
    assert [told in summarise(cfg, each).notes for each in rows] == [False, True]
    assert summarise(cfg, rows[1]).estimate("prefix matching", "1.0").value == pytest.approx(1, abs=0.02)


def test_what_was_read_is_kept_and_read_again(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Induction(only=("attention", "weights"), n=2, windows=2, window=40)
    first = run_explanation(cfg, "induction", tiny, root=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("gnomon.explain.induction.explain", lambda *_: pytest.fail("read again"))
        again = run_explanation(cfg, "induction", tiny, root=tmp_path)
    assert first.report.estimates == again.report.estimates
    assert "No head is an induction head." in first.report.summary
    assert not any("without it" in e.metric for e in first.report.estimates)


def test_the_command_writes_page_and_numbers(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "explain",
        "induction",
        "--model",
        tiny,
        "--n",
        "2",
        "--windows",
        "2",
        "--window",
        "40",
        "--out",
        str(tmp_path),
    ]
    assert main([*line, "--json", str(tmp_path / "numbers.json")]) == 0
    found = json.loads((tmp_path / "numbers.json").read_text())
    assert {"prefix matching", "OV copying", "repeats without it (zero)"} <= {e["metric"] for e in found["estimates"]}
    assert "Heads by what they look for" in next(tmp_path.glob("explain-*/report.html")).read_text(encoding="utf-8")
    # The terminal shows the heads that stand out, an interval under each score, and no list of all estimates.
    told = capsys.readouterr().out
    assert "Below a score is its 95 % interval" in told and "…" in told
    assert len(told.splitlines()) < 70 and "first token" not in told and "in-context learning without it" not in told


def test_indices_of_losses_are_those_that_were_asked_for(circuit: LocalModel, text: tuple[str, ...]) -> None:
    bands = Induction(data=text, only=("zero",), n=2, windows=3, window=100)
    at = Induction(data=text, only=("zero",), n=2, windows=3, window=100, late=90, early=10)
    one, two = (summarise(cfg, read_heads(cfg, circuit)) for cfg in (bands, at))
    assert "at indices 90 and 10" in two.notes[0]
    metric = "in-context learning without it (zero)"
    assert one.estimate(metric, "1.0").value != two.estimate(metric, "1.0").value


def test_terms_say_what_paths_through_heads_take_off_the_loss(circuit: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "twice.txt").write_text(" ".join([*(f"w{i}" for i in range(40))] * 4), encoding="utf-8")
    cfg = Induction(data=(str(tmp_path / "twice.txt"),), only=("terms",), n=2, windows=2, window=79)
    report = summarise(cfg, read_heads(cfg, circuit))
    none, one, two = (report.estimate("loss of paths up to it", f"order {n}").value or 0.0 for n in range(3))
    assert none > one + 1
    # The head before tells the other where to look, and moves nothing that is said.
    assert two == pytest.approx(one, abs=1e-3)
    lost = report.estimate("repeats without it (paths)", "1.0")
    assert lost.value is not None and lost.value > 2
    assert report.estimate("repeats without it (paths)", "0.0").value == pytest.approx(0, abs=0.1)


def test_terms_of_a_model_with_mlps_are_refused(tiny: str, tmp_path: Path) -> None:
    cfg = Induction(only=("terms",), n=2, windows=2, window=40)
    with pytest.raises(UsageError, match="the model has MLPs"):
        run_explanation(cfg, "induction", tiny, root=tmp_path)


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ({"n": 1}, UsageError, "--n is 1 and --windows 16; give 2 or more of each"),
        ({"late": 50}, UsageError, "--late is 50 and --early 0; give both"),
        ({"only": ()}, UsageError, "--only is empty"),
        ({"late": 100, "early": 10, "window": 100}, DataError, "--late: a token at index 100 needs windows of 101"),
        ({"window": PLACES + 1}, UsageError, f"--window is {PLACES + 1}, and wired has {PLACES} positions"),
    ],
)
def test_what_cannot_be_read_is_refused(
    circuit: LocalModel, text: tuple[str, ...], given: dict[str, object], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught:
        read_heads(Induction(data=text, **given), circuit)  # type: ignore[arg-type]  # by the table
    assert told in str(caught.value)


def test_a_model_behind_an_endpoint_cannot_be_looked_into(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--model: planted:answerer cannot be looked into; use a model whose weights"):
        run_explanation(Induction(), "induction", "planted:answerer", root=tmp_path)


def test_every_text_is_read_before_any_is_read_twice(circuit: LocalModel) -> None:
    long, short, none = " ".join(["w1"] * 30), " ".join(["w2"] * 10), "w3"
    found = windows([("long", long), ("none", none), ("short", short)], circuit.tokenizer, 3, 10)
    assert found.clusters == ("long", "short", "long")
    assert windows([("long", long), ("short", short)], circuit.tokenizer, 9, 10).clusters == (
        "long",
        "short",
        "long",
        "long",
    )


def test_texts_too_short_for_a_window_are_refused(circuit: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("w1 w2 w3", encoding="utf-8")
    with pytest.raises(DataError, match="none of 1 texts has 60 tokens; give longer texts, or a shorter --window"):
        read_heads(Induction(data=(str(tmp_path / "short.txt"),), window=60), circuit)


def test_half_the_bits_give_the_same_scores(circuit: LocalModel, text: tuple[str, ...]) -> None:
    parts = ("attention", "weights", "zero")
    whole, half = (
        summarise(cfg, read_heads(cfg, circuit))
        for cfg in (
            Induction(data=text, only=parts, n=2, windows=2, window=50, precision=precision)  # type: ignore[arg-type]  # both are named
            for precision in ("float32", "bfloat16")
        )
    )
    assert whole.estimate("OV copying", "1.0") == half.estimate("OV copying", "1.0")
    for metric in ("prefix matching", "copying", "previous token", "repeats without it (zero)"):
        pair = (whole.estimate(metric, "1.0").value or 0.0, half.estimate(metric, "1.0").value or 0.0)
        assert pair[0] == pytest.approx(pair[1], abs=0.03, rel=0.02)
        assert metric == "previous token" or pair[0] != pair[1]


def test_explaining_moves_nothing(circuit: LocalModel, text: tuple[str, ...]) -> None:
    before = [p.clone() for p in circuit.net.parameters()]
    read_heads(Induction(data=text, n=2, windows=2, window=50), circuit)
    assert all(torch.equal(a, b) for a, b in zip(before, circuit.net.parameters(), strict=True))
    assert explain is not None
