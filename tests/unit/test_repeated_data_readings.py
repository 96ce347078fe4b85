"""What is read of a model on text that says itself again: losses by copy, heads, words known by heart."""

from __future__ import annotations

import torch

from gnomon.core.seeds import Seed
from gnomon.explain.repeated_data.readings import by_heart, losses, losses_by_copy, prefix_scores, said_again
from gnomon.models.transformer import Transformer, TransformerConfig


def _net(positions: int = 64) -> Transformer:
    config = TransformerConfig(
        vocab_size=60,
        d_model=16,
        num_layers=2,
        num_heads=2,
        mlp="none",
        max_positions=positions,
        positions="shortformer",
        tie_embeddings=False,
    )
    return Transformer(config, generator=torch.Generator().manual_seed(0)).eval()


def test_losses_by_copy_are_those_of_every_token() -> None:
    net, paragraphs = _net(), [[1, 2, 3, 4, 5, 6, 7], [9, 8, 7, 6, 5, 4, 3, 2]]
    copied = said_again(paragraphs, 64, bos=0)
    assert copied is not None and (copied.period, copied.copies) == (5, 11)
    assert copied.tokens_PT.shape == (2, 56)
    whole = losses(net, copied.tokens_PT)
    found = losses_by_copy(net, copied)
    assert found.shape == (2, 11)
    assert torch.allclose(found, whole.view(2, 11, 5).mean(2), atol=1e-5)
    bare = said_again(paragraphs, 64, bos=None)
    assert bare is not None
    assert torch.allclose(losses_by_copy(net, bare).mean(1) * 11, losses_by_copy(net, bare).sum(1))
    assert said_again(paragraphs, 10, bos=0) is None and said_again([[1, 2]], 64, bos=0) is None


def test_what_the_context_does_not_hold_is_not_read() -> None:
    assert prefix_scores(_net(16), range(1, 60), 2, 0, Seed(0)) is None
    scores = prefix_scores(_net(), range(1, 60), 2, 0, Seed(0))
    assert scores is not None and scores.shape == (2, 2, 2)


def test_a_text_is_known_by_heart_when_greedy_decoding_says_it() -> None:
    net = _net()
    text = torch.arange(1, 9)[None]
    for _ in range(16):
        text = torch.cat((text, net(text)[:, -1:].argmax(-1)), dim=1)
    # Half of a text of 16 is what was given, and the rest is what the model says.
    assert by_heart(net, text[:, :16]).tolist() == [True]
    wrong = text[:, :16].clone()
    wrong[0, 12] = (wrong[0, 12] + 1) % 60
    assert by_heart(net, wrong).tolist() == [False]
