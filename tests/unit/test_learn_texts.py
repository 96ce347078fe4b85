"""Texts in training: where an answer begins, what is cut, which texts share a batch, how a pair shares a row."""

from __future__ import annotations

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.learn.batches import Epochs, answer_batch, padded, pair_batch
from gnomon.learn.losses import answer_losses
from gnomon.learn.texts import Encoded, Pair, encode, fitted
from gnomon.models.base import Message
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig

END = 9


@pytest.fixture(scope="module")
def merging() -> Tokenizer:
    """A tokenizer that merges a bracket with the letter behind it, and a word with the space before it."""
    words = {w: i for i, w in enumerate(["a", "(", "A", ")", "(A", " ", "b", " b", "<s>", "</s>"])}
    backend = tokenizers.Tokenizer(models.BPE(vocab=words, merges=[("(", "A"), (" ", "b")]))
    backend.add_special_tokens(["<s>", "</s>"])
    return Tokenizer(backend, special={"bos_token": "<s>", "eos_token": "</s>"})


@pytest.fixture(scope="module")
def net() -> Transformer:
    config = TransformerConfig(vocab_size=32, d_model=16, num_layers=2, num_heads=2, d_mlp=32)
    model = Transformer(config, generator=torch.Generator().manual_seed(0)).eval()
    model.embed.weight.data.mul_(30)
    return model.requires_grad_(False)


def text(*tokens: int, start: int) -> Encoded:
    return Encoded(np.array(tokens), start)


def test_a_merged_token_belongs_to_the_answer(merging: Tokenizer) -> None:
    merged, apart, spaced = encode(merging, [("a(", "A)"), ("a(", ")"), ("a", " b")], end=END)
    assert (merged.tokens.tolist(), merged.start) == ([0, 4, 3, END], 1), "tokenised apart it would be ( and A"
    assert (apart.tokens.tolist(), apart.start) == ([0, 1, 3, END], 2)
    assert (spaced.tokens.tolist(), spaced.start) == ([0, 7, END], 1)


def test_an_answer_to_nothing_follows_the_token_that_begins_a_text(merging: Tokenizer) -> None:
    (found,) = encode(merging, [("", "ab")], end=END)
    assert (found.tokens.tolist(), found.start) == ([8, 0, 6, END], 1)
    bare = Tokenizer(merging.backend, special={"eos_token": "</s>"})
    with pytest.raises(DataError, match="'ab' follows nothing"):
        encode(bare, [("", "ab")], end=END)


def test_messages_go_through_the_template_and_the_answer_begins_behind_it(merging: Tokenizer) -> None:
    template = "{% for m in messages %}({{ m['content'] }}){% endfor %}{% if add_generation_prompt %}({% endif %}"
    chat = Tokenizer(merging.backend, special={"eos_token": "</s>"}, chat_template=template)
    (found,) = encode(chat, [([Message("user", "a")], "Ab")], end=END)
    # "(a)(" and then "Ab": the bracket merges with A.
    assert (found.tokens.tolist(), found.start) == ([1, 0, 3, 4, 6, END], 3)


def test_a_tokenizer_that_ends_texts_itself_does_not_end_them_twice(merging: Tokenizer) -> None:
    backend = tokenizers.Tokenizer.from_str(merging.backend.to_str())
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 8), ("</s>", 9)]
    )
    ending = Tokenizer(backend, special={"bos_token": "<s>", "eos_token": "</s>"})
    (found,) = encode(ending, [("a", "b")], end=9)
    assert (found.tokens.tolist(), found.start) == ([8, 0, 6, 9], 2)
    (other,) = encode(ending, [("a", "b")], end=4)
    assert other.tokens.tolist() == [8, 0, 6, 4]


def test_a_long_prompt_loses_its_beginning_on_both_sides_alike(merging: Tokenizer) -> None:
    first = text(8, 1, 2, 3, 4, 5, 6, END, start=5)
    second = text(8, 1, 2, 3, 4, 7, END, start=5)
    found = fitted([(first, second)], 6, tokenizer=merging)
    (sides,) = found.groups
    assert [s.tokens.tolist() for s in sides] == [[8, 3, 4, 5, 6, END], [8, 3, 4, 7, END]]
    assert [s.start for s in sides] == [3, 3]
    assert (found.num_cut, found.num_long, found.places) == (1, 0, [0])


def test_an_answer_that_fills_the_context_is_left_out_and_counted(merging: Tokenizer) -> None:
    short, long = text(8, 1, END, start=2), text(8, 1, 2, 3, 4, END, start=2)
    found = fitted([(long,), (short,)], 5, tokenizer=merging)
    assert (found.places, found.num_cut, found.num_long) == ([1], 0, 1)
    with pytest.raises(DataError, match="none of 1 texts fits 5 tokens; the longest has 6"):
        fitted([(long,)], 5, tokenizer=merging)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 9), st.integers(0, 3))
