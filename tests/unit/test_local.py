"""What a local model says equals what a plain forward says, alone or in a crowd."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from gnomon.core.errors import AbilityError, DataError, ModelError, UsageError
from gnomon.models.base import Ability, Message, Model, Sampling
from gnomon.models.local import LocalModel
from gnomon.models.spans import letters_trouble
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig

TEXT = (
    "The old mill stands by the river . Question: who owns the mill? Choices: (A) the man (B) the woman Answer: (A)\n"
)


def byte_tokenizer(*merged: str) -> Tokenizer:
    """A byte-level BPE trained on a few words, which merges every text in `merged` into one token."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, special_tokens=["<end>"])
    backend.train_from_iterator([TEXT] * 3 + [m * 9 for m in merged], trainer)
    backend.add_tokens(list(merged))
    return Tokenizer(backend, special={"eos_token": "<end>"})


def tiny(tokenizer: Tokenizer, *, learned: bool = False, head: Any = None, smear_keys: bool = False) -> LocalModel:
    shape = {"vocab_size": tokenizer.vocab_size, "d_model": 32, "num_layers": 2, "num_heads": 4, "max_positions": 256}
    if learned:
        config = TransformerConfig(
            **shape, d_mlp=64, norm="layernorm", positions="learned", mlp="gelu_tanh", mlp_bias=True
        )  # type: ignore[arg-type]
    else:
        config = TransformerConfig(**shape, d_mlp=48, smear_keys=smear_keys)  # type: ignore[arg-type]
    net = Transformer(config, generator=torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim == 2:
                p.mul_(6)
    return LocalModel(net, tokenizer, name="tiny", head=head)


def together(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    async def go() -> list[Any]:
        return list(await asyncio.gather(*calls))

    return asyncio.run(go())


def logp(model: LocalModel, whole: Sequence[int], start: int) -> list[float]:
    with torch.no_grad():
        table = model.net(torch.tensor([list(whole)])).log_softmax(-1)[0]
    return [float(table[i - 1, whole[i]]) for i in range(start, len(whole))]


PLAIN = byte_tokenizer()
MERGING = byte_tokenizer(" (A", "(A")


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest) -> LocalModel:
    return tiny(PLAIN, learned=request.param == "gpt2", head=lambda h: h.sum(-1))


def test_it_is_a_model_with_its_abilities(model: LocalModel) -> None:
    assert isinstance(model, Model)
    assert {Ability.SAMPLE, Ability.SCORE, Ability.REWARD, Ability.ACTIVATIONS} <= model.can
    assert Ability.REWARD not in tiny(PLAIN).can


def test_score_is_the_sum_over_the_continuation(model: LocalModel) -> None:
    prompt, more = "The old mill stands by", " the river ."
    [score] = together(model.score(prompt, more))
    whole = PLAIN.encode(prompt + more)
    assert score.logprobs == pytest.approx(logp(model, whole, len(PLAIN.encode(prompt))), abs=1e-4)
    assert together(model.score(prompt, "")) == [type(score)(logprobs=())]


def test_letters_are_read_at_one_place_with_what_surrounds_them_forced(model: LocalModel) -> None:
    prompt, options = "Question: who owns the mill? Answer:", [" (A)", " (B)", " (C)"]
    [choice] = together(model.choose(prompt, options))
    before = PLAIN.encode(prompt + " (")
    p = [math.exp(logp(model, [*before, *PLAIN.encode(letter)], len(before))[0]) for letter in "ABC"]
    assert choice.mass == pytest.approx(sum(p), abs=1e-5)
    assert choice.p == pytest.approx([x / sum(p) for x in p], abs=1e-5)
    assert (choice.readout, choice.n) == ("exact", 0)


def test_texts_of_several_tokens_are_scored_whole(model: LocalModel) -> None:
    prompt, options = "The mill stands by", [" the river", " a wooden bridge", " the man"]
    [choice] = together(model.choose(prompt, options))
    start = len(PLAIN.encode(prompt))
    totals = [sum(logp(model, PLAIN.encode(prompt + option), start)) for option in options]
    assert sum(choice.p) == pytest.approx(1)
    assert choice.p == pytest.approx(torch.tensor(totals).softmax(0).tolist(), abs=1e-5)
    assert choice.mass == pytest.approx(sum(map(math.exp, totals)), abs=1e-5)


def test_a_tokenizer_that_merges_the_bracket_with_one_letter() -> None:
    model = tiny(MERGING)
    prompt, options = "Question: who? Answer:", [" (A)", " (B)"]
    assert MERGING.encode(" (A)")[0] != MERGING.encode(" (B)")[0]
    [choice] = together(model.choose(prompt, options))
    start = len(MERGING.encode(prompt))
    whole = [MERGING.encode(prompt + option)[:-1] for option in options]  # the closing bracket is not scored
    p = [math.exp(sum(logp(model, w, start))) for w in whole]
    assert choice.p == pytest.approx([x / sum(p) for x in p], abs=1e-5)
    assert choice.mass == pytest.approx(sum(p), abs=1e-5)


def test_a_prompt_whose_end_merges_with_the_continuation() -> None:
    model = tiny(MERGING)
    [score] = together(model.score("Answer: (", "A)"))
    whole = MERGING.encode("Answer: (A)")
    assert score.logprobs == pytest.approx(logp(model, whole, len(MERGING.encode("Answer:"))), abs=1e-4)
    assert len(score.logprobs) == 2  # " (A" swallowed the bracket


def test_the_letter_check_names_the_letter_and_the_ids() -> None:
    assert letters_trouble(PLAIN.encode, "Answer: (", "ABC") == ""
    message = letters_trouble(MERGING.encode, "Answer: (", "BAC")
    assert ("'A'" in message and str(MERGING.encode(" (A")) in message.replace("[", "[")) or "'A'" in message
    assert str(MERGING.encode(" (A")[0]) in message


def test_an_option_that_continues_another_adds_nothing_to_the_mass(model: LocalModel) -> None:
    prompt, options = "The", [" man", " man the", " mill"]
    [choice] = together(model.choose(prompt, options))
    at = len(PLAIN.encode(prompt))
    totals = [sum(logp(model, PLAIN.encode(prompt + o), at)) for o in options]
    assert choice.mass == pytest.approx(math.exp(totals[0]) + math.exp(totals[2]), abs=1e-5)
    assert choice.p == pytest.approx(torch.tensor(totals).softmax(0).tolist(), abs=1e-5)


def test_what_is_asked_together_does_not_matter(model: LocalModel) -> None:
    header = TEXT + TEXT
    prompts = [header + f"Question: who {w}? Answer:" for w in ("owns", "stands", "is the man", "mills")]
    alone = [together(model.choose(p, [" (A)", " (B)"]))[0] for p in prompts]
    alone += [together(model.score(p, " the river"))[0] for p in prompts]
    crowd = together(
        *(model.choose(p, [" (A)", " (B)"]) for p in prompts), *(model.score(p, " the river") for p in prompts)
    )
    for a, b in zip(alone, crowd, strict=True):
        assert getattr(a, "p", None) == pytest.approx(getattr(b, "p", None), abs=1e-5)
        assert getattr(a, "logprobs", None) == pytest.approx(getattr(b, "logprobs", None), abs=1e-4)


def test_reward_reads_the_last_token(model: LocalModel) -> None:
    prompts = ["The old mill", "The river", "who owns the mill?"]
    values = together(*(model.reward(p) for p in prompts))
    with torch.no_grad():
        want = [float(model.net.hidden(torch.tensor([PLAIN.encode(p)]))[0, -1].sum()) for p in prompts]
    assert values == pytest.approx(want, abs=1e-3)


def test_a_conversation_goes_through_the_template(model: LocalModel) -> None:
    turns = [Message("user", "who owns the mill?"), Message("assistant", "The")]
    text = PLAIN.chat(turns)
    assert together(model.score(turns, " man")) == together(model.score(text, " man"))


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda m: m.choose("x", [" a"]), DataError, "must be two or more"),
        (lambda m: m.choose("x", [" a", " a"]), DataError, "all different"),
        (
            lambda m: m.score("the " * 300, "mill"),
            ModelError,
            "continuation has 300 tokens, and",
        ),
        (
            lambda m: m.sample("the " * 300, Sampling()),
            ModelError,
            "301 tokens, and the model.s context holds 256",
        ),
        (lambda m: m.sample("x", Sampling(temperature=-1)), UsageError, "temperature is -1"),
        (lambda m: m.sample("x", Sampling(top_p=0)), UsageError, "top_p is 0"),
        (lambda m: m.sample("x", Sampling(max_tokens=0)), UsageError, "max_tokens is 0"),
        (lambda m: m.sample("x", Sampling(), 0), UsageError, "n is 0"),
        (lambda m: m.sample("x", Sampling(on_token=print), 2), UsageError, "on_token hears one stream"),
        (lambda m: m.sample("x", Sampling(tools=({"name": "t"},))), AbilityError, "needs TOOLS"),
        (lambda m: m.reward("x"), AbilityError, "a reward needs REWARD"),
    ],
)
def test_what_cannot_be_asked(call: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said.replace("(", r"\(")):
        together(call(tiny(PLAIN)))


