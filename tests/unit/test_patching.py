"""Patching: sites side by side equal one forward a site, and in a circuit set by hand the difference is where it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnomon.core.errors import UsageError
from gnomon.models.hooks import Plan, keep
from gnomon.models.patching import Site, patch
from gnomon.models.transformer import Transformer
from tests.unit._wired import wired
from tests.unit.test_attribution import drawn

HOOKS = {"residual": "resid_pre", "attention": "attn_out", "mlp": "mlp_out", "head": "result"}


def texts() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(8)
    clean, corrupt = torch.randint(60, (2, 7), generator=rng)
    return clean, corrupt


def one_at_a_time(net: Transformer, clean: Tensor, corrupt: Tensor, site: Site) -> Tensor:
    """The oracle: a forward of the corrupt text that writes the clean activation."""
    name = f"{site.layer}.{HOOKS[site.kind]}"
    whole = Plan(read={name: keep})
    net(clean[None], plan=whole)

    def put(x: Tensor) -> Tensor:
        changed = x.clone()
        at = slice(None) if site.position is None else site.position
        where = (0, at, site.head) if site.kind == "head" else (0, at)
        changed[where] = whole.results[name][where]
        return changed

    logits: Tensor = net(corrupt[None], plan=Plan(write={name: put}))
    return logits[0, -1]


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "mistral", "gnomon-attn"])
def test_all_sites_at_once_equal_one_at_a_time(family: str) -> None:
    net, (clean, corrupt) = drawn(family), texts()
    kinds = ("residual", "attention") if net.config.mlp == "none" else ("residual", "attention", "mlp")
    sites = [Site(kind, layer, at) for layer in range(3) for kind in kinds for at in (0, 3, 6, None)]  # type: ignore[arg-type]  # by the table
    sites += [Site("head", layer, at, head) for layer in (0, 2) for head in (0, 3) for at in (None, 5)]
    found = patch(net, clean, corrupt, sites) @ net.w_u.T
    slow = torch.stack([one_at_a_time(net, clean, corrupt, site) for site in sites])
    torch.testing.assert_close(found, slow, atol=1e-5, rtol=1e-5)
    assert (found - net(corrupt[None])[0, -1]).abs().amax(-1).max() > 0.1


def test_all_of_the_residual_stream_is_the_clean_run() -> None:
    net, (clean, corrupt) = drawn("llama"), texts()
    found = patch(net, clean, corrupt, [Site("residual", layer) for layer in range(3)]) @ net.w_u.T
    torch.testing.assert_close(found, net(clean[None])[0, -1].expand(3, -1), atol=1e-5, rtol=1e-5)


def test_in_the_circuit_set_by_hand_one_head_carries_the_difference() -> None:
    """Both texts end in token 1, which 2 followed in the clean one and 9 in the other."""
    clean, corrupt = torch.tensor([5, 1, 2, 6, 7, 1]), torch.tensor([5, 1, 9, 6, 7, 1])
    net = wired()
    heads = [Site("head", layer, None, head) for layer in (0, 1) for head in (0, 1)]
    tokens = [Site("residual", 0, at) for at in range(6)]
    logits = patch(net, clean, corrupt, heads + tokens) @ net.w_u.T
    differs = logits[:, 2] - logits[:, 9]
    assert (differs > 1).nonzero()[:, 0].tolist() == [2, 6]


def test_texts_and_sites_that_do_not_fit_are_refused() -> None:
    net, (clean, corrupt) = drawn("gnomon-attn"), texts()
    with pytest.raises(UsageError, match="the clean text has 6 tokens and the corrupt one 7"):
        patch(net, clean[:6], corrupt, [])
    for site in (Site("residual", 3), Site("residual", 0, 7), Site("head", 0, None, 4), Site("mlp", 0, 1)):
        with pytest.raises(UsageError, match=f"there is no Site.kind='{site.kind}'"):
            patch(net, clean, corrupt, [site])
