"""Pre-training of preference models finds what is planted: what saves comparisons, and what costs some."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.report.base import Estimate
from gnomon.study.pmp import Pmp, study


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_votes_save_three_comparisons_in_four_and_a_reversed_order_costs_some(tmp_path: Path) -> None:
    cfg = Pmp(without=(1000,))
    report = study(cfg, tmp_path, 2).report

    def estimate(metric: str, group: str) -> tuple[float, float, float]:
        found: Estimate = report.estimate(metric, group)
        assert found.value is not None and found.low is not None and found.high is not None
        assert found.n == cfg.seeds
        return found.low, found.value, found.high

    mixture = "brook:forum+brook:vandal, ranked"
    for n in cfg.n:
        low, _, _ = estimate("accuracy gained by pre-training", f"{mixture}, n={n}")
        assert low > 0
    for arm in (mixture, "brook:forum, ranked", "brook:forum, binary"):
        _, ahead, _ = estimate("accuracy above 1000 comparisons without", f"{arm}, n=250")
        assert ahead > 0, "250 after pre-training are worth less than 1,000 without"
    # Voters order closing sentences otherwise than the target.
    _, _, high = estimate("binary above ranked pre-training, n up to 250", "brook:forum")
    assert high > 0, "binary is worse than ranked"
    _, _, high = estimate("accuracy gained by pre-training", "brook:flatterers, ranked, n=100")
    assert high < 0
    _, level, _ = estimate("accuracy", "brook:flatterers, ranked, n=0")
    assert level < 0.4, "an order that is reversed is worse than none"