def test_one_bad_call_does_not_spoil_its_neighbours(model: LocalModel) -> None:
    async def go() -> list[Any]:
        calls = [model.score("The", " mill"), model.score("the " * 300, "mill"), model.score("The", " man")]
        return await asyncio.gather(*calls, return_exceptions=True)

    good, bad, fine = asyncio.run(go())
    assert isinstance(bad, ModelError)
    assert [good, fine] == [together(model.score("The", w))[0] for w in (" mill", " man")]


def test_an_empty_prompt_begins_with_the_end_of_text(model: LocalModel) -> None:
    [score] = together(model.score("", "The mill"))
    whole = [PLAIN.eos_ids[0], *PLAIN.encode("The mill")]
    assert score.logprobs == pytest.approx(logp(model, whole, 1), abs=1e-4)


def test_changed_weights_forget_the_headers() -> None:
    model = tiny(PLAIN)
    prompts = [TEXT + f"Question: who {w}? Answer:" for w in ("owns", "stands", "is", "mills")]
    together(*(model.score(p, " the man") for p in prompts))
    with torch.no_grad():
        model.net.embed.weight.mul_(1.5)
    model.weights_changed()
    [score] = together(model.score(prompts[0], " the man"))
    want = logp(model, PLAIN.encode(prompts[0] + " the man"), len(PLAIN.encode(prompts[0])))
    assert score.logprobs == pytest.approx(want, abs=1e-4)


def test_gradients_and_activations() -> None:
    model = tiny(PLAIN)
    model.run(torch.tensor([[1, 2, 3]])).sum().backward()
    assert model.net.embed.weight.grad is not None
