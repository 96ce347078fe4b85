"""The study of robustness on policies whose values are made up, so that every number is known; and one that trains."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.report.base import Report
from gnomon.study import robustness
from gnomon.study._family import Sized
from gnomon.study._trained import Trained, run_trainings
from gnomon.study.robustness import Robustness
from gnomon.train._running import run_training
from gnomon.train.preference import Preference, sides
from gnomon.train.rlhf import Rlhf
from gnomon.train.sft import Sft

SIZES = {"small": 1e4, "middle": 1e5, "large": 1e6}
QUESTIONS = 30
SEEDS = 3


class Told(NamedTuple):
    """What a policy is made to gain: functions of sqrt(KL)."""

    reward: Callable[[float], float]
    test: Callable[[float], float]
    gold: Callable[[float], float] | None = None
    speed: float = 1.0


Making = Callable[[Rlhf, Preference], Told]


def line(root: float) -> float:
    return root


def scale(of: Preference) -> float:
    """Preference models of the two halves differ in scale by a half, and nothing else."""
    return 1.5 if of.part == "1/2" else 1.0


def way(cfg: Rlhf, by_name: dict[str, Preference], make: Making) -> list[Row]:
    """Rows of thirteen readings of a policy; questions differ in their zeros and in noise that has no mean."""
    taught = by_name[cfg.reward]
    told, rows = make(cfg, taught), []
    for i in range(13):
        kl = told.speed * i**2 / 50
        root = math.sqrt(kl)
        own = np.linspace(-2, 2, QUESTIONS)
        noise = 0.1 * np.cos(np.arange(QUESTIONS) * (i + 1) * np.pi / 2.5)
        noise -= noise.mean()
        watched = {name: scale(by_name[name]) * told.test(root) - own for name in cfg.watched}
        reward = scale(taught) * told.reward(root) + own + noise
        for q in range(QUESTIONS):
            evidence = {
                "round": 5 * i,
                "k1": kl,
                "reward": float(reward[q]),
                "gold": float(told.gold(root) + noise[q]) if told.gold else None,
                "watched": {name: float(values[q]) for name, values in watched.items()},
            }
            rows.append(Row(key=f"round-{5 * i:05d}-{q}", cluster=str(q), evidence=evidence))
    return rows


def compared(cfg: Preference) -> list[Row]:
    """Two held-out comparisons, one of them told right, their values apart as far as its scale says."""
    values = ((scale(cfg), 0.0), (0.0, scale(cfg)))
    return [
        Row(key=str(i), cluster=str(i), evidence={"chosen": good, "rejected": bad, "p": 1.0, "tokens": [1, 1]})
        for i, (good, bad) in enumerate(values)
    ]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[Robustness, Making], tuple[Report, list[Any]]]:
    """Reports on made-up trainings, and the configs that were asked for."""

    def use(cfg: Robustness, make: Making) -> tuple[Report, list[Any]]:
        asked: list[Any] = []
        by_name: dict[str, Preference] = {}

        def rows(config: Any) -> list[Row]:
            if isinstance(config, Rlhf):
                return way(config, by_name, make)
            return compared(config) if isinstance(config, Preference) else []

        def train(configs: Sequence[Any], *, root: Path | None, workers: int = 1) -> list[Trained]:
            done = []
            for config in configs:
                name = f"r{len(asked)}"
                asked.append(config)
                done.append(Trained(config, name, f"run:{name}", rows(config), Report(title="")))
                if isinstance(config, Preference):
                    by_name[f"run:{name}"] = config
            return done

        monkeypatch.setattr(robustness, "train_all", train)
        monkeypatch.setattr(
            robustness, "sized", lambda models, least: sorted((Sized(m, SIZES[m]) for m in models), key=lambda s: s[1])
        )
        return robustness.study(cfg, None, 1).report, asked

    return use


def few(**more: Any) -> Robustness:
    return Robustness(**{"data": ("brook",), "pairs": (100,), "model": ("large",), "seeds": SEEDS, **more})


def test_each_policy_learns_from_one_half_and_is_watched_by_every_size_of_the_other(made_up: Any) -> None:
    ladder: dict[str, Any] = {"model": ("large", "small", "middle"), "start": ("L", "S", "M")}
    cfg = few(data=("a", "b"), pairs=(30, 300), **ladder, seeds=1, draws=2)
    report, asked = made_up(cfg, lambda cfg, of: Told(line, line))
    valued = {f"run:r{i}": c for i, c in enumerate(asked) if isinstance(c, Preference)}
    policies = [c for c in asked if isinstance(c, Rlhf)]
    assert len(valued) == 2 * 2 * 3 * 2 and len(set(valued.values())) == len(valued)
    # Three under the largest, and two more under one of their own size.
    assert len(policies) == 2 * 2 * 5 * 2 * 2 and len(set(policies)) == len(policies)
    assert not [c for c in asked if isinstance(c, Sft)]
    under = set()
    for each in policies:
        taught, tests = valued[each.reward], [valued[name] for name in each.watched]
        assert {t.model for t in tests} == {"small", "middle", "large"}
        for test in tests:
            assert {taught.part, test.part} == {"1/2", "2/2"}
            assert (test.data, test.pairs, test.seed) == (taught.data, taught.pairs, taught.seed)
        assert each.seed % 1000 == taught.seed and each.budget == 0
        assert (each.kl,) == cfg.kl
        under.add((each.model, taught.model))
    assert under == {("S", "large"), ("M", "large"), ("L", "large"), ("S", "small"), ("M", "middle")}
    table = next(t for t in report.tables if t.title == "Policies by preference model")
    assert len(table.rows) == 2 * 2 * 5 * 3
    assert {row[4] for row in table.rows} == {"PM_test 10k", "PM_test 100k", "PM_test 1M"}


def test_by_default_policies_start_from_assistants_of_mixed_quality(made_up: Any) -> None:
    _, asked = made_up(few(), lambda cfg, of: Told(line, line))
    mixed = [c for c in asked if isinstance(c, Sft)]
    assert [(c.model, c.best_of) for c in mixed] == [("large", 1)]
    assert {c.model for c in asked if isinstance(c, Rlhf)} == {f"run:r{asked.index(mixed[0])}"}


def test_halves_of_the_same_seed_share_no_comparison() -> None:
    taught, test = (
        sides(Preference(data="brook:flattered", pairs=60, held_out=20, part=part, seed=1))
        for part in robustness.HALVES
    )
    assert len(taught.learnt) == len(test.learnt) == 60
    assert not {each.pair for each in taught.learnt} & {each.pair for each in test.learnt}


def test_a_planted_onset_is_found_and_what_differs_in_scale_only_has_none(made_up: Any) -> None:
    def make(cfg: Rlhf, of: Preference) -> Told:
        if of.pairs == 100:
            # What is meant turns where the two part.
            return Told(line, lambda root: min(root, 1.0), lambda root: 2 * min(root, 2 - root))
        return Told(line, line, line)

    report, _ = made_up(few(pairs=(100, 1000)), make)
    at = report.estimate("reward parts from PM_test: round", "brook, 100 pairs")
    # sqrt(KL) is i / sqrt(50) at reading i of five rounds: above 1 from reading 8 on.
    assert at.value == 40 and at.n == SEEDS and at.headline
    assert "in 3 of 3 repetitions" in at.reason
    all_of = report.estimate("reward parts from PM_test, repetitions together: round", "brook, 100 pairs")
    assert all_of.value == 40
    apart = report.estimate("reward gained above PM_test", "brook, 100 pairs")
    assert apart.value == pytest.approx(1.25 * (12 / math.sqrt(50) - 1))
    share = report.estimate("share of the reward gained that PM_test does not see", "brook, 100 pairs")
    assert share.value == pytest.approx(1 - math.sqrt(50) / 12) and share.headline
    falls = report.estimate("gold utility falls: round", "brook, 100 pairs")
    assert falls.value is not None and 40 <= falls.value <= 45
    lost = report.estimate("gold utility: change since its best", "brook, 100 pairs")
    assert lost.value == pytest.approx(2 * (2 - 12 / math.sqrt(50)) - 2 * 7 / math.sqrt(50), abs=0.05)
    none = report.estimate("reward parts from PM_test: round", "brook, 1000 pairs")
    assert none.value is None and "in 0 of 3 repetitions; at no reading up to round 60" in none.reason
    assert report.estimate("reward gained above PM_test", "brook, 1000 pairs").value == pytest.approx(0)
    assert report.estimate("gold utility falls: round", "brook, 1000 pairs").value is None
    assert "brook, 1000 pairs: reward does not part from PM_test up to round 60" in report.summary
    assert "brook, 100 pairs: reward parts from PM_test at round 40, in 3 of 3 repetitions" in report.summary
    titles = [figure.title for figure in report.figures]
    assert "Where they part, by comparisons" in titles
    assert "What was gained, by rounds: brook, 100 pairs" in titles
    drawn = json.dumps([figure.spec for figure in report.figures])
    assert "PM_test 1M" in drawn and "brook, does not part" in drawn


def test_lines_in_the_root_of_kl_are_recovered_up_to_the_onset(made_up: Any) -> None:
    def make(cfg: Rlhf, of: Preference) -> Told:
        slope = {"small": 0.5, "large": 2.0}[of.model] * {"S": 0.8, "L": 1.0}[cfg.model]
        return Told(lambda root: slope * root + max(0.0, root - 1), lambda root: slope * root)

    cfg = few(model=("small", "large"), start=("S", "L"), draws=2)
    report, _ = made_up(cfg, make)
    own, other, small = (
        f"brook, 100 pairs, PM {pm}, policy {policy}" for pm, policy in (("1M", "1M"), ("1M", "10k"), ("10k", "10k"))
    )
    # Scales of the halves are 1.5 and 1.
    assert report.estimate("slope of reward on sqrt(KL)", own).value == pytest.approx(1.25 * 2.0, abs=0.02)
    assert report.estimate("slope of reward on sqrt(KL)", small).value == pytest.approx(1.25 * 0.4, abs=0.02)
    assert report.estimate("R2 on sqrt(KL)", own).value == pytest.approx(1, abs=1e-3)
    on_kl = report.estimate("R2 on KL", own).value
    assert on_kl is not None and on_kl < 0.99
    ratio = report.estimate("slope over that of the largest policy of the same preference model", other)
    assert ratio.value == pytest.approx(0.8, abs=0.01) and ratio.null == 1
    spread = report.estimate("slopes of policies of one preference model: standard deviation over mean", own)
    assert spread.value == pytest.approx(0)
    assert "Slope by size" in [figure.title for figure in report.figures]
    assert "the median R2 of reward is 1.00 on sqrt(KL)" in report.summary


def test_weights_of_kl_are_compared_after_as_many_rounds(made_up: Any) -> None:
    def make(cfg: Rlhf, of: Preference) -> Told:
        assert cfg.kl is not None
        # A dear nat leaves a quarter of the KL, so half of its root.
        return Told(line, line, line, speed=0.25 if cfg.kl >= 0.1 else 1.0)

    cfg = few(kl=(0.1, 0.0, 0.001))
    report, asked = made_up(cfg, make)
    assert {c.kl for c in asked if isinstance(c, Rlhf)} == {0.0, 0.001, 0.1}
    cheap, dear = ("brook, 100 pairs, KL at 0.001", "brook, 100 pairs, KL at 0.1")
    end, root = 144 / 50, 12 / math.sqrt(50)
    assert report.estimate("price of KL over reward gained", cheap).value == pytest.approx(0.001 * end / (1.25 * root))
    price = report.estimate("price of KL over reward gained", dear)
    assert price.value == pytest.approx(0.1 * end / 4 / (1.25 * root / 2)) and price.n == SEEDS
    assert report.estimate("change of reward", cheap).value == pytest.approx(0)
    assert report.estimate("change of reward", dear).value == pytest.approx(-1.25 * root / 2)
    assert report.estimate("change of KL", dear).value == pytest.approx(-0.75 * end)
    assert report.estimate("the weight changes KL: round", cheap).value is None
    at = report.estimate("the weight changes KL: round", dear)
    assert at.value == 5 and "KL is 0.02 there at the smallest weight" in at.reason
    table = next(t for t in report.tables if t.title == "The weight of KL")
    assert [row[table.columns.index("weight of KL")] for row in table.rows] == [0.0, 0.001, 0.1]
    assert f"{dear}: what KL costs is {price.value:.3f} (" in report.summary
    assert "KL by the weight of KL: brook, 100 pairs" in [figure.title for figure in report.figures]


def test_of_one_repetition_intervals_are_over_questions(made_up: Any) -> None:
    report, _ = made_up(few(seeds=1), lambda cfg, of: Told(line, line))
    gained = report.estimate("reward gained", "brook, 100 pairs")
    assert gained.n == 2 * QUESTIONS and gained.clusters == QUESTIONS and gained.low is not None
    assert any("--seeds 3" in note for note in report.notes)
    # Nobody knows what was meant.
    assert not [e for e in report.estimates if "gold" in e.metric]
    assert "What was meant" not in [t.title for t in report.tables]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seeds": 0}, "a study needs comparisons, a model and a seed"),
        ({"pairs": ()}, "a study needs comparisons, a model and a seed"),
        ({"kl": (0.1, 0.1)}, "something is named twice; name each of --data, --pairs, --model and --kl once"),
        ({"kl": (-1.0,)}, "--kl is -1; give 0 or more"),
        ({"rounds": 8}, "--every is 5 of 8 rounds, too few readings for a curve; give --rounds of at least twice"),
        ({"start": ("x", "y")}, "2 starts for 1 models; give --start one a --model"),
        (
            {"asked": "prompts.jsonl"},
            "an assistant of mixed quality is trained for Brook's questions alone",
        ),
    ],
)
def test_what_makes_no_study_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        few(**given)
    assert told in str(caught.value)


def test_two_models_of_one_size_are_refused(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "other", SIZES["large"] + 1)
    with pytest.raises(UsageError, match="two models are of one size"):
        made_up(few(model=("large", "other")), lambda cfg, of: Told(line, line))


def test_a_study_trains_reads_and_leaves_tables(tiny: str, tmp_path: Path) -> None:
    how: dict[str, Any] = {"rounds": 4, "every": 2, "probes": 8, "held_out": 10, "max_tokens": 8, "seeds": 1}
    cfg = Robustness(data=("brook",), pairs=(16,), model=(tiny,), start=(tiny,), kl=(0.0, 0.1), **how)
    studied, run = run_trainings(cfg, "robustness", root=tmp_path)
    assert len(studied.runs) == 2 + 2 * 2
    written = {path.name for path in run.folder.glob("*.csv")}
    assert {"curves.csv", "policies-by-preference-model.csv", "what-was-meant.csv", "the-weight-of-kl.csv"} <= written
    lines = (run.folder / "curves.csv").read_text().splitlines()
    assert [line.split(",")[2:4] for line in lines[1:]] == [["0", "0"], ["2", "128"], ["4", "256"]]
    again, _ = run_trainings(cfg, "robustness", root=tmp_path)
    assert again.report.estimates == studied.report.estimates


def test_a_preference_model_that_watches_itself_never_parts(tiny: str, tmp_path: Path) -> None:
    import shutil

    from gnomon.train._curve import onset, read

    taught = run_training(Preference(model=tiny, pairs=16, held_out=10), "preference", root=tmp_path)
    twin = tmp_path / "twin"
    shutil.copytree(taught.manifest.folder / "checkpoint", twin)
    first = f"hf:{taught.manifest.folder / 'checkpoint'}"
    cfg = Rlhf(model=tiny, reward=first, watched=(f"hf:{twin}",), rounds=4, every=1, probes=8, held_out=8, max_tokens=8)
    readings = read(run_training(cfg, "rlhf", root=tmp_path).rows)
    assert len(readings) > 2 and onset(readings, f"hf:{twin}") is None
