"""What heads do: a circuit set by hand is read right, and everything that is fast equals what is slow."""

from __future__ import annotations

import weakref
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.explain.induction.attention import copying, looked_back, looks
from gnomon.explain.induction.sequences import Repeats, repeats, shuffled
from gnomon.explain.induction.weights import compositions, ov_copying, qk_trace
from gnomon.models.ablation import Kind, ablated_losses
from gnomon.models.attention import Attention, Context
from gnomon.models.hooks import Plan, keep
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Block, Transformer, TransformerConfig
from tests.unit._wired import PLACES, WORDS, wired


@pytest.fixture(scope="module")
def circuit() -> Transformer:
    return wired()


@pytest.fixture(scope="module")
def shown() -> Repeats:
    return repeats(range(1, WORDS), 6, Seed(0), bos=0)


def test_the_circuit_set_by_hand_is_read_right(circuit: Transformer, shown: Repeats) -> None:
    found = looks(circuit, shown)
    matched = found["prefix matching"].mean(0)
    assert float(matched[1, 0]) >= 0.99
    assert float(matched[0].max()) < 0.05
    assert float(looked_back(circuit, shown.tokens_NT).mean(0)[0, 0]) >= 0.99
    assert float(copying(circuit, shown)["copying"].mean(0)[1, 0]) >= 0.95
    assert float(ov_copying(circuit)[1, 0]) >= 0.95
    traced = qk_trace(circuit, looked_back(circuit, shown.tokens_NT).mean(0), shown.tokens_NT.shape[1])
    assert torch.isnan(traced[0]).all()
    assert float(traced[1, 0]) > 0.9
    assert float(traced[1, 1]) == 0
    read = compositions(circuit)
    assert float(read.k[1, 0, 0, 0]) == torch.nan_to_num(read.k, nan=-1.0).max()
    assert float(read.q[1, 0, 0, 0]) < float(read.k[1, 0, 0, 0])
    # The null: the same tokens in an order of their own in every copy.
    assert float(looks(circuit, shuffled(shown, Seed(1)))["prefix matching"].mean(0)[1, 0]) < 0.2


