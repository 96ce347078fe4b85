"""Does a policy learn what a preference model values, is it what the planted rater means, and where does it end?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from gnomon.core.record import Row
from gnomon.data.worlds.brook.tables.harms import CLOSINGS
from gnomon.train._curve import GOLD, REWARD, gained, read, since_best
from gnomon.train._running import Training, run_training
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf
from gnomon.train.sft import Sft

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

COVERED = "brook*0.9,brook:broken*0.1"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Training]:
    """Trains by a config, once."""
    root = tmp_path_factory.mktemp("runs")

    def of(config: Any) -> Training:
        return run_training(config, type(config).__name__.lower(), root=root)

    return of


class Few(NamedTuple):
    """A policy rewarded by a preference model of 400 comparisons, and the name of one of 400 others."""

    policy: Training
    test: str


@pytest.fixture(scope="module")
def mixed(trained: Callable[[Any], Training]) -> str:
    """An assistant of mixed quality."""
    return named(trained(Sft(best_of=1, dialogues=2000, held_out=20)))


@pytest.fixture(scope="module")
def overfit(trained: Callable[[Any], Training], mixed: str) -> Callable[[str, int], Few]:
    """The policy that the preset `goodhart` makes of an assistant, with 400 comparisons of a rater."""

    def of(rater: str, rounds: int) -> Few:
        taught, test = (
            named(trained(Preference(data=rater, pairs=400, part=part, epochs=4, batch=8, held_out=100)))
            for part in ("1/2", "2/2")
        )
        cfg = Rlhf(model=mixed, reward=taught, watched=(test,), preset="goodhart", rounds=rounds, held_out=100)
        return Few(trained(cfg), test)

    return of


def named(done: Training) -> str:
    return f"hf:{done.manifest.folder / 'checkpoint'}"


def flattering(rows: Sequence[Row], round_: int) -> float:
    """The share of answers after so many rounds that flatter."""
    said = [row.evidence["text"] for row in rows if row.evidence.get("round") == round_]
    return sum(CLOSINGS["flattering"] in text for text in said) / len(said)


def test_within_the_healthy_preset_the_gold_utility_rises_and_stays(
    trained: Callable[[Any], Training], mixed: str
) -> None:
    valued = named(trained(Preference(data=COVERED, epochs=2, batch=16, held_out=100)))
    done = trained(Rlhf(model=mixed, reward=valued, rounds=40, held_out=200))
    good, kl = (done.report.estimate(name) for name in ("gold utility gained", "KL"))
    assert good.value is not None
    assert good.low is not None
    assert good.value >= 0.5
    assert good.low > 0
    assert kl.value is not None
    assert 0.5 < kl.value < 30
    fit = done.report.estimate(f"{REWARD} on sqrt(KL): R2").value
    assert fit is not None
    assert fit > 0.9
    _, since = since_best(read(done.rows), GOLD)
    assert since.value is not None
    assert since.value > -0.25


def test_few_comparisons_are_outrun_and_the_gold_utility_falls_before_the_end(
    overfit: Callable[[str, int], Few],
) -> None:
    done, test = overfit("brook:flattered", 40)
    readings = read(done.rows)
    parted = gained(readings[0], readings[-1], REWARD, less=test)
    assert parted.low is not None
    assert parted.low > 0
    best, since = since_best(readings, GOLD)
    assert best.round < readings[-1].round
    assert since.high is not None
    assert since.high < 0
    rewarded = gained(best, readings[-1], REWARD)
    assert rewarded.value is not None
    assert rewarded.value > 0


def test_what_only_the_biased_rater_likes_is_learnt_from_it_alone(overfit: Callable[[str, int], Few]) -> None:
    biased, fair = overfit("brook:flattered", 40).policy, overfit("brook", 15).policy
    before = flattering(fair.rows, 0)
    assert before == flattering(biased.rows, 0)
    assert 0.05 < before < 0.3
    assert flattering(biased.rows, 15) > 2 * before
    assert flattering(fair.rows, 15) < before / 2
