"""Scalar heads: read at the last real token, fitted to soft labels, every way of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gnomon.core.errors import DataError, ModelError
from gnomon.learn.heads import HeadTraining, ScalarHead, Scorer, load_head, save_head, train_head
from gnomon.models.transformer import Transformer, TransformerConfig

WAYS = ("linear", "mlp", "lora", "full")


@pytest.fixture(scope="module")
def body() -> Transformer:
    config = TransformerConfig(vocab_size=40, d_model=32, num_layers=2, num_heads=2, d_mlp=64)
    return Transformer(config, generator=torch.Generator().manual_seed(0)).eval()


def questions(count: int = 240) -> tuple[list[list[int]], list[float]]:
    """Questions of 3 to 8 tokens; the last token alone says how often the answer was right."""
    draw = torch.Generator().manual_seed(1)
    sequences = [torch.randint(4, 40, (3 + i % 6,), generator=draw).tolist() for i in range(count)]
    return sequences, [0.1 if tokens[-1] % 2 else 27 / 30 for tokens in sequences]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_learns_what_the_last_token_says(body: Transformer, way: str) -> None:
    sequences, targets = questions()
    training = HeadTraining(way=way, epochs=15, batch=32, peak=3e-3)  # type: ignore[arg-type]  # from a parameter
    before = [p.clone() for p in body.parameters()]
    scorer = train_head(body, sequences, targets, training=training)
    gap = (scorer.probabilities(sequences) - torch.tensor(targets)).abs()
    assert gap.mean() < 0.12
    assert all(torch.equal(a, b) for a, b in zip(before, body.parameters(), strict=True)), "the caller's model moved"
    moved = any(not torch.equal(a, b) for a, b in zip(before, scorer.body.parameters(), strict=True))
    assert moved == (way in ("lora", "full"))


def test_the_fitted_chance_is_the_share_not_the_majority(body: Transformer) -> None:
    sequences = [[5, 6, 7]] * 32
    scorer = train_head(body, sequences, [9 / 30] * 32, training=HeadTraining(epochs=60, batch=32, peak=3e-3))
    assert scorer.probabilities(sequences[:1]).item() == pytest.approx(0.3, abs=0.02)


def test_padding_on_the_right_changes_nothing(body: Transformer) -> None:
    torch.manual_seed(3)
    head = ScalarHead(32)
    torch.nn.init.normal_(head.out.weight)
    scorer = Scorer(body, head)
    sequences, _ = questions(40)
    alone = torch.cat([scorer.probabilities([tokens]) for tokens in sequences])
    torch.testing.assert_close(scorer.probabilities(sequences), alone, atol=1e-5, rtol=0)


def test_the_value_is_read_at_the_last_token(body: Transformer) -> None:
    torch.manual_seed(3)
    head = ScalarHead(32)
    torch.nn.init.normal_(head.out.weight)
    tokens = [7, 8, 9, 10]
    want = torch.sigmoid(head(body.hidden(torch.tensor([tokens]))[:, -1])).item()
    got = Scorer(body, head).probabilities([tokens, [1] * 9])[0].item()
    assert got == pytest.approx(want, abs=1e-5)


def test_the_same_seed_gives_the_same_head(body: Transformer) -> None:
    sequences, targets = questions(64)
    training = HeadTraining(epochs=2)
    first, second = (train_head(body, sequences, targets, training=training, seed=4) for _ in range(2))
    assert torch.equal(first.probabilities(sequences), second.probabilities(sequences))
    other = train_head(body, sequences, targets, training=training, seed=5)
    assert not torch.equal(first.probabilities(sequences), other.probabilities(sequences))


@pytest.mark.parametrize("hidden", [False, True])
def test_a_saved_head_comes_back(tmp_path: Path, hidden: bool) -> None:
    torch.manual_seed(0)
    head = ScalarHead(8, hidden=hidden)
    torch.nn.init.normal_(head.out.weight)
    save_head(head, tmp_path)
    h_ND = torch.randn(5, 8)
    assert torch.equal(load_head(tmp_path)(h_ND), head(h_ND))


def test_a_merged_low_rank_body_equals_the_one_trained(body: Transformer) -> None:
    sequences, targets = questions(64)
    scorer = train_head(body, sequences, targets, training=HeadTraining(way="lora", epochs=3, peak=3e-3))
    assert [n for n, _ in scorer.body.named_parameters()] == [n for n, _ in body.named_parameters()]
    assert all(p.requires_grad for p in scorer.body.parameters())
    assert torch.equal(scorer.body.embed.weight, body.embed.weight), "low rank moves linear maps only"


@pytest.mark.parametrize(
    ("sequences", "targets", "message"),
    [
        ([[1], [2]], [0.5], "2 questions and 1 targets"),
        ([[1], []], [0.1, 0.5], "question 1: the question has no tokens"),
        ([[1], [2]], [0.1, 1.5], r"question 1: target 1.5 is not in \[0, 1\]"),
        ([[1], [2]], [float("nan"), 0.5], r"question 0: target nan is not in \[0, 1\]"),
        ([[1], [2]], [1.0, 1.0], "no head can be trained: all 2 questions have target 1.0; add questions"),
        ([], [], "no head can be trained: no questions"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    body: Transformer, sequences: list[list[int]], targets: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        train_head(body, sequences, targets)


def test_a_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model has no scalar head; train one first"):
        load_head(tmp_path)
    (tmp_path / "head.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="not a scalar head"):
        load_head(tmp_path)
