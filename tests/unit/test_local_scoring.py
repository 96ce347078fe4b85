"""Scores equal the plain path, one sequence at a time, whatever is asked together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gnomon.models.headers import Headers
from gnomon.models.scoring import Query, Scorer
from gnomon.models.transformer import KVCache, Transformer, TransformerConfig

LLAMA = TransformerConfig(vocab_size=60, d_model=32, num_layers=2, num_heads=4, num_kv_heads=2, d_mlp=48)
GPT2 = TransformerConfig(
    vocab_size=60, d_model=32, num_layers=2, num_heads=4, d_mlp=64, norm="layernorm", positions="learned",
    mlp="gelu_tanh", mlp_bias=True, qkv_bias=True, out_bias=True, family="gpt2",
)  # fmt: skip
WINDOWED = TransformerConfig(vocab_size=60, d_model=32, num_layers=2, num_heads=4, d_mlp=48, window=9)


def sharp(config: TransformerConfig) -> Transformer:
    """A random model whose distributions are far from flat, so that a wrong context shows."""
    net = Transformer(config, generator=torch.Generator().manual_seed(1)).eval()
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim == 2:
                p.mul_(8)
    return net


def scorer(net: Transformer, **options: int) -> Scorer:
    headers = Headers(net, lambda: KVCache(net.config.num_layers), torch.device("cpu"), least_tokens=8)
    return Scorer(net, headers, head=lambda h: h.sum(-1, keepdim=True), **options)  # type: ignore[arg-type]


def plain(net: Transformer, query: Query) -> list[np.ndarray]:
    """The oracle: each branch in a forward of its own."""
    found = []
    with torch.no_grad():
        for branch in query.branches:
            text = torch.from_numpy(np.concatenate((query.context, branch)))[None]
            logp = net(text).log_softmax(-1)[0]
            places = range(len(query.context) - 1, len(query.context) + len(branch) - 1)
            found.append(np.array([float(logp[i, text[0, i + 1]]) for i in places]))
        if not query.branches:
            found.append(np.array([float(net.hidden(torch.from_numpy(query.context)[None])[0, -1].sum())]))
    return found


def questions(seed: int, header: int, count: int = 12) -> list[Query]:
    rng = np.random.default_rng(seed)
    shared = rng.integers(0, 60, header)
    queries = []
    for i in range(count):
        context = np.concatenate((shared, rng.integers(0, 60, rng.integers(1, 20))))
        if i % 4 == 3:
            branches = [rng.integers(0, 60, 1) for _ in range(4)]
        else:
            branches = [rng.integers(0, 60, rng.integers(1, 6)) for _ in range(3)]
        queries.append(Query(context, [] if i % 5 == 4 else branches))
    grown = np.concatenate((queries[0].context, rng.integers(0, 60, 7)))
    return [*queries, Query(grown, [np.array([3]), np.array([3, 4])]), queries[1]]


@pytest.mark.parametrize("config", [LLAMA, GPT2, WINDOWED], ids=["llama", "gpt2", "windowed"])
@pytest.mark.parametrize("header", [0, 5, 40, 400])
@pytest.mark.parametrize("options", [{}, {"batch_tokens": 1}, {"tree": False}], ids=["tree", "one row", "no tree"])
def test_scores_equal_one_sequence_at_a_time(config: TransformerConfig, header: int, options: dict[str, int]) -> None:
    net = sharp(config)
    engine = scorer(net, **options)
    queries = questions(header, header)
    for asked in (queries, queries[:1], queries[2:5]):  # the later ones meet headers kept from the first
        answers = dict(engine.run(asked))
        assert sorted(answers) == list(range(len(asked)))
        for i, query in enumerate(asked):
            for got, want in zip(answers[i], plain(net, query), strict=True):
                np.testing.assert_allclose(got, want, atol=1e-4)


def test_shared_tokens_are_pushed_once() -> None:
    net = sharp(LLAMA)
    engine = scorer(net)
    shared = np.random.default_rng(0).integers(0, 60, 600)
    queries = [Query(np.concatenate((shared, [i, 7])), [np.array([1]), np.array([2]), np.array([3])]) for i in range(9)]
    dict(engine.run(queries))
    assert (engine.pushed_tokens, engine.headers.forwards) == (18, 1)
    dict(engine.run([Query(np.concatenate((shared, [50, 51])), [np.array([1])])]))
    assert (engine.pushed_tokens, engine.headers.forwards) == (20, 1)


def test_calls_one_after_another_come_to_share_a_header() -> None:
    net = sharp(LLAMA)
    engine = scorer(net)
    shared = np.random.default_rng(0).integers(0, 60, 200)
    pushed = []
    for i in range(4):
        dict(engine.run([Query(np.concatenate((shared, [i, 7])), [np.array([1])])]))
        pushed.append(engine.pushed_tokens)
    assert np.diff(pushed).tolist() == [2, 2, 2]
    assert engine.headers.forwards == 1


def test_a_query_that_nobody_waits_for_costs_no_forward() -> None:
    engine = scorer(sharp(LLAMA))
    assert dict(engine.run([Query(np.array([1]), [np.array([2])])], alive=lambda query: False)) == {}
    assert engine.forwards == 0


def test_only_wanted_positions_reach_the_vocabulary() -> None:
    net = sharp(LLAMA)
    seen: list[Tensor] = []
    engine = scorer(net)
    engine.net = lambda tokens, **how: seen.append(how["at"]) or net(tokens, **how)  # type: ignore[assignment,func-returns-value]
    dict(engine.run([Query(np.arange(30), [np.array([i]) for i in range(5)])]))
    assert [len(at) for at in seen] == [1]
