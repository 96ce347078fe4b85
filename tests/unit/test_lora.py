"""Low-rank updates: nothing at the start, the same when merged, and alone in what moves and in what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

from gnomon.core.errors import ModelError, UsageError
from gnomon.learn.checkpoint import load_state, save_state
from gnomon.learn.lora import LowRank, adapted, add_low_rank, merge_low_rank, save_adapter, twin, without_update
from gnomon.learn.optim import Optim, adamw
from gnomon.models.families import load_folder, save_folder
from gnomon.models.transformer import Transformer, TransformerConfig
from gnomon.train._running import run_training
from gnomon.train.sft import Sft

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"num_kv_heads": 2},
    "gpt2": {"norm": "layernorm", "positions": "learned", "qkv_bias": True, "out_bias": True, "mlp": "gelu_tanh"},
    "gpt_neox": {"norm": "layernorm", "rotary_fraction": 0.5, "qkv_bias": True, "out_bias": True, "mlp": "gelu"},
}
TOKENS = torch.arange(3, 23).view(2, 10)


def network(family: str = "llama") -> Transformer:
    more = dict(FAMILIES[family])
    more |= {} if family == "llama" else {"mlp_bias": True}
    more |= {"tie_embeddings": False, "parallel_block": True} if family == "gpt_neox" else {}
    config = TransformerConfig(
        vocab_size=30, d_model=16, num_layers=2, num_heads=4, d_mlp=24, max_positions=32, family=family, **more
    )
    return Transformer(config, generator=torch.Generator().manual_seed(0))


def updated(family: str = "llama") -> Transformer:
    """A network with updates that are not zero."""
    net = network(family)
    torch.manual_seed(1)
    add_low_rank(net, 3)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, LowRank):
                module.up.normal_(0.0, 0.1)
    return net


def test_at_the_start_it_is_the_model_that_was_given() -> None:
    net = network()
    before = net(TOKENS)
    add_low_rank(net, 3)
    assert torch.equal(net(TOKENS), before)


def test_only_the_updates_have_gradients() -> None:
    net = updated()
    net(TOKENS).square().mean().backward()
    moved = {name for name, p in net.named_parameters() if p.grad is not None and bool(p.grad.any())}
    maps = [f"blocks.{i}.{m}" for i in range(2) for m in ("attn.qkv", "attn.out", "mlp.up", "mlp.down")]
    assert moved == {f"{m}.{side}" for m in maps for side in ("down", "up")}
    assert moved == {name for name, p in net.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_it_says_the_same(family: str) -> None:
    net = updated(family)
    want = net(TOKENS)
    assert not torch.allclose(want, network(family)(TOKENS), atol=1e-3)
    merge_low_rank(net)
    torch.testing.assert_close(net(TOKENS), want, atol=1e-5, rtol=0)
    assert net.state_dict().keys() == network(family).state_dict().keys()
    assert all(p.requires_grad for p in net.parameters())


def test_a_map_that_is_cut_in_pieces_is_cut_with_its_update() -> None:
    config = TransformerConfig(
        vocab_size=30, d_model=16, num_layers=1, num_heads=4, mlp="none", positions="shortformer"
    )
    net = Transformer(config, generator=torch.Generator().manual_seed(0))
    add_low_rank(net, 3)
    with torch.no_grad():
        net.blocks[0].attn.qkv.up.normal_(0.0, 0.1)  # type: ignore[union-attr]  # an attention's, not a tensor's
    want = net(TOKENS)
    merge_low_rank(net)
    torch.testing.assert_close(net(TOKENS), want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_adapter_holds_the_difference_to_the_merged_model(family: str, tmp_path: Path) -> None:
    net = updated(family)
    save_adapter(net, tmp_path / "adapter", base="some/model")
    save_folder(network(family), tmp_path / "base")
    merge_low_rank(net)
    save_folder(net, tmp_path / "merged")
    adapter = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    base, merged = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "merged"))
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    places = {name.removesuffix(".lora_A.weight") for name in adapter if name.endswith(".lora_A.weight")}
    assert {f"{place.removeprefix('base_model.model.')}.weight" for place in places} == changed
    for place in places:
        update = adapter[f"{place}.lora_B.weight"] @ adapter[f"{place}.lora_A.weight"]
        name = f"{place.removeprefix('base_model.model.')}.weight"
        want = base[name] + (update.T if config["fan_in_fan_out"] else update) * config["lora_alpha"] / config["r"]
        torch.testing.assert_close(merged[name], want, atol=1e-6, rtol=0)
        assert place.rpartition(".")[2] in config["target_modules"]
    assert config["base_model_name_or_path"] == "some/model"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_is_read_back_over_shared_weights(family: str, tmp_path: Path) -> None:
    net, base = updated(family), network(family)
    save_adapter(net, tmp_path, base="some/model")
    found = adapted(base, tmp_path)
    torch.testing.assert_close(found(TOKENS), net(TOKENS), atol=1e-5, rtol=0)
    assert torch.equal(base(TOKENS), network(family)(TOKENS))
    own = {id(p) for p in found.parameters()} - {id(p) for p in base.parameters()}
    assert own == {id(p) for m in found.modules() if isinstance(m, LowRank) for p in (m.down, m.up)}


def test_an_adapter_of_single_maps_with_a_scale_is_read(tmp_path: Path) -> None:
    """As PEFT writes those of queries and values alone, each with a first matrix of its own."""
    draw = torch.Generator().manual_seed(5)
    place = "base_model.model.model.layers.1.self_attn"
    shapes = {"q_proj.lora_A": (2, 16), "q_proj.lora_B": (16, 2), "v_proj.lora_A": (2, 16), "v_proj.lora_B": (8, 2)}
    tensors = {f"{place}.{name}.weight": torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none", "target_modules": ["q_proj", "v_proj"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    base, by_hand = network(), network()
    with torch.no_grad():
        weight = by_hand.blocks[1].attn.qkv.weight  # type: ignore[union-attr]  # a block's
        for name, rows in (("q_proj", slice(0, 16)), ("v_proj", slice(24, 32))):
            up, down = (tensors[f"{place}.{name}.lora_{side}.weight"] for side in "BA")
            weight[rows] += 3 * up @ down
    torch.testing.assert_close(adapted(base, tmp_path)(TOKENS), by_hand(TOKENS), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"use_dora": True}, "the adapter is of type LORA with use_dora; give one of plain low-rank updates"),
        ({"peft_type": "IA3"}, "the adapter is of type IA3"),
        ({"bias": "all"}, "with bias"),
        ({"r": None}, "no PEFT adapter can be read"),
    ],
)
def test_an_adapter_that_is_more_than_a_sum_is_refused(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    save_adapter(updated(), tmp_path, base="some/model")
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=told):
        adapted(network(), tmp_path)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    save_adapter(updated("gpt2"), tmp_path / "other", base="some/model")
    with pytest.raises(ModelError, match=r"changes transformer\.h\.0\.attn\.c_attn\.lora_A, which is no linear"):
        adapted(network(), tmp_path / "other")
    with pytest.raises(ModelError, match="no PEFT adapter can be read"):
        adapted(network(), tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_its_update_it_is_the_model_that_was_given_and_holds_no_copy(family: str) -> None:
    net, given = updated(family), network(family)
    count = sum(p.numel() for p in net.parameters())
    with without_update(net) as first:
        assert first is net
        assert torch.equal(net(TOKENS), given(TOKENS))
    assert not torch.allclose(net(TOKENS), given(TOKENS), atol=1e-3)
    pairs = sum(m.up.numel() + m.down.numel() for m in net.modules() if isinstance(m, LowRank))
    assert count == sum(p.numel() for p in given.parameters()) + pairs


def test_a_twin_learns_by_itself_over_the_same_weights() -> None:
    net = updated()
    other = twin(net)
    assert torch.equal(other(TOKENS), net(TOKENS))
    shared = {id(p) for p in net.parameters()} & {id(p) for p in other.parameters()}
    assert shared == {id(p) for p in net.parameters() if not p.requires_grad}
    with torch.no_grad():
        for module in other.modules():
            if isinstance(module, LowRank):
                module.up.zero_()
    assert not torch.allclose(other(TOKENS), net(TOKENS), atol=1e-3)


def test_one_stream_is_drawn_through_the_update() -> None:
    """The forward for a lone row reads plain maps only."""
    from gnomon.models.onerow import OneRow

    assert OneRow.fits(network()) and not OneRow.fits(updated())


def test_the_state_holds_what_moves_and_goes_back_into_the_same(tmp_path: Path) -> None:
    net = updated()
    save_state(tmp_path / "state.safetensors", net, adamw(net.parameters(), Optim()), step=4)
    kept = load_file(tmp_path / "state.safetensors")
    assert all(name == "rng" or name.endswith((".down", ".up")) for name in kept)
    other = network()
    add_low_rank(other, 3)
    assert load_state(tmp_path / "state.safetensors", other, adamw(other.parameters(), Optim())).step == 4
    assert torch.equal(other(TOKENS), net(TOKENS))


@pytest.mark.parametrize("method", ["sft", "preference"])
def test_a_training_moves_what_it_may_and_leaves_model_and_adapter(
    tiny: str, method: Literal["sft", "preference"], tmp_path: Path
) -> None:
    from gnomon.train.preference import Preference

    data: Any = {"model": tiny, "held_out": 20, "lora": 4, "peak_rate": 3e-3, "accumulate": 2}
    config = Sft(dialogues=200, **data) if method == "sft" else Preference(pairs=200, **data)
    done = run_training(config, method, root=tmp_path)
    before = load_folder(tiny.removeprefix("hf:"))
    after = load_folder(done.manifest.folder / "checkpoint")
    still = {name for name, p in before.named_parameters() if torch.equal(p, after.get_parameter(name))}
    assert {name for name, _ in before.named_parameters()} - still == {
        f"blocks.{i}.{m}.weight" for i in range(2) for m in ("attn.qkv", "attn.out", "mlp.up", "mlp.down")
    }
    update = after.blocks[0].mlp.up.weight - before.blocks[0].mlp.up.weight  # type: ignore[union-attr]  # a block's
    assert int(torch.linalg.matrix_rank(update, rtol=1e-3)) == 4
    assert (done.manifest.folder / "adapter" / "adapter_model.safetensors").is_file()
    if method == "sft":
        gained = done.report.estimate("held-out loss gained")
        assert gained.low is not None
        assert gained.low > 0


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="--lora is -1; give 0 or more"):
        Sft(lora=-1)
    with pytest.raises(UsageError, match="--accumulate is 0; give 1 or more"):
        Sft(accumulate=0)
