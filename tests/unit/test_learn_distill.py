"""Context distillation's machinery: divergences against a plain computation, the shared prompt, stored targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from gnomon.core.errors import DataError, ModelError
from gnomon.learn.batches import answer_batch
from gnomon.learn.distill import (
    Stored,
    Teacher,
    Top,
    bytes_per_token,
    exact_kl,
    logits_of,
    read_prompt,
    rows_of,
    same_tokenizer,
    top_kl,
)
from gnomon.learn.texts import Encoded
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig

VOCABULARY = 37
BOS = 1


def network(seed: int = 0) -> Transformer:
    """Two layers whose predictions depend on all that was read."""
    config = TransformerConfig(
        vocab_size=VOCABULARY, d_model=16, num_layers=2, num_heads=2, d_mlp=32, max_positions=64, bos_token_id=BOS
    )
    net = Transformer(config, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim == 2:
                weight.mul_(12)
    return net


def texts(*lengths: int, bos: bool = True) -> list[Encoded]:
    draw = np.random.default_rng(3)
    begin = [BOS] if bos else []
    return [Encoded(np.array([*begin, *draw.integers(2, VOCABULARY, n)], np.int64), 1) for n in lengths]


PROMPT = [BOS, 5, 9, 30, 7, 7, 12]


def plain(net: Transformer, before: list[int], text: Encoded) -> torch.Tensor:
    """Log-probabilities [t, V] for the tokens of a text behind `before`, by one forward of one row of them all."""
    own = text.tokens[text.start :].tolist()
    head = before or text.tokens[: text.start].tolist()
    with torch.no_grad():
        logits = net(torch.tensor([[*head, *own]]))[0].double()
    return torch.log_softmax(logits[len(head) - 1 : -1], dim=-1)


def test_the_teacher_predicts_each_token_as_it_does_behind_the_whole_prompt() -> None:
    net, given_ = network(), texts(3, 8, 1, 5)
    batch = answer_batch(given_)
    found = torch.log_softmax(Teacher(net, PROMPT, begins=True).logits(batch), -1)
    want = torch.cat([plain(net, PROMPT, text) for text in given_])
    assert torch.allclose(found.double(), want, atol=1e-5)
    # One place off, and nothing of it holds.
    assert (found[1:].double() - want[:-1]).abs().mean() > 0.5


def test_the_divergence_is_the_sum_over_the_vocabulary() -> None:
    teacher, student, given_ = network(0), network(1), texts(4, 7)
    batch = answer_batch(given_)
    found = exact_kl(Teacher(teacher, PROMPT, begins=True).logits(batch), logits_of(student, batch))
    logp, logq = (
        torch.cat([plain(net, before, text) for text in given_]) for net, before in ((teacher, PROMPT), (student, []))
    )
    want = [
        sum(float(p.exp() * (p - q)) for p, q in zip(ps, qs, strict=True)) for ps, qs in zip(logp, logq, strict=True)
    ]
    assert found.tolist() == pytest.approx(want, abs=1e-5)
    assert min(want) > 0.01


@pytest.mark.parametrize("bos", [True, False], ids=["bos", "no bos"])
def test_without_a_prompt_nothing_diverges_whatever_is_kept(bos: bool) -> None:
    net, batch = network(), answer_batch(texts(5, 9, 2, bos=bos))
    logits = Teacher(net, [BOS] if bos else [], begins=bos).logits(batch)
    student = logits_of(net, batch)
    assert exact_kl(logits, student).abs().max() < 1e-5
    for k in (VOCABULARY, 5, 1):
        assert top_kl(Top.of(logits, k), student).abs().max() < 1e-5


def test_without_a_token_that_begins_texts_the_first_token_is_given_to_both() -> None:
    net, given_ = network(), texts(6, 3, bos=False)
    batch = answer_batch(given_)
    found = torch.log_softmax(Teacher(net, PROMPT, begins=False).logits(batch), -1)
    want = []
    for text in given_:
        with torch.no_grad():
            logits = net(torch.tensor([[*PROMPT, *text.tokens.tolist()]]))[0].double()
        want.append(torch.log_softmax(logits[len(PROMPT) : -1], -1))
    assert len(found) == 5 + 2
    assert torch.allclose(found.double(), torch.cat(want), atol=1e-5)


logits_ = st.lists(st.lists(st.floats(-8, 8), min_size=6, max_size=6), min_size=2, max_size=2).map(torch.tensor)


@settings(max_examples=60, deadline=None)
@given(logits_, logits_, st.integers(1, 6))
def test_what_is_kept_says_no_more_than_everything_and_all_of_it_when_all_is_kept(
    teacher: torch.Tensor, student: torch.Tensor, k: int
) -> None:
    whole, part = exact_kl(teacher, student), top_kl(Top.of(teacher, k), student)
    assert (part >= -1e-5).all()
    assert (part <= whole + 1e-4).all()
    if k == 6:
        assert torch.allclose(part, whole, atol=1e-5)


def test_the_gradient_is_that_of_the_plain_sum() -> None:
    draw = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(3, 11, generator=draw) * 2 for _ in range(2))
    student.requires_grad_()
    (whole,) = torch.autograd.grad(exact_kl(teacher, student).sum(), student)
    assert torch.allclose(whole, student.softmax(-1) - teacher.softmax(-1), atol=1e-6)
    (part,) = torch.autograd.grad(top_kl(Top.of(teacher, 4), student).sum(), student)
    exact = student.detach().double().requires_grad_()
    p = teacher.double().softmax(-1)
    want = torch.zeros((), dtype=torch.float64)
    for row in range(3):
        kept = p[row].topk(4).indices.tolist()
        others = [i for i in range(11) if i not in kept]
        q = exact[row].softmax(-1)
        want = want + sum(p[row, i] * (p[row, i] / q[i]).log() for i in kept)
        want = want + p[row, others].sum() * (p[row, others].sum() / q[others].sum()).log()
    (by_hand,) = torch.autograd.grad(want, exact)
    assert torch.allclose(part.double(), by_hand, atol=1e-5)


def test_a_rest_of_nothing_stays_finite() -> None:
    sure = torch.tensor([[60.0, 0.0, 0.0, 0.0]])
    for teacher, student in ((sure, sure), (torch.zeros(1, 4), sure), (sure, torch.zeros(1, 4))):
        student = student.clone().requires_grad_()
        found = top_kl(Top.of(teacher, 1), student)
        (gradient,) = torch.autograd.grad(found.sum(), student)
        assert torch.isfinite(found).all()
        assert torch.isfinite(gradient).all()


def stored(root: Path, prompt: list[int], given_: list[Encoded], k: int = 8) -> Stored:
    return Stored(root, Teacher(network(), prompt, begins=True), given_, k, of={"prompt": str(prompt)}, batch=3)


def test_stored_targets_are_the_teachers_and_are_computed_once(tmp_path: Path) -> None:
    given_ = texts(3, 9, 1, 4, 4, 6, 2)
    found = stored(tmp_path, PROMPT, given_)
    assert found.computed == 1
    places = [4, 0, 1]
    top = found.of(places)
    want = Top.of(Teacher(network(), PROMPT, begins=True).logits(answer_batch([given_[p] for p in places])), 8)
    assert torch.allclose(top.logp_NK, want.logp_NK, atol=5e-3)
    assert torch.allclose(top.rest_N, want.rest_N, atol=5e-3)
    assert (top.ids_NK == want.ids_NK).float().mean() > 0.95
    student = logits_of(network(1), answer_batch([given_[p] for p in places]))
    assert torch.allclose(top_kl(top, student), top_kl(want, student), atol=2e-2)
    assert stored(tmp_path, PROMPT, given_).computed == 0
    assert stored(tmp_path, PROMPT[:-1], given_).computed == 1
    assert stored(tmp_path, PROMPT, given_, k=9).computed == 1
    assert found.num_tokens == sum(len(t.tokens) - 1 for t in given_)


def test_a_place_takes_what_is_said(tmp_path: Path) -> None:
    few, many = (stored(tmp_path, PROMPT, texts(*[9] * n)) for n in (20, 220))
    per_token = (many.num_bytes - few.num_bytes) / (many.num_tokens - few.num_tokens)
    assert per_token == pytest.approx(bytes_per_token(8, VOCABULARY), abs=0.1)
    assert bytes_per_token(50, 65_536) == 202
    assert bytes_per_token(50, 65_537) == 302


def test_damaged_targets_are_refused(tmp_path: Path) -> None:
    found = stored(tmp_path, PROMPT, texts(3, 4))
    (shard,) = found.folder.glob("*.safetensors")
    shard.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not targets"):
        stored(tmp_path, PROMPT, texts(3, 4)).of([0])


def bpe(words: list[str], *, bos: bool) -> Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<end>", *(["<s>"] if bos else [])]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(words, trainer)
    if bos:
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
        )
    return Tokenizer(backend, special={"eos_token": "<end>", **({"bos_token": "<s>"} if bos else {})})


@pytest.mark.parametrize("bos", [True, False], ids=["bos", "no bos"])
def test_texts_are_tokenised_as_they_stand_behind_the_prompt(bos: bool) -> None:
    tokenizer = bpe(["the cat sat", "the hat"] * 40, bos=bos)
    prompt = "A text that is long enough to have a tail of sixty four characters and more, which ends here.\n"
    (row, cut), num_cut = rows_of(tokenizer, prompt, ["the cat sat", "the hat " * 30], end=0, limit=20)
    begin = [tokenizer.bos_id] if bos else []
    assert row.tokens.tolist() == [*begin, *tokenizer.encode("the cat sat", special=False), 0]
    assert (len(cut.tokens), num_cut) == (20 + len(begin), 1)
    assert read_prompt(tokenizer, prompt)[: len(begin)] == begin
    assert tokenizer.encode(prompt + "the cat sat") == [*read_prompt(tokenizer, prompt), *row.tokens[len(begin) : -1]]


def test_a_prompt_that_merges_with_the_text_is_refused() -> None:
    tokenizer = bpe(["the cat sat"] * 40, bos=False)
    with pytest.raises(DataError, match="merges the end of the prompt"):
        rows_of(tokenizer, "and so it went on, the c", ["at sat"], end=0, limit=20)


def test_another_tokenizer_is_refused_with_both_hashes() -> None:
    one, other = bpe(["the cat"] * 9, bos=False), bpe(["the hat"] * 9, bos=False)
    known = [same_tokenizer(each, each) for each in (one, other)]
    with pytest.raises(ModelError, match=f"the teacher's tokenizer is {known[0]}, the student's {known[1]}"):
        same_tokenizer(one, other)
