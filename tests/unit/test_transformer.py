"""The decoder against a plain reading of its definition, and the laws of caches, masks and places."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from gnomon.core.errors import ModelError, UsageError
from gnomon.models.hooks import Plan, keep
from gnomon.models.transformer import KVCache, Transformer, TransformerConfig, num_parameters

_LLAMA: dict[str, Any] = {
    "vocab_size": 50,
    "d_model": 32,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "d_mlp": 40,
    "max_positions": 64,
}
_TOY = _LLAMA | {"num_kv_heads": 4, "mlp": "none", "positions": "shortformer", "family": "gnomon-attn"}
_KINDS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "window": _LLAMA | {"window": 5, "window_layers": (1,)},
    "learned": _LLAMA | {"positions": "learned", "norm": "layernorm", "mlp": "gelu", "parallel_block": True},
    "toy": _TOY,
    "smeared": _TOY | {"smear_keys": True},
    "smeared-rotary": _LLAMA | {"smear_keys": True, "qk_norm": True, "rotary_fraction": 0.5},
    "nowhere": _LLAMA | {"positions": "none", "mlp": "gelu_tanh"},
}


def _model(kind: str) -> Transformer:
    """A model whose every parameter matters: norms, biases and smears are not at their initial values."""
    generator = torch.Generator().manual_seed(7)
    model = Transformer(TransformerConfig(**_KINDS[kind]), generator=generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


_MODELS = {kind: _model(kind) for kind in _KINDS}


@pytest.fixture(params=_KINDS)
def model(request: pytest.FixtureRequest) -> Transformer:
    """One model of each kind."""
    return _MODELS[request.param]


@pytest.fixture(autouse=True)
def _no_grad(request: pytest.FixtureRequest) -> Iterator[None]:
    with torch.set_grad_enabled("train" in request.node.name):
        yield


def _tokens(rows: int, count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 50, (rows, count), generator=torch.Generator().manual_seed(seed))


def _close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", ["toy", "smeared"])
def test_attention_only_toy_by_its_definition(kind: str) -> None:
    model, tokens = _MODELS[kind], _tokens(1, 9)
    x = model.embed.weight[tokens[0]]
    assert model.pos_embed is not None
    for block in model.blocks:
        seen = F.rms_norm(x, (32,), block.ln1.weight, 1e-5)
        placed, out = seen + model.pos_embed.weight[:9], torch.zeros_like(x)
        for head in range(4):
            q, k, v = placed @ block.attn.w_q[head].T, placed @ block.attn.w_k[head].T, seen @ block.attn.w_v[head].T
            if block.attn.smear is not None:
                share = torch.sigmoid(block.attn.smear[head])
                k = torch.stack([k[0], *(share * k[j] + (1 - share) * k[j - 1] for j in range(1, 9))])
            for i in range(9):
                weights = torch.softmax(q[i] @ k[: i + 1].T / math.sqrt(8), 0)
                out[i] += block.attn.w_o[head] @ (weights @ v[: i + 1])
        x = x + out
    _close(model(tokens)[0], F.rms_norm(x, (32,), model.ln_f.weight, 1e-5) @ model.w_u.T)


@settings(max_examples=20)
@given(kind=st.sampled_from(sorted(_KINDS)), cuts=st.sets(st.integers(1, 14), max_size=6))
def test_any_cutting_into_cached_pieces_gives_the_same(kind: str, cuts: set[int]) -> None:
    model, tokens = _MODELS[kind], _tokens(2, 15)
    cache = KVCache(2, room=1)
    with torch.no_grad():
        bounds = itertools.pairwise([0, *sorted(cuts), 15])
        pieces = [model(tokens[:, a:b], cache=cache) for a, b in bounds]
        _close(torch.cat(pieces, 1), model(tokens))
    assert cache.length == 15 and cache.batch == 2


def test_a_header_is_shared_and_rows_are_kept_or_reordered(model: Transformer) -> None:
    header, tails = _tokens(1, 7), _tokens(4, 5, seed=1)
    cache = KVCache(2)
    model(header, cache=cache)
    rows = cache.expand(4)
    full = model(torch.cat((header.expand(4, -1), tails), 1))
    _close(model(tails[:, :2], cache=rows), full[:, 7:9])
    picked = rows.select([3, 0, 3])
    _close(model(tails[[3, 0, 3], 2:], cache=picked), full[[3, 0, 3], 9:])
    _close(model(tails[:, 2:], cache=rows), full[:, 9:])
    assert (cache.length, rows.length, picked.batch) == (7, 12, 3)
    _close(model(tails[:1], cache=cache), full[:1, 7:])


@pytest.mark.parametrize("kind", ["llama", "window", "learned", "toy"])
def test_prefixes_of_a_cache_do_not_disturb_it(kind: str) -> None:
    model, tokens, other = _MODELS[kind], _tokens(1, 10), _tokens(1, 4, seed=5)
    cache = KVCache(2)
    model(tokens[:, :8], cache=cache)
    branch = cache.prefix(5)
    joined = model(torch.cat((tokens[:, :5], other), 1))[:, 5:]
    _close(model(other, cache=branch), joined)
    _close(model(tokens[:, 8:], cache=cache), model(tokens)[:, 8:])


def test_expanding_copies_nothing_until_appended_to() -> None:
    model, cache = _MODELS["llama"], KVCache(2)
    model(_tokens(1, 7), cache=cache)
    shared = cache.expand(64)._keys[0]
    assert shared.stride(0) == 0 and shared.data_ptr() == cache._keys[0].data_ptr()


def test_decoding_allocates_seldom() -> None:
    model, cache = _MODELS["llama"], KVCache(2, room=8)
    places = set()
    for step in range(60):
        model(_tokens(1, 1, seed=step), cache=cache)
        places.add(cache._keys[0].data_ptr())
    assert len(places) <= 7


def test_left_padded_rows_equal_rows_alone(model: Transformer) -> None:
    texts = [_tokens(1, n, seed=n)[0] for n in (12, 3, 8)]
    padded = torch.stack([F.pad(text, (12 - len(text), 0)) for text in texts])
    seen = torch.stack([torch.arange(12) >= 12 - len(text) for text in texts])
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    mask = seen[:, None, None] & torch.ones(12, 12, dtype=torch.bool).tril()
    cache = KVCache(2)
    logits = model(padded, positions_BT=positions, mask=mask, cache=cache)
    assert logits.isfinite().all()
    for row, text in enumerate(texts):
        _close(logits[row, 12 - len(text) :], model(text[None])[0])
    more = _tokens(3, 1, seed=9)
    longer = F.pad(seen, (0, 1), value=True)[:, None, None]
    after = model(more, positions_BT=positions[:, -1:] + 1, mask=longer, cache=cache)
    for row, text in enumerate(texts):
        _close(after[row, 0], model(torch.cat((text, more[row]))[None])[0, -1])


@pytest.mark.parametrize("kind", ["llama", "window", "learned", "toy", "nowhere"])
def test_packed_options_equal_options_alone(kind: str) -> None:
    model, header = _MODELS[kind], _tokens(1, 6)
    options = [_tokens(1, n, seed=n) for n in (4, 2, 7)]
    cache = KVCache(2)
    model(header, cache=cache)
    owner = torch.cat([torch.full((o.shape[1],), n) for n, o in enumerate(options)])
    positions = torch.cat([6 + torch.arange(o.shape[1]) for o in options])[None]
    own = (owner[:, None] == owner) & torch.ones(13, 13, dtype=torch.bool).tril()
    mask = torch.cat((torch.ones(13, 6, dtype=torch.bool), own), 1)[None, None]
    logits = model(torch.cat(options, 1), positions_BT=positions, mask=mask, cache=cache)
    for n, option in enumerate(options):
        _close(logits[0, owner == n], model(torch.cat((header, option), 1))[0, 6:])


def test_places_are_projected_alone(model: Transformer) -> None:
    tokens = _tokens(3, 8)
    at = torch.tensor([[0, 7], [2, 0], [2, 5], [0, 7]])
    _close(model(tokens, at=at), model(tokens)[at[:, 0], at[:, 1]])
    _close(model.hidden(tokens, at=at) @ model.w_u.T, model(tokens, at=at))
    assert model(tokens, at=torch.empty(0, 2, dtype=torch.long)).shape == (0, 50)
    assert model.hidden(tokens).shape == (3, 8, 32)


def test_plain_forwards_and_single_tokens_build_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[bool, bool]] = []
    fused = F.scaled_dot_product_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, is_causal: bool, **how: Any) -> Tensor:
        calls.append((mask is None, is_causal))
        return fused(q, k, v, mask, is_causal=is_causal, **how)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    cache = KVCache(2)
    _MODELS["llama"](_tokens(2, 6), cache=cache)
    _MODELS["llama"](_tokens(2, 1), cache=cache)
    assert calls == [(True, True)] * 2 + [(True, False)] * 2


def test_long_rotary_positions_turn_like_short_ones() -> None:
    model, tokens = _MODELS["llama"], _tokens(1, 9)
    far = torch.arange(9)[None] + 5000
    torch.testing.assert_close(model(tokens, positions_BT=far), model(tokens), atol=2e-3, rtol=0)


def test_tables_made_in_inference_mode_serve_training() -> None:
    model = copy.deepcopy(_model("llama"))
    with torch.inference_mode():
        model(_tokens(1, 5))
    model(_tokens(2, 5)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_training_in_mixed_precision() -> None:
    model, tokens = copy.deepcopy(_MODELS["llama"]), _tokens(4, 12)
    exact = model(tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(tokens)
    mixed.float().sum().backward()
    kl = F.kl_div(mixed.float().log_softmax(-1), exact.log_softmax(-1), log_target=True, reduction="none").sum(-1)
    assert kl.mean() < 1e-3
    assert (mixed.argmax(-1) == exact.argmax(-1)).float().mean() > 0.95


@pytest.mark.parametrize("read", [[], ["0.pattern", "1.scores"]])
def test_training_on_padded_rows_has_finite_gradients(read: list[str]) -> None:
    model, seen = copy.deepcopy(_MODELS["llama"]), torch.arange(9) >= torch.tensor([[0], [4]])
    mask = seen[:, None, None] & torch.ones(9, 9, dtype=torch.bool).tril()
    logits = model(_tokens(2, 9), mask=mask, plan=Plan(read=dict.fromkeys(read, keep)) if read else None)
    logits[seen].square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_training_learns_and_the_future_stays_hidden(model: Transformer) -> None:
    tokens = _tokens(1, 8)
    embedded = model.embed.weight[tokens].detach().requires_grad_()
    hidden = model.embed.register_forward_hook(lambda *_: embedded)
    try:
        model(tokens)[0, 4].sum().backward()
    finally:
        hidden.remove()
    assert embedded.grad is not None
    assert embedded.grad[0, 5:].abs().max() == 0 and embedded.grad[0, 4].abs().max() > 0
    model.zero_grad()


def test_same_seed_same_weights() -> None:
    config = TransformerConfig(**_LLAMA)
    one, two = (Transformer(config, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    torch.manual_seed(3)
    three = Transformer(config)
    torch.manual_seed(3)
    four = Transformer(config)
    for pair in ((one, two), (three, four)):
        assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in pair), strict=True))
    wide = Transformer(TransformerConfig(**_LLAMA | {"d_model": 128, "num_layers": 8}))
    assert wide.blocks[0].attn.qkv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert wide.blocks[0].mlp.down.weight.std().item() == pytest.approx(0.02 / 4, rel=0.1)


def test_parameters_of_a_tied_model_count_once() -> None:
    # Embedding, two norms, fused projections with grouped keys, output, gate with up, down; twice; and the last norm.
    layer = 2 * 32 + 32 * (4 + 2 * 2) * 8 + 32 * 32 + 2 * 32 * 40 + 40 * 32
    assert num_parameters(_MODELS["llama"]) == 50 * 32 + 2 * layer + 32
    untied = Transformer(TransformerConfig(**_LLAMA | {"tie_embeddings": False}))
    assert num_parameters(untied) == num_parameters(_MODELS["llama"]) + 50 * 32


@pytest.mark.parametrize("kind", ["learned", "toy"])
def test_more_tokens_than_the_table_has(kind: str) -> None:
    message = (
        "the text has 65 tokens, and the model has positions for 64; shorten the prompt or the number of new tokens"
    )
    with pytest.raises(UsageError) as error:
        _MODELS[kind](_tokens(1, 65))
    assert str(error.value) == message
    cache = KVCache(2)
    _MODELS[kind](_tokens(1, 64), cache=cache)
    with pytest.raises(UsageError, match="65 tokens"):
        _MODELS[kind](_tokens(1, 1), cache=cache)


def test_cache_misuse() -> None:
    cache = KVCache(2)
    _MODELS["llama"](_tokens(2, 3), cache=cache)
    with pytest.raises(UsageError, match="the cache has 2 rows and the tokens 1; expand or select it first"):
        _MODELS["llama"](_tokens(1, 3), cache=cache)
    with pytest.raises(UsageError, match="only a cache of one row can be expanded, and this one has 2"):
        cache.expand(3)
    with pytest.raises(UsageError, match="a cache of 3 tokens has no prefix of 4"):
        cache.prefix(4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_heads": 0}, "num_heads must be a positive whole number, and is 0"),
        ({"num_kv_heads": 3}, "4 heads cannot share 3 key-value heads evenly"),
        ({"rotary_fraction": 0.4}, "rotary positions turn pairs, and 3 of a head's widths are to be turned"),
        ({"d_mlp": 0}, "mlp 'swiglu' needs d_mlp, which is 0"),
        (
            {"rotary_scaling": {"rope_type": "yarm"}},
            "rope_scaling: rope_type 'yarm' is not supported; did you mean 'yarn'?",
        ),
        (
            {"rotary_scaling": {"rope_type": "linear"}},
            "rope_scaling: rope_type 'linear' needs 'factor', which is missing",
        ),
    ],
)
def test_contradictory_shapes(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as error:
        Transformer(TransformerConfig(**_LLAMA | fields))
    assert str(error.value) == message