def test_every_text_is_seen_once_an_epoch(lengths: list[int], batch: int, epoch: int) -> None:
    order = Epochs(len(lengths), batch, Seed(0), lengths=lengths)
    steps = range(epoch * order.per_epoch, (epoch + 1) * order.per_epoch)
    assert sorted(i for step in steps for i in order(step)) == list(range(len(lengths)))
    again = Epochs(len(lengths), batch, Seed(0), lengths=lengths)
    assert again(steps[-1]) == order(steps[-1]), "a step's texts depend on the step alone"


def test_texts_of_like_length_share_a_batch_and_batches_come_in_any_order() -> None:
    lengths = [1 + i % 40 for i in range(320)]
    sorted_, plain = Epochs(320, 20, Seed(0), lengths=lengths), Epochs(320, 20, Seed(0))

    def spread(order: Epochs) -> int:
        return sum(max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in (order(s) for s in range(16)))

    assert spread(sorted_) < 0.1 * spread(plain)
    longest = [max(lengths[i] for i in sorted_(s)) for s in range(16)]
    assert longest != sorted(longest)
    assert [sorted_(s) for s in range(16)] != [sorted_(s) for s in range(16, 32)]


def test_the_loss_of_answers_is_that_of_each_text_alone(net: Transformer) -> None:
    texts = [text(1, 5, 6, 7, END, start=2), text(1, 8, END, start=1), text(1, 2, 3, 4, 5, 6, END, start=6)]
    batch = answer_batch(texts)
    found = answer_losses(net, batch)
    want = []
    for each in texts:
        logp = torch.log_softmax(net(torch.from_numpy(each.tokens)[None])[0].double(), -1)
        want += [-float(logp[t - 1, each.tokens[t]]) for t in range(each.start, len(each.tokens))]
    assert found.tolist() == pytest.approx(want, abs=1e-5)
    assert batch.row_N.tolist() == [0, 0, 0, 1, 1, 2]


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    word = st.integers(1, 6)
    prompt = [30, *draw(st.lists(word, max_size=5))]
    sides = [draw(st.lists(word, min_size=1, max_size=5)) for _ in range(2)]
    return Pair(*(text(*prompt, *side, 31, start=len(prompt)) for side in sides))


@given(st.lists(pairs(), min_size=1, max_size=5))
def test_a_shared_row_reads_each_text_as_if_it_stood_alone(net: Transformer, drawn: list[Pair]) -> None:
    batch = pair_batch(drawn)
    how = {"positions_BT": batch.positions_BT, "mask": batch.mask_B1TT}
    ends = net.hidden(batch.tokens_BT, at=batch.ends_P2, **how)  # type: ignore[arg-type]  # a TypedDict
    alone = [net.hidden(torch.from_numpy(t.tokens)[None])[0, -1] for side in (0, 1) for t in (p[side] for p in drawn)]
    torch.testing.assert_close(ends, torch.stack(alone), atol=1e-5, rtol=1e-5)
    said = net.hidden(batch.tokens_BT, at=batch.at_N2, **how)  # type: ignore[arg-type]  # a TypedDict
    want = [net.hidden(torch.from_numpy(p.chosen.tokens)[None])[0, p.chosen.start - 1 : -2] for p in drawn]
    torch.testing.assert_close(said, torch.cat(want), atol=1e-5, rtol=1e-5)
    assert batch.targets_N.tolist() == [t for p in drawn for t in p.chosen.tokens[p.chosen.start : -1].tolist()]


def test_what_both_texts_begin_with_stands_in_the_row_once() -> None:
    batch = pair_batch([Pair(text(1, 2, 3, 4, END, start=3), text(1, 2, 3, 5, 6, END, start=3))])
    assert batch.tokens_BT.tolist() == [[1, 2, 3, 4, END, 5, 6, END]]
    assert batch.positions_BT.tolist() == [[0, 1, 2, 3, 4, 3, 4, 5]]
    assert batch.ends_P2.tolist() == [[0, 4], [0, 7]]


def test_rows_are_padded_on_the_right() -> None:
    tokens, lengths = padded([[5, 6], np.array([7])])
    assert tokens.tolist() == [[5, 6], [7, 0]]
    assert lengths.tolist() == [2, 1]


def test_byte_level_tokens_of_a_letter_stay_in_the_answer() -> None:
    alphabet = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = tokenizers.Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise = Tokenizer(backend)
    found = encode(bytewise, [("a:", " ü"), ("ü\n\n", "b"), ("a:", "\n\n b ")], end=300)
    assert [f.start for f in found] == [2, 4, 2]
    assert [len(f.tokens) for f in found] == [6, 6, 8]