def test_no_pattern_outlives_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What scores hold does not grow with layers times tokens squared."""
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    mix = Attention.mix_explicitly

    def watched(self: Attention, q: Tensor, k: Tensor, v: Tensor, context: Context, tap: Any) -> Tensor:
        def look(site: str, x: Tensor) -> Tensor:
            if site == "pattern":
                alive.append(sum(each() is not None for each in seen))
                seen.append(weakref.ref(x))
            found: Tensor = tap(site, x)
            return found

        return mix(self, q, k, v, context, look)

    monkeypatch.setattr(Attention, "mix_explicitly", watched)
    net, shown = drawn("llama"), repeats(range(1, 60), 6, Seed(0))
    looks(net, shown)
    looked_back(net, shown.tokens_NT)
    copying(net, shown)
    assert len(seen) == 18 and max(alive) == 0


def repeated(losses: Tensor, shown: Repeats) -> float:
    """Mean loss of what has been said before, but for the first token of a copy, which nothing foretells."""
    places = [p for p in shown.places if (p - shown.offset) % shown.period]
    return float(losses[..., [p - 1 for p in places]].mean())


def test_leaving_out_the_head_before_is_seen_in_patterns_alone(circuit: Transformer, shown: Repeats) -> None:
    zero, frozen = (ablated_losses(circuit, shown.tokens_NT, kind) for kind in ("zero", "frozen"))
    whole = repeated(zero.whole_BT, shown)
    assert whole < 0.1
    assert repeated(zero.without_LHBT[0, 0], shown) > whole + 2
    # Its values matter to where the later head looks, and to nothing else.
    assert repeated(frozen.without_LHBT[0, 0], shown) < whole + 0.1
    for found in (zero, frozen):
        assert repeated(found.without_LHBT[1, 0], shown) > whole + 2
        assert repeated(found.without_LHBT[1, 1], shown) == pytest.approx(whole, abs=1e-5)


SHAPES = {
    "llama": {"family": "llama", "num_kv_heads": 2, "d_mlp": 24},
    "neox": {
        "family": "neox",
        "parallel_block": True,
        "norm": "layernorm",
        "mlp": "gelu",
        "d_mlp": 24,
        "mlp_bias": True,
    }
    | {"qkv_bias": True, "out_bias": True, "rotary_fraction": 0.5, "tie_embeddings": False},
    "gpt2": {
        "family": "gpt2",
        "positions": "learned",
        "max_positions": 128,
        "norm": "layernorm",
        "mlp": "gelu_tanh",
        "d_mlp": 24,
        "mlp_bias": True,
        "qkv_bias": True,
        "out_bias": True,
    },
    "window": {"family": "mistral", "window": 4, "num_kv_heads": 2, "d_mlp": 24},
    "toy": {"family": "toy", "positions": "shortformer", "mlp": "none", "smear_keys": True},
}


def drawn(kind: str) -> Transformer:
    shape = TransformerConfig(vocab_size=60, d_model=16, num_layers=3, num_heads=4, **SHAPES[kind])  # type: ignore[arg-type]  # by the table
    net = Transformer(shape, generator=torch.Generator().manual_seed(5)).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.ndim == 2 and "embed" not in name:
                parameter.mul_(12)
        net.embed.weight.mul_(30)
    return net


@torch.no_grad()
@pytest.mark.parametrize("kind", ["zero", "frozen", "mean"])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_heads_at_once_equal_one_at_a_time(shape: str, kind: Kind) -> None:
    rng = torch.Generator().manual_seed(2)
    net, tokens_BT = drawn(shape), torch.randint(60, (3, 14), generator=rng)
    for parameter in net.parameters():
        if parameter.ndim == 1:
            # Gains and biases, which a new model has at one and at nothing.
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    found = ablated_losses(net, tokens_BT, kind)
    assert torch.allclose(found.whole_BT, token_losses(net(tokens_BT), tokens_BT), atol=1e-5)
    names = [f"{layer}.pattern" for layer in range(3)]
    recorded = Plan(read=dict.fromkeys(names, keep))
    net(tokens_BT, plan=recorded)
    for layer in range(3):
        for head in range(4):

            def without(x_BTHD: Tensor, head: int = head) -> Tensor:
                gone = x_BTHD.clone()
                gone[:, :, head] = x_BTHD[:, :, head].mean((0, 1)) if kind == "mean" else 0.0
                return gone

            forced = {name: (lambda _, name=name: recorded.results[name]) for name in names if kind == "frozen"}
            plan = Plan(write={f"{layer}.result": without, **forced})
            logits = net(tokens_BT, plan=plan)
            slow = token_losses(logits, tokens_BT)
            assert torch.allclose(found.without_LHBT[layer, head], slow, atol=1e-5), (layer, head)
    assert (found.without_LHBT - found.whole_BT).abs().max() > 0.01
    some = ablated_losses(net, tokens_BT, kind, at=[2, 9, 12])
    for few, all_ in zip(some, found, strict=True):
        assert torch.allclose(few, all_[..., [2, 9, 12]], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_scores_of_circuits_equal_those_of_vocabulary_by_vocabulary(shape: str) -> None:
    net = drawn(shape)
    with torch.no_grad():
        net.ln_f.weight.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]  # a norm's gain
    embed, unembed = net.embed.weight.double(), net.w_u.double() * net.ln_f.weight.double()  # type: ignore[operator, union-attr]
    centred = net.config.norm == "layernorm"
    if centred:
        unembed = unembed - unembed.mean(-1, keepdim=True)
    copies, traces = ov_copying(net), qk_trace(net, torch.rand(3, 4, generator=torch.Generator().manual_seed(0)), 4)
    back = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)).double()
    moved = torch.zeros(16, 16, dtype=torch.double)
    for layer in range(3):
        attn = cast(Block, net.blocks[layer]).attn
        share = attn.num_heads // attn.num_kv_heads
        for head in range(4):
            q, k, v = attn.w_q[head].double(), attn.w_k[head // share].double(), attn.w_v[head // share].double()
            if centred:
                q, k, v = (m - m.mean(-1, keepdim=True) for m in (q, k, v))
            ov = unembed @ attn.w_o[head].double() @ v @ embed.T
            assert float(copies[layer, head]) == pytest.approx(share_of(ov), abs=1e-3)
            if layer:
                assert float(traces[layer, head]) == pytest.approx(
                    share_of(embed @ q.T @ k @ moved @ embed.T), abs=1e-3
                )
        for head in range(4):
            v = attn.w_v[head // share].double()
            v = v - v.mean(-1, keepdim=True) if centred else v
            moved = moved + back[layer, head] * attn.w_o[head].double() @ v


def share_of(whole: Tensor) -> float:
    values = torch.linalg.eigvals(whole)
    return float(values.real.sum() / values.abs().sum())


@torch.no_grad()
def test_composition_equals_norms_of_whole_maps() -> None:
    net = drawn("toy")
    found = compositions(net)
    apart = []
    maps = [cast(Block, block).attn for block in net.blocks]
    qk = [[a.w_q[h].T @ a.w_k[h] for h in range(4)] for a in maps]
    ov = [[a.w_o[h] @ a.w_v[h] for h in range(4)] for a in maps]
    for layer, head, before, other in ((1, 2, 0, 3), (2, 0, 1, 1), (2, 3, 0, 0)):
        one, two, out = qk[layer][head], ov[before][other], ov[layer][head]
        scale = two.norm() * one.norm()
        whole = (
            (one.T @ two).norm() / scale,
            (one @ two).norm() / scale,
            (out @ two).norm() / (out.norm() * two.norm()),
        )
        read = (each[layer, head, before, other] for each in found)
        apart += [float(a - b) for a, b in zip(whole, read, strict=True)]
    # All are off by one and the same number, what random maps have.
    assert max(apart) - min(apart) < 1e-4
    assert 0.1 < apart[0] < 0.6
    assert torch.isnan(found.k[1, 0, 1, 0]) and torch.isnan(found.k[0, 0, 1, 0])


@torch.no_grad()
@settings(max_examples=4, deadline=None)
@given(st.permutations(range(60)), st.sampled_from(sorted(SHAPES)))
def test_what_tokens_are_called_moves_no_score(names: list[int], shape: str) -> None:
    shown, net, renamed = repeats(range(60), 2, Seed(0), period=12, times=3), drawn(shape), drawn(shape)
    renamed.embed.weight[names] = net.embed.weight.clone()
    if renamed.unembed is not None and net.unembed is not None:
        renamed.unembed.weight[names] = net.unembed.weight.clone()
    again = shown._replace(tokens_NT=torch.tensor(names)[shown.tokens_NT])
    for read in (looks, copying):
        one, two = read(net, shown), read(renamed, again)
        for kind in one:
            torch.testing.assert_close(one[kind], two[kind], atol=1e-4, rtol=0, equal_nan=True)
    torch.testing.assert_close(ov_copying(net), ov_copying(renamed), atol=1e-4, rtol=0)
    lost = [
        ablated_losses(of, tokens.tokens_NT, "zero").without_LHBT for of, tokens in ((net, shown), (renamed, again))
    ]
    torch.testing.assert_close(*lost, atol=1e-3, rtol=0)


def test_repeats_differ_within_a_block_and_tokens_must_be_many() -> None:
    shown = repeats(range(100), 3, Seed(4), period=10, times=3)
    assert shown.offset == 0 and shown.places == list(range(10, 30))
    for row in shown.tokens_NT.tolist():
        assert row[:10] == row[10:20] == row[20:] and len(set(row)) == 10
    mixed = shuffled(shown, Seed(0)).tokens_NT
    assert [sorted(row[:10]) for row in mixed.tolist()] == [sorted(row[:10]) for row in shown.tokens_NT.tolist()]
    assert PLACES >= 101


def test_a_vocabulary_too_small_is_refused(tmp_path: object) -> None:
    from gnomon.explain.induction.sequences import plain_tokens

    class Few:
        bos_id, eos_ids, vocab_size = 0, (1,), 40

        class backend:
            @staticmethod
            def get_added_tokens_decoder() -> dict[int, object]:
                return {}

    with pytest.raises(DataError, match="the tokenizer has 38 tokens of text, and random sequences need 50"):
        plain_tokens(Few())  # type: ignore[arg-type]  # what it reads
