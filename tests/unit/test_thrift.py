"""Less memory for the same numbers, and bfloat16 only where there is any."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gnomon.core.errors import UsageError
from gnomon.learn import thrift
from gnomon.learn.loop import Fit, fit
from gnomon.learn.optim import Optim
from gnomon.learn.thrift import recomputed
from gnomon.train.sft import Sft
from tests.unit._ranks import KINDS, Log, make


@pytest.mark.parametrize("kind", KINDS)
def test_activations_computed_again_give_the_same_weights(kind: str) -> None:
    found = []
    for recompute in (False, True):
        model, step, lay, things = make(kind)
        plan = Fit(num_steps=4, optim=Optim(warmup_steps=1), recompute=recompute)
        fit(step, lambda i, lay=lay, things=things: lay(things(i), of=things(i)), model, fit=plan, log=Log())
        found.append(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(found[0].values(), found[1].values(), strict=True))


def test_what_is_kept_for_the_gradient_is_less_inside_only() -> None:
    def kept() -> int:
        sizes: list[int] = []
        model, step, lay, things = make("sft")
        with (
            recomputed(model, wanted),
            torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t),
        ):
            step(model, lay(things(0)))
        assert all("forward" not in vars(module) for module in model.modules())
        return sum(sizes)

    wanted = False
    whole = kept()
    wanted = True
    assert kept() < 0.5 * whole


def test_bfloat16_is_refused_where_it_would_be_imitated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(thrift, "has_bfloat16", lambda: False)
    model, step, lay, things = make("sft")
    with pytest.raises(UsageError, match=r"no bfloat16 \(AVX-512 BF16 or AMX\); leave --bf16 out"):
        fit(step, lambda i: lay(things(i)), model, fit=Fit(num_steps=1, bf16=True))


def test_the_flag_reaches_the_fit() -> None:
    from gnomon.core.seeds import Seed
    from gnomon.learn.batches import Epochs
    from gnomon.train._fitting import plan_of

    plan = plan_of(Sft(recompute=True, bf16=True), Epochs(10, 2, Seed(0)))
    assert plan.recompute and plan.bf16
