"""The labelling task: what is scored is attention from colons to labels of lines alike in kind, and to no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from gnomon.cli import main
from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.explain.induction.generality import Sought, labelled, looks_at
from gnomon.models.attention import Attention
from gnomon.models.load import load
from gnomon.models.local import LocalModel
from gnomon.models.transformer import Transformer, TransformerConfig
from tests.unit._wired import wired_model


@pytest.fixture(scope="module")
def brook() -> LocalModel:
    return cast(LocalModel, load("brook"))


@pytest.fixture(scope="module")
def prompts(brook: LocalModel) -> list[Sought]:
    return labelled(brook.tokenizer, 2, Seed(3))


def test_masks_join_colons_to_labels_of_the_same_kinds(brook: LocalModel, prompts: list[Sought]) -> None:
    prompt = prompts[0]
    words = [brook.tokenizer.token_text(t).strip() for t in prompt.tokens_1T[0].tolist()]
    rows = prompt.right_TT.sum(-1).nonzero()[:, 0].tolist()
    assert len(rows) == 16 and all(words[row] == ":" for row in rows)
    for row in rows:
        keys = prompt.right_TT[row].nonzero()[:, 0].tolist()
        assert {words[key] for key in keys} == {words[row + 1]} and max(keys) < row
        labels = prompt.chance_TT[row].nonzero()[:, 0].tolist()
        assert all(words[key] in "0123" for key in labels)
        share = len(keys) / len(labels)
        assert float(prompt.chance_TT[row].max()) == pytest.approx(share / 16)


@pytest.mark.parametrize(("kind", "right", "above"), [("right", 1.0, None), ("any", None, 0.0)])
def test_planted_patterns_are_scored_right(
    brook: LocalModel,
    prompts: list[Sought],
    kind: str,
    right: float | None,
    above: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A head that looks at matching labels alone, and one that looks at all labels alike."""
    prompt = prompts[1]
    mask_TT = (prompt.right_TT if kind == "right" else prompt.chance_TT) > 0
    pattern_TT = mask_TT / mask_TT.sum(-1, keepdim=True).clamp_min(1)
    mix = Attention.mix_explicitly

    def planted(self: Attention, q: Tensor, k: Tensor, v: Tensor, context: Any, tap: Any) -> Tensor:
        def put(site: str, x: Tensor) -> Tensor:
            found: Tensor = tap(site, pattern_TT.expand_as(x) if site == "pattern" else x)
            return found

        return mix(self, q, k, v, context, put)

    monkeypatch.setattr(Attention, "mix_explicitly", planted)
    found = looks_at(brook.net.float(), [prompt], "labels")
    if right is not None:
        torch.testing.assert_close(found["matching labels"], torch.full((1, 6, 4), right))
        assert (found["matching labels above chance"] > 0.6).all()
    if above is not None:
        torch.testing.assert_close(found["matching labels above chance"], torch.full((1, 6, 4), above))


def test_the_part_is_read_and_reported(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["explain", "induction", "--model", tiny, "--only", "labels", "--n", "2", "--windows", "2", "--window", "40"]
    assert main([*line, "--out", str(tmp_path)]) == 0
    assert "matching labels above chance" in capsys.readouterr().out


def test_what_cannot_be_labelled_is_refused(prompts: list[Sought], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the vocabulary lacks .*, a word of the task of labels"):
        labelled(wired_model(tmp_path).tokenizer, 1, Seed(0))
    shape = TransformerConfig(vocab_size=768, d_model=8, num_layers=1, num_heads=1, mlp="none", max_positions=64)
    with pytest.raises(UsageError, match="the task of labels has 97 tokens, and the model has 64 positions"):
        looks_at(Transformer(shape), prompts, "labels")
