"""Does a policy learn what a preference model values, and is it what the planted rater means?"""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.train._running import run_training
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf
from gnomon.train.sft import Sft


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ppo_raises_the_gold_utility_of_a_mixed_assistant(tmp_path: Path) -> None:
    mixed = run_training(Sft(best_of=1, dialogues=2000, held_out=20), "sft", root=tmp_path)
    valued = run_training(Preference(held_out=100), "preference", root=tmp_path)
    names = [f"hf:{done.manifest.folder / 'checkpoint'}" for done in (mixed, valued)]
    cfg = Rlhf(model=names[0], reward=names[1], rounds=50, budget=0.0, held_out=300)
    report = run_training(cfg, "rlhf", root=tmp_path).report
    gained, kl = report.estimate("gold utility gained"), report.estimate("KL")
    assert gained.value is not None
    assert gained.value >= 0.5
    assert gained.low is not None
    assert gained.low > 0
    assert kl.value is not None
    assert 0.5 < kl.value < 30
    fit = report.estimate("reward on sqrt(KL): R2").value
    assert fit is not None
    # Rounds differ in what they ask, and the values of different questions share no zero: 0.83 to 0.94 in three runs.
    assert fit > 0.75
