"""What a served model must tell besides text: its tokens, their log-probabilities, and what it would have said."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import tokenizers as tk
import torch

from gnomon.core.errors import ModelError, UsageError
from gnomon.models.base import Sampling
from gnomon.models.local import LocalModel
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig

T = TypeVar("T")
TEXT = "ab ba  é ab"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Bytes, "ab", and a token that begins every text."""
    letters = sorted(tk.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate([*letters, "ab", "<begin>"])}
    backend = tk.Tokenizer(tk.models.BPE(vocab=vocabulary, merges=[("a", "b")]))
    backend.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tk.decoders.ByteLevel()
    backend.add_special_tokens(["<begin>"])
    begin = [("<begin>", vocabulary["<begin>"])]
    backend.post_processor = tk.processors.TemplateProcessing(single="<begin> $A", special_tokens=begin)
    return Tokenizer(backend, special={"bos_token": "<begin>"})


@pytest.fixture(scope="module")
def net(tokenizer: Tokenizer) -> Transformer:
    torch.manual_seed(0)
    shape = {"d_model": 16, "num_layers": 2, "num_heads": 2, "d_mlp": 16, "max_positions": 64}
    return Transformer(TransformerConfig(vocab_size=tokenizer.vocab_size, **shape)).eval()


def ask(net: Transformer, tokenizer: Tokenizer, then: Callable[[LocalModel], Awaitable[T]]) -> T:
    async def go() -> T:
        model = LocalModel(net, tokenizer, name="tiny")
        try:
            return await then(model)
        finally:
            await model.close()

    return asyncio.run(go())


def test_listed_places_are_those_of_one_plain_forward(net: Transformer, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(TEXT)
    expected = torch.log_softmax(net(torch.tensor([ids])), -1)[0].detach()

    async def both(model: LocalModel) -> list[list[object]]:
        # Different lists at once, and one call that asks for none.
        return await asyncio.gather(model.listed(ids, 1, 3), model.listed(ids, 4, 5), model.listed(ids, 1))  # type: ignore[return-value]

    three, five, none = ask(net, tokenizer, both)
    for found, start, top in ((three, 1, 3), (five, 4, 5), (none, 1, 0)):
        assert [place.token for place in found] == ids[start:]  # type: ignore[attr-defined]
        for at, place in enumerate(found, start):
            row = expected[at - 1]
            assert place.logprob == pytest.approx(float(row[ids[at]]), abs=1e-5)  # type: ignore[attr-defined]
            values, best = row.topk(top)
            assert [i for i, _ in place.top] == best.tolist()  # type: ignore[attr-defined]
            assert [lp for _, lp in place.top] == pytest.approx(values.tolist(), abs=1e-5)  # type: ignore[attr-defined]


def test_a_text_has_a_start_and_fits(net: Transformer, tokenizer: Tokenizer) -> None:
    for start in (0, 3):
        with pytest.raises(UsageError, match="the text has 3 tokens"):
            ask(net, tokenizer, lambda model, start=start: model.listed([1, 2, 3], start))  # type: ignore[misc]
    with pytest.raises(ModelError, match="the text has 65 tokens, and the model's context holds 64"):
        ask(net, tokenizer, lambda model: model.listed([1] * 66, 1))


def test_ids_are_continued_like_their_text_and_completions_name_their_tokens(
    net: Transformer, tokenizer: Tokenizer
) -> None:
    how = Sampling(max_tokens=9, seed=5)
    by_text, by_ids = (
        ask(net, tokenizer, lambda model, prompt=prompt: model.sample(prompt, how, 3))  # type: ignore[misc]
        for prompt in (TEXT, tokenizer.encode(TEXT))
    )
    assert by_text == by_ids
    ids = tokenizer.encode(TEXT)
    for completion in by_text:
        assert len(completion.tokens) == completion.num_tokens == 9
        places = ask(net, tokenizer, lambda m, c=completion: m.listed([*ids, *c.tokens], len(ids)))  # type: ignore[misc]
        assert completion.logprob == pytest.approx(sum(place.logprob for place in places), abs=1e-4)


def test_stretches_spell_the_text(tokenizer: Tokenizer) -> None:
    spelled = tokenizer.spelled(TEXT)
    assert [i for i, _ in spelled] == tokenizer.encode(TEXT)
    assert [piece for _, piece in spelled][:3] == ["", "ab", " "]
    assert "".join(piece for _, piece in spelled) == TEXT
    assert ["é", ""] in ([a, b] for (_, a), (_, b) in itertools.pairwise(spelled))
    assert "".join(piece for _, piece in tokenizer.spelled(TEXT, special=False)) == TEXT


def test_white_space_belongs_to_the_word_behind_it_and_at_the_end_to_the_last() -> None:
    words = tk.Tokenizer(tk.models.WordLevel({"one": 0, "two": 1}))
    words.pre_tokenizer = tk.pre_tokenizers.WhitespaceSplit()
    assert Tokenizer(words).spelled(" one  two ") == [(0, " one"), (1, "  two ")]
