"""The way of a policy: lines that were planted in it are found, and where two values part."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from gnomon.train._curve import Reading, fallen, figure, fits, line, onset, since_best, together


def readings(reward: Callable[[float], float], *, test: Callable[[float], float] | None = None) -> list[Reading]:
    """Twelve readings of thirty questions, which differ in their zeros and in noise that has no mean."""
    found = []
    for i in range(12):
        kl = i**2 / 50
        own = np.linspace(-2, 2, 30)
        noise = 0.2 * np.cos(np.arange(30) * (i + 1) * np.pi / 2.5)
        values = {"reward": reward(math.sqrt(kl)) + own + noise - noise.mean()}
        if test:
            values["run:test"] = test(math.sqrt(kl)) - own
        found.append(Reading(i * 5, np.full(30, kl), values, [str(q) for q in range(30)]))
    return found


def test_the_fit_finds_a_planted_line_in_the_root_of_kl() -> None:
    curve = readings(lambda root: 2 * root - 1)
    found = {e.metric: e for e in fits(curve)}
    slope, explained = found["reward on sqrt(KL): slope"], found["reward on sqrt(KL): R2"]
    assert slope.value == pytest.approx(2)
    assert slope.low is not None and slope.high is not None
    assert slope.low < 2 < slope.high
    assert explained.value == pytest.approx(1)
    for other in ("KL", "log KL"):
        value = found[f"reward on {other}: R2"].value
        assert value is not None
        assert value < 0.99
    (short,) = fits(curve[:6])
    assert short.value is None
    assert "only 4 readings" in short.reason
    alone = line(curve)
    assert alone is not None
    assert (alone.slope, alone.num_readings) == (pytest.approx(2), 10)
    assert alone.explained == pytest.approx({form: found[f"reward on {form}: R2"].value for form in alone.explained})
    assert line(curve, before=curve[8]) == line(curve[:8])
    assert line(curve[:6]) is None
    assert line([each._replace(values=curve[0].values) for each in curve]) is None


def test_the_onset_is_where_reward_and_test_part_to_stay() -> None:
    def bent(root: float) -> float:
        return min(root, 1.0)

    curve = readings(lambda root: root, test=bent)
    at = onset(curve, "run:test")
    assert at is not None
    assert math.sqrt(at.kl[0]) > 1
    assert at.round == 40
    assert onset(readings(lambda root: root, test=lambda root: root), "run:test") is None
    # What comes together again has not parted.
    back = [*curve, curve[0]._replace(round=60)]
    assert onset(back, "run:test") is None
    best, change = since_best(curve, "run:test")
    assert best.round >= 35
    assert change.value == pytest.approx(0)
    assert fallen(curve, "run:test") is None


def test_a_value_has_fallen_where_it_is_below_its_best_to_stay() -> None:
    curve = readings(lambda root: min(root, 2 - root))
    best, _ = since_best(curve, "reward")
    at = fallen(curve, "reward")
    assert best.round == 35
    assert at is not None
    assert 35 < at.round <= 45
    back = [*curve, best._replace(round=60)]
    assert fallen(back, "reward") is None


def test_two_ways_together_cancel_what_one_preference_model_has_in_scale_only() -> None:
    double, single = (lambda root: 2 * root), (lambda root: root)
    ways = [readings(double, test=single), readings(single, test=double)]
    assert onset(ways[0], "run:test") is not None
    both = together(ways)
    assert onset(both, "run:test") is None
    assert [len(each.clusters) for each in both] == [60] * 12
    assert both[3].values["reward"].mean() == pytest.approx(1.5 * math.sqrt(9 / 50))
    (by_rounds,) = figure(both, by="rounds")
    assert '"x": 55.0' in json.dumps(by_rounds.spec)
