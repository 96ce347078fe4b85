"""The best of k beside a policy: what made-up values must say, which policies serve, and that all of it is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnomon.core.errors import UsageError
from gnomon.learn.policy import best_of_n_kl
from gnomon.stats.clusters import Matrix
from gnomon.stats.elo import ELO
from gnomon.study import best_of
from gnomon.study._answers import Answers
from gnomon.study.best_of import BestOf
from gnomon.study.best_of.summary import Evidence, report
from gnomon.train._curve import GOLD, REWARD, Reading
from gnomon.train._running import run_training
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf

Q, M = 120, 40


def said(value: dict[str, Matrix]) -> Answers:
    n = len(next(iter(value.values())))
    return Answers([""] * n, [str(i) for i in range(n)], [["a"]] * n, value)


def evidence(*, noise: float = 0.0, policy: float = 0.0) -> Evidence:
    """A start whose answers have utilities of a normal spread, chosen by them plus noise; a policy so much better."""
    rng = np.random.default_rng(0)
    utility = rng.normal(size=(Q, M))
    start = said({"run:pm": utility + noise * rng.normal(size=(Q, M)), "brook:gold": utility})
    better = rng.normal(size=(Q, 17)) + policy
    end = said({"run:pm": better, "brook:gold": better})
    readings = [
        Reading(
            at, np.full(Q, kl), {REWARD: better[:, 0] * share, GOLD: better[:, 0] * share}, [str(i) for i in range(Q)]
        )
        for at, kl, share in ((0, 0.0, 0.0), (6, 1.0, 0.5), (12, 4.0, 1.0))
    ]
    written = {name: np.full((Q, 1), 1.0) for name in ("run:pm", "brook:gold")}
    return Evidence(start, end, readings, written, "run:pm", "brook:gold")


def test_what_is_gained_grows_with_k_and_is_that_of_order_statistics() -> None:
    found = report(evidence(policy=1.0), (1, 4, 16))
    # The mean of the largest of 4 and 16 standard normal draws.
    for k, most in ((4, 1.029), (16, 1.766)):
        gained = found.estimate("gold utility gained", f"best of {k}")
        assert gained.low is not None and gained.high is not None and gained.n == Q
        assert gained.low < most < gained.high
        assert found.estimate("reward gained", f"best of {k}").value == pytest.approx(gained.value)
        assert found.estimate("KL", f"best of {k}").value == pytest.approx(math.log(k) - (k - 1) / k)
    four, sixteen = (found.estimate("Elo above one answer", f"best of {k}").value or 0.0 for k in (4, 16))
    assert 0 < four < sixteen
    policy = found.estimate("Elo above one answer", "policy")
    level = found.estimate("k of the policy's level")
    assert policy.value is not None and level.value is not None
    # A policy that is a deviation better is about at the level of the best of 4.
    assert level.value == pytest.approx(4, abs=1.5)
    assert not any(e.group == "best of 1" for e in found.estimates)
    assert found.tables[0].rows[0][:3] == [1, 0.0, 0.0]
    assert found.figures[0].title.startswith("Elo above one answer")
    assert len(found.figures) == 3


def test_the_null_a_policy_that_equals_its_start_and_values_that_say_nothing() -> None:
    seen = evidence()
    rng = np.random.default_rng(7)
    start = said({"run:pm": rng.normal(size=(Q, M)), "brook:gold": seen.start.value["brook:gold"]})
    found = report(seen._replace(start=start), (4, 16))
    for group in ("best of 16", "policy"):
        e = found.estimate("Elo above one answer", group)
        assert e.low is not None and e.high is not None and e.low < 0 < e.high
    median = found.estimate("median answer preferred to the writers'", "policy")
    # The median of 17 standard normal draws stands against 1 every time, by a rater of sharpness 1.5.
    assert median.value == pytest.approx(1 / (1 + math.exp(1.5)), abs=0.03)
    assert median.null == 0.5
    writers = found.estimate("Elo above one answer", "writers").value
    assert writers is not None and 0.5 * ELO < writers < 1.6 * ELO


def test_without_demonstrations_there_are_no_writers() -> None:
    found = report(evidence()._replace(written={}), (4,))
    assert not any("writers" in e.metric or e.group == "writers" for e in found.estimates)
    assert "writers" not in found.summary


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"k": (1, 128)}, "fewer than --answers"),
        ({"k": (1,)}, "choose among several"),
        ({"n": 1}, "--n is 1"),
        ({"policy": "run:a", "start": "brook"}, "leave --start and --reward out"),
        ({"asked": "prompts.jsonl"}, ""),
    ],
)
def test_settings_that_make_no_study_are_refused(given: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why or "an assistant of mixed quality is trained for Brook's questions alone"):
        best_of.study(BestOf(**given), tmp_path, 1)


def test_a_given_policy_says_its_start_and_its_reward(tiny: str, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    wanted = Rlhf(
        reward="brook:gold", model=tiny, rounds=2, answers=4, held_out=6, probes=4, every=1, max_tokens=8, budget=0.0
    )
    policy = run_training(wanted, "rlhf", root=root)
    studied = best_of.study(BestOf(policy=policy.model, k=(1, 3), answers=6, n=5), root, 1)
    assert [part.run for part in studied.runs] == [policy.manifest.id]
    assert studied.report.estimate("reward gained", "best of 3").n == 5
    assert studied.report.estimate("KL", "policy").n == 4
    assert best_of_n_kl(3) == studied.report.estimate("KL", "best of 3").value
    other = run_training(Preference(model=tiny, pairs=8, held_out=4), "preference", root=root)
    with pytest.raises(UsageError, match="is train preference, done; name a finished run of `gnomon train rlhf`"):
        best_of.study(BestOf(policy=other.model), root, 1)
