"""Two processes learn from the answers, and to the policy, that one does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gnomon.learn.heads import ScalarHead, save_head
from gnomon.train._running import run_training
from tests.unit._rlhf_ranks import CASES, configured, logged
from tests.unit.test_parallel import together
from tests.unit.test_rlhf import saved


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A policy, and a preference model whose scalar is drawn at random."""
    policy, valued = (saved(tmp_path_factory.mktemp(name)) for name in ("policy", "valued"))
    head = ScalarHead(16)
    torch.nn.init.normal_(head.out.weight, generator=torch.Generator().manual_seed(1))
    save_head(head, valued, read_at="<eoc>")
    return f"hf:{policy}", f"hf:{valued}"


@pytest.fixture(scope="module")
def two(models: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes found, started by torchrun."""
    folder = tmp_path_factory.mktemp("two")
    done = together(Path(__file__).with_name("_rlhf_ranks.py"), *models, folder)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


@pytest.mark.parametrize("name", CASES)
def test_two_processes_log_what_one_logs(
    two: dict[str, Any], models: tuple[str, str], name: str, tmp_path: Path
) -> None:
    assert two["size"] == 2
    run_training(configured(*models, name), "rlhf", root=tmp_path)
    alone = logged(tmp_path)
    # The root of a KL that is rounding is no number to compare.
    compared = {key: value for key, value in alone.items() if "sqrt_kl" not in key}
    assert len(compared) > 60
    assert max(value for key, value in alone.items() if key.endswith(" kl")) > 1e-4, "nothing was learnt"
    assert {key: two[name][key] for key in compared} == pytest.approx(compared, abs=1e-5, rel=1e-4)
    assert two[name].keys() == alone.keys()


def test_two_processes_that_are_stopped_in_a_round_go_on_to_the_bit(two: dict[str, Any]) -> None:
    assert two["told"] == "stopped after step 4 of 12; run the same command to go on"
    assert two["same"]
