"""Hooks show what the reference implementation shows, change what they are told to, and cost nothing unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor
from torch.nn import functional as F

from gnomon.core.errors import ModelError, UsageError
from gnomon.models.families import load_folder
from gnomon.models.hooks import Plan, check_finite, hook_names, keep
from gnomon.models.transformer import KVCache, Transformer, TransformerConfig

_SHAPE: dict[str, Any] = {
    "vocab_size": 50,
    "d_model": 32,
    "num_layers": 3,
    "num_heads": 4,
    "num_kv_heads": 2,
    "d_mlp": 40,
    "max_positions": 64,
}
_KINDS: dict[str, dict[str, Any]] = {
    "llama": _SHAPE,
    "window": _SHAPE | {"window": 4},
    "parallel": _SHAPE | {"parallel_block": True, "norm": "layernorm", "mlp": "gelu", "out_bias": True},
    "learned": _SHAPE | {"positions": "learned", "mlp": "gelu_tanh", "qkv_bias": True},
    "toy": _SHAPE | {"mlp": "none", "positions": "shortformer", "smear_keys": True},
}


@pytest.fixture(params=_KINDS)
def model(request: pytest.FixtureRequest) -> Transformer:
    """One model of each kind."""
    return _model(request.param)


def _model(kind: str) -> Transformer:
    torch.manual_seed(1)
    model = Transformer(TransformerConfig(**_KINDS[kind])).requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def _tokens(count: int = 9) -> Tensor:
    return torch.randint(0, 50, (2, count), generator=torch.Generator().manual_seed(count))


def test_reading_everything_changes_nothing(model: Transformer) -> None:
    names, tokens = hook_names(model.config), _tokens()
    plan = Plan(read=dict.fromkeys(names, keep))
    logits = model(tokens, plan=plan)
    torch.testing.assert_close(logits, model(tokens), atol=1e-5, rtol=0)
    assert list(plan.results) == names
    assert torch.equal(plan.results["logits"], logits)


def test_activations_fit_together(model: Transformer) -> None:
    plan = Plan(read=dict.fromkeys(hook_names(model.config), keep))
    tokens = _tokens()
    model(tokens, plan=plan)
    got = plan.results
    pattern, z = got["1.pattern"], got["1.z"]
    assert pattern.shape == (2, 4, 9, 9) and z.shape == (2, 4, 9, 8) and got["1.v"].shape == (2, 2, 9, 8)
    torch.testing.assert_close(pattern, got["1.scores"].softmax(-1))
    torch.testing.assert_close(z, pattern @ got["1.v"].repeat_interleave(2, 1))
    scores = got["1.q"] @ got["1.k"].repeat_interleave(2, 1).mT / 8**0.5
    seen = got["1.scores"].isfinite()
    torch.testing.assert_close(got["1.scores"][seen], scores[seen])
    bias = model.blocks[1].attn.out.bias
    summed = got["1.result"].sum(2)
    torch.testing.assert_close(got["1.attn_out"], summed if bias is None else summed + bias)
    torch.testing.assert_close(got["1.resid_mid"], got["1.resid_pre"] + got["1.attn_out"])
    mlp = got.get("1.mlp_out", torch.zeros(()))
    torch.testing.assert_close(got["1.resid_post"], got["1.resid_mid"] + mlp)
    torch.testing.assert_close(got["2.resid_pre"], got["1.resid_post"])
    torch.testing.assert_close(got["logits"], got["ln_f"] @ model.w_u.T)


def test_hooks_under_a_cache_padding_and_places(model: Transformer) -> None:
    tokens, cache, hooked = _tokens(), KVCache(3), KVCache(3)
    everything = dict.fromkeys(hook_names(model.config), keep)
    for piece in (tokens[:, :4], tokens[:, 4:5], tokens[:, 5:]):
        plan = Plan(read=everything)
        got = model(piece, cache=hooked, plan=plan)
        torch.testing.assert_close(got, model(piece, cache=cache), atol=1e-5, rtol=0)
    assert plan.results["0.pattern"].shape == (2, 4, 4, 9)
    mask = torch.ones(9, 9, dtype=torch.bool).tril()[None, None].repeat(2, 1, 1, 1)
    mask[0, :, :, :3] = False
    at = torch.tensor([[0, 8], [1, 2]])
    plan = Plan(read=everything)
    got = model(tokens, mask=mask, at=at, plan=plan)
    torch.testing.assert_close(got, model(tokens, mask=mask, at=at), atol=1e-5, rtol=0)
    assert plan.results["0.pattern"][0, :, :3].abs().max() == 0
    assert plan.results["logits"].shape == (2, 50)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_reads_equal_the_reference(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    if family == "gpt2":
        config: Any = hf.GPT2Config(vocab_size=50, n_embd=32, n_layer=3, n_head=4, n_positions=64)
    else:
        sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}
        config = hf.LlamaConfig(vocab_size=50, num_key_value_heads=2, **sizes)
    reference = hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    reference.save_pretrained(tmp_path)
    ours, tokens = load_folder(tmp_path).requires_grad_(False), _tokens()
    plan = Plan(read=dict.fromkeys(hook_names(ours.config), keep))
    ours(tokens, plan=plan)
    with torch.no_grad():
        expected = reference(tokens, output_attentions=True, output_hidden_states=True)
    for layer in range(3):
        torch.testing.assert_close(plan.results[f"{layer}.pattern"], expected.attentions[layer], atol=1e-5, rtol=0)
        torch.testing.assert_close(plan.results[f"{layer}.resid_pre"], expected.hidden_states[layer], atol=1e-5, rtol=0)
    torch.testing.assert_close(plan.results["ln_f"], expected.hidden_states[-1], atol=1e-5, rtol=0)


def test_a_head_can_be_silenced_in_three_ways(model: Transformer) -> None:
    tokens = _tokens()

    def silence_z(z: Tensor) -> Tensor:
        z = z.clone()
        z[:, 2] = 0
        return z

    def silence_result(result: Tensor) -> Tensor:
        result = result.clone()
        result[:, :, 2] = 0
        return result

    def blind(pattern: Tensor) -> Tensor:
        pattern = pattern.clone()
        pattern[:, 2] = 0
        return pattern

    writes = {"1.z": silence_z, "1.result": silence_result, "1.pattern": blind}
    got = [model(tokens, plan=Plan(write={name: fn})) for name, fn in writes.items()]
    torch.testing.assert_close(got[0], got[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(got[0], got[2], atol=1e-5, rtol=0)
    assert (got[0] - model(tokens)).abs().max() > 1e-3


def test_every_site_can_be_written(model: Transformer) -> None:
    tokens = _tokens()
    plain = model(tokens)
    for name in hook_names(model.config):
        plan = Plan(read={name: keep}, write={name: lambda x: x.roll(1, -1) * 1.5})
        changed = model(tokens, plan=plan)
        assert not torch.allclose(changed, plain, atol=1e-4), name
        as_it_was = model(tokens, plan=Plan(write={name: lambda x: x.clone()}))
        torch.testing.assert_close(as_it_was, plain, atol=1e-5, rtol=0)


def test_written_values_are_what_is_read() -> None:
    plan = Plan(read={"0.z": keep}, write={"0.z": torch.zeros_like})
    _model("llama")(_tokens(), plan=plan)
    assert plan.results["0.z"].abs().max() == 0


def test_reducers_keep_only_what_they_return() -> None:
    plan = Plan(read={"2.pattern": lambda pattern: pattern.diagonal(-1, 2, 3).mean((0, 2))})
    _model("llama")(_tokens(), plan=plan)
    assert plan.results.keys() == {"2.pattern"} and plan.results["2.pattern"].shape == (4,)


def test_a_stopped_forward_returns_where_it_stopped(model: Transformer) -> None:
    tokens = _tokens()
    full = Plan(read=dict.fromkeys(hook_names(model.config), keep))
    model(tokens, plan=full)
    later = Plan(read=dict.fromkeys(["1.pattern", "2.pattern", "logits"], keep), stop_at="1.pattern")
    torch.testing.assert_close(model(tokens, plan=later), full.results["1.pattern"], atol=1e-6, rtol=1e-5)
    assert later.results.keys() == {"1.pattern"}


def test_a_plan_used_again_forgets_the_last_forward() -> None:
    plan = Plan(read={"0.z": keep, "2.z": keep})
    _model("llama")(_tokens(), plan=plan)
    plan.stop_at = "1.z"
    _model("llama")(_tokens(), plan=plan)
    assert plan.results.keys() == {"0.z"}


def test_layers_without_requests_stay_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    fused, calls = F.scaled_dot_product_attention, [0]

    def count(*args: Any, **how: Any) -> Tensor:
        calls[0] += 1
        return fused(*args, **how)

    monkeypatch.setattr(F, "scaled_dot_product_attention", count)
    model = _model("llama")
    for read, expected in [([], 3), (["1.q", "0.result", "2.mlp_post"], 3), (["1.pattern"], 2), (["0.scores"], 2)]:
        calls[0] = 0
        plan = Plan(read=dict.fromkeys(read, keep))
        model(_tokens(), plan=plan)
        assert calls[0] == expected
        # What was not fused is said.
        assert len(plan.explicit) == 3 - expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [("1.patern", "did you mean '1.pattern'?"), ("3.pattern", "did you mean '2.pattern'?")],
)
def test_unknown_names(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        _model("llama")(_tokens(), plan=Plan(read={name: keep}))
    assert str(error.value) == f"no hook is called {name!r} in this model; {hint}"


def test_sites_that_a_shape_lacks_are_unknown() -> None:
    with pytest.raises(UsageError, match=r"no hook is called '0\.mlp_post'"):
        _model("toy")(_tokens(), plan=Plan(stop_at="0.mlp_post"))
    with pytest.raises(UsageError, match="no hook is called 'pos_embed'"):
        _model("llama")(_tokens(), plan=Plan(stop_at="pos_embed"))


def test_stopping_would_leave_a_cache_half_filled() -> None:
    with pytest.raises(UsageError, match=r"stops at '0\.z' would leave the cache half filled"):
        _model("llama")(_tokens(), cache=KVCache(3), plan=Plan(stop_at="0.z"))


def test_patterns_that_memory_does_not_hold_are_refused_before_they_are_made() -> None:
    model, tokens = Transformer(TransformerConfig(**_SHAPE | {"max_positions": 1 << 20})), _tokens()
    many = torch.zeros(64, 1 << 19, dtype=torch.long)
    with pytest.raises(UsageError, match=r"to keep 2 scores or patterns of 4 heads on 64 texts of 524288 tokens takes"):
        model(many, plan=Plan(read={"0.pattern": keep, "1.scores": keep, "2.z": keep}))
    # A reducer holds what it returns.
    model(tokens, plan=Plan(read={"0.pattern": Tensor.mean, "1.scores": keep}))


@pytest.mark.parametrize("site", ["embed", "0.q", "1.v", "1.mlp_out"])
def test_the_first_activation_that_is_no_number_is_named(site: str) -> None:
    model, tokens = _model("llama"), _tokens()
    check_finite(model, tokens)
    block = model.blocks[int(site[0])] if site != "embed" else None
    with torch.no_grad():
        if block is None:
            model.embed.weight[tokens[0, 0]] = torch.inf
        elif site == "1.mlp_out":
            block.mlp.down.weight[0, 0] = torch.nan  # type: ignore[union-attr, index]  # a block's
        else:
            # Queries are a block's first maps, values its last.
            block.attn.qkv.weight[0 if site == "0.q" else -1] = torch.nan  # type: ignore[union-attr, index]  # a block's
    with pytest.raises(ModelError, match=f"activations are infinite or no numbers, the first at {site};"):
        check_finite(model, tokens)
