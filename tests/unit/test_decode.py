"""Decoding many streams together gives each what it would get alone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
import torch
from test_local import PLAIN, TEXT, tiny, together

from gnomon.models.base import Completion, Sampling
from gnomon.models.draws import Drawing, Drawn, uniforms
from gnomon.models.local import LocalModel

PROMPTS = ["The old mill", "The old mill stands by the river", "Question: who owns the mill? Answer:", TEXT + "The"]


def by_hand(model: LocalModel, prompt: str, how: Sampling, stream: int) -> tuple[list[int], float]:
    """The oracle: the whole text through the network for every token, the token by Python arithmetic."""
    ids = PLAIN.encode(prompt)
    numbers = uniforms(how.seed, np.array(ids), stream, how.max_tokens)
    new: list[int] = []
    total = 0.0
    while len(new) < how.max_tokens and not set(new) & set(PLAIN.eos_ids):
        with torch.no_grad():
            logits = model.net(torch.tensor([ids + new]))[0, -1].double()
        if how.temperature == 0:
            token = int(logits.argmax())
        else:
            p = (logits / how.temperature).softmax(0).tolist()
            kept, mass = set(), 0.0
            for i in sorted(range(len(p)), key=lambda i: -p[i]):
                kept.add(i)
                mass += p[i]
                if mass >= how.top_p:
                    break
            reach = numbers[len(new)] * sum(p[i] for i in kept)
            below = 0.0
            for token in sorted(kept):
                below += p[token]
                if below > reach:
                    break
        total += float(logits.log_softmax(0)[token])
        new.append(token)
    return new, total


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest) -> LocalModel:
    return tiny(PLAIN, learned=request.param == "gpt2")


# Greedy, plain and nucleus streams share batches in the tests below.
HOWS = [
    Sampling(max_tokens=12, temperature=0),
    Sampling(max_tokens=9, seed=5),
    Sampling(max_tokens=11, temperature=0.6, top_p=0.7, seed=1),
]


@pytest.mark.parametrize("how", HOWS, ids=["greedy", "plain", "nucleus"])
def test_streams_equal_the_slow_way(model: LocalModel, how: Sampling) -> None:
    [found] = together(model.sample(PROMPTS[2], how, 3))
    for stream, completion in enumerate(found):
        tokens, total = by_hand(model, PROMPTS[2], how, stream)
        assert completion.num_tokens == len(tokens)
        assert completion.logprob == pytest.approx(total, abs=1e-3)
        whole = PLAIN.decode(PLAIN.encode(PROMPTS[2]) + [t for t in tokens if t not in PLAIN.eos_ids])
        assert PROMPTS[2] + completion.text == whole


def test_a_model_that_takes_no_masks_decodes_its_prompts_apart() -> None:
    model = tiny(PLAIN, smear_keys=True)
    found = together(*(model.sample(p, how, 2) for p in PROMPTS[:3] for how in HOWS[:2]))
    asked = [(p, how) for p in PROMPTS[:3] for how in HOWS[:2]]
    for (prompt, how), pair in zip(asked, found, strict=True):
        for stream, completion in enumerate(pair):
            tokens, total = by_hand(model, prompt, how, stream)
            assert (completion.num_tokens, completion.logprob) == (len(tokens), pytest.approx(total, abs=1e-3))


def test_a_crowd_of_calls_changes_nothing(model: LocalModel) -> None:
    asked = [(p, how, n) for p in PROMPTS for how in HOWS for n in (1, 3)]
    alone = [together(model.sample(*a))[0] for a in asked]
    crowd = together(*(model.sample(*a) for a in asked))
    for one, other in zip(alone, crowd, strict=True):
        assert [c.text for c in one] == [c.text for c in other]
        assert [c.logprob for c in one] == pytest.approx([c.logprob for c in other], abs=1e-3)


def test_streams_that_come_later_join_those_under_way(model: LocalModel) -> None:
    model.engine.decoder.max_rows = 3
    asked = [(p, Sampling(max_tokens=3 + 7 * i, seed=i), 2) for i, p in enumerate(PROMPTS * 2)]

    async def late() -> list[list[Completion]]:
        first = asyncio.gather(*(model.sample(*a) for a in asked[:3]))
        await asyncio.sleep(0.01)
        second = await asyncio.gather(*(model.sample(*a) for a in asked[3:]))
        return [*await first, *second]

    crowd = asyncio.run(late())
    model.engine.decoder.max_rows = 64
    assert [[c.text for c in one] for one in crowd] == [[c.text for c in together(model.sample(*a))[0]] for a in asked]


def pushed_by(model: LocalModel, *calls: Coroutine[Any, Any, Any]) -> tuple[list[Any], list[tuple[int, ...]]]:
    """What the calls answer, and the shapes that went through the network for it."""
    shapes: list[tuple[int, ...]] = []
    net = model.engine.decoder.net
    model.engine.decoder.net = lambda tokens, **how: shapes.append(tuple(tokens.shape)) or net(tokens, **how)  # type: ignore[assignment,func-returns-value]
    found = together(*calls)
    model.engine.decoder.net = net
    return found, shapes


def test_a_prompt_is_read_once_for_all_its_streams(model: LocalModel) -> None:
    _, shapes = pushed_by(model, model.sample("The man by the river", Sampling(max_tokens=2), 5))
    assert shapes[0][0] == 1 and shapes[1] == (5, 1)


def test_streams_share_a_row_until_they_part(model: LocalModel) -> None:
    # Cool enough that streams go together for a while.
    how = Sampling(max_tokens=12, temperature=0.25, seed=3)
    calls = [model.sample(prompt, how, 6) for prompt in PROMPTS[:2]]
    found, shapes = pushed_by(model, *calls, model.sample(PROMPTS[0], Sampling(max_tokens=7, temperature=0), 2))
    said = [(PROMPTS[i % 2], c.tokens) for i, several in enumerate(found) for c in several]
    going = [{(prompt, t[:n]) for prompt, t in said if len(t) > n} for n in range(1, 12)]
    assert [rows for rows, _ in shapes[1:]] == [len(rows) for rows in going]
    assert len(going[0]) < max(map(len, going)) <= len(said)


def test_streams_that_always_say_the_same_are_decoded_once(model: LocalModel) -> None:
    [found], shapes = pushed_by(model, model.sample("The man", Sampling(max_tokens=6, temperature=0), 9))
    assert len({c.tokens for c in found}) == 1 and len(found) == 9
    assert {rows for rows, _ in shapes} == {1}


def test_finished_rows_are_dropped(model: LocalModel) -> None:
    calls = [model.sample("The man", Sampling(max_tokens=4 * i + 1, seed=i)) for i in range(8)]
    _, shapes = pushed_by(model, *calls)
    assert [rows for rows, _ in shapes[1::4]] == [7, 6, 5, 4, 3, 2, 1][: len(shapes[1::4])]


def test_a_stop_string_across_tokens_is_cut_off_and_never_said(model: LocalModel) -> None:
    [[free]] = together(model.sample("The old mill", Sampling(max_tokens=12, seed=2)))
    at = len(free.text) // 2
    stop = free.text[at : at + 3]
    cut = free.text[: free.text.find(stop)]
    said: list[str] = []
    how = Sampling(max_tokens=12, seed=2, stop=("never", stop), on_token=said.append)
    [[got]] = together(model.sample("The old mill", how))
    assert (got.text, got.finish) == (cut, "stop")
    assert "".join(said) == cut
    assert got.num_tokens <= free.num_tokens


def test_pieces_arrive_in_order_and_before_the_completion(model: LocalModel) -> None:
    said: list[str] = []
    [[got]] = together(model.sample("The old mill", Sampling(max_tokens=20, on_token=said.append)))
    assert "".join(said) == got.text and len(said) > 1


def test_the_end_token_ends_a_stream_and_is_counted() -> None:
    model = tiny(PLAIN)
    end = PLAIN.eos_ids[0]
    with torch.no_grad():
        model.net.embed.weight[end] = 100 * model.net.hidden(torch.tensor([PLAIN.encode("The mill")]))[0, -1]
    [[got]] = together(model.sample("The mill", Sampling(max_tokens=9, temperature=0)))
    assert (got.text, got.finish, got.num_tokens) == ("", "stop", 1)


def test_the_context_ends_a_stream_with_length(model: LocalModel) -> None:
    prompt = "the river " * 125
    size = len(PLAIN.encode(prompt))
    [[got]] = together(model.sample(prompt, Sampling(max_tokens=99)))
    assert (got.finish, got.num_tokens) == ("length", 256 - size)


def test_items_that_share_a_seed_are_drawn_independently(model: LocalModel) -> None:
    first = uniforms(0, np.array([1, 2]), 0, 3)
    assert not np.allclose(first, uniforms(0, np.array([1, 3]), 0, 3))
    assert not np.allclose(first, uniforms(0, np.array([1, 2]), 1, 3))
    assert np.allclose(first, uniforms(0, np.array([1, 2]), 0, 9)[:3])


def test_draws_have_the_frequencies_of_the_distribution() -> None:
    p = torch.tensor([0.5, 0.3, 0.15, 0.05])
    size = 20_000
    logits = p.log().expand(size, 4)
    numbers = torch.from_numpy(np.random.default_rng(0).random(size))

    def drawn(temperature: float, top_p: float) -> Drawn:
        return Drawing([temperature] * size, [top_p] * size, logits.device).draw(logits, numbers)

    plain = drawn(1, 1)
    assert np.bincount(plain.token_N, minlength=4) / size == pytest.approx(p.tolist(), abs=0.012)
    assert float(plain.logprob_N[0]) == pytest.approx(math.log(p[plain.token_N[0]]), abs=1e-5)
    flat = drawn(2, 1)
    assert np.bincount(flat.token_N, minlength=4) / size == pytest.approx((p**0.5 / (p**0.5).sum()).tolist(), abs=0.012)
    assert float(flat.logprob_N[0]) == pytest.approx(math.log(p[flat.token_N[0]]), abs=1e-5)
    assert set(drawn(1, 0.75).token_N.tolist()) == {0, 1}
    assert set(drawn(0, 1).token_N.tolist()) == {0}


def test_a_cancelled_call_stops_decoding(model: LocalModel) -> None:
    async def go() -> Any:
        task = asyncio.ensure_future(model.sample("The old mill", Sampling(max_tokens=200, temperature=0)))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await model.sample("The man", Sampling(max_tokens=2))

    assert asyncio.run(go())[0].num_tokens <= 2
