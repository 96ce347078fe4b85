"""A distribution with evaluations, a training method and a study, put on the path as an installed package would be."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from gnomon.core import registry
from gnomon.models.base import Ability, Choice

COIN = '''
"""Does the model call coins right?"""
from dataclasses import dataclass
from typing import Literal
from gnomon.core.record import Item, Row
from gnomon.report.base import Estimate, Figure, Report
from gnomon.trial import evaluation
from gnomon.trial.base import ModelName, Planted


@evaluation
@dataclass(frozen=True, kw_only=True)
class Coin:
    """Does the model call coins right?"""

    n: int = 8
    "Coins to ask."
    side: Literal["heads", "tails"] = "heads"
    "Side that counts as right."
    only: tuple[str, ...] = ("first", "second")
    "Parts to run."
    weights: tuple[float, ...] = ()
    "Weights of the parts."
    strict: bool = False
    "Whether a low rate ends the command with exit code 1."
    judge: ModelName = ModelName("")
    "Who judges."

    def items(self, seed):
        for i in range(self.n):
            yield Item(id=f"coin-{i}", question=f"coin {i}?", choices=("heads", "tails"), gold=i % 2)

    async def trial(self, item, cast, rng):
        choice = await cast.subject.choose(item.question, [" heads", " tails"])
        right = float(choice.p[0] > 0.5)
        return Row(key=item.id, cluster=item.cluster, evidence={"p": choice.p[0], "scores": {"right": right}})

    def summarise(self, rows):
        rate = sum(r.evidence["scores"]["right"] for r in rows) / len(rows)
        expected = (0.9, 1.0) if self.strict else None
        estimates = [
            Estimate(metric="right", value=rate, low=max(0.0, rate - 0.1), high=min(1.0, rate + 0.1), n=len(rows),
                     clusters=len(rows), readout="exact", headline=True, expected=expected),
            Estimate(metric="auroc", value=None, n=len(rows), clusters=len(rows), reason="one class"),
        ]
        return Report(title="Coins", summary="It calls coins.", estimates=estimates, notes=["A fake coin."])

    def planted(self):
        yield Planted(name="null", cast={"subject": "fake"}, truth={"right": 0.5}, null=True)
'''

FIT = '''
"""Trains nothing, quickly."""
from dataclasses import dataclass
from gnomon.core.registry import registered


@registered
@dataclass(frozen=True, kw_only=True)
class Nothing:
    """Trains nothing."""

    steps: int = 3
    "Steps."
    seed: int = 0
    "Seed."


def train(cfg, run):
    for step in range(cfg.steps):
        run.add_metrics(step + 1, {"loss": 1.0 / (step + 1)})
    folder = run.folder / "checkpoint"
    folder.mkdir(exist_ok=True)
    return folder


def preview(cfg):
    return f"{cfg.steps} steps of nothing"
'''

STUDY = '''
"""Does nothing change with more steps?"""
from dataclasses import dataclass
from gnomon.core.registry import registered
from gnomon.report.base import Estimate, Report, Table
from gnomon.study._trained import Studied, over_seeds, train_all
from gnomon_fake_fit import Nothing


@registered
@dataclass(frozen=True, kw_only=True)
class Steps:
    """Train nothing for several numbers of steps."""

    steps: tuple[int, ...] = (2, 3)
    "Numbers of steps."
    seeds: int = 2
    "Trainings of each."


def study(cfg, root, workers):
    configs = [Nothing(steps=steps, seed=seed) for steps in cfg.steps for seed in range(cfg.seeds)]
    trained = train_all(configs, root=root, workers=workers)
    losses = [t.report.estimate("loss").value for t in trained]
    estimates = [Estimate.of("loss", over_seeds(losses), headline=True)]
    table = Table(title="Loss by steps", columns=["steps", "loss"], rows=list(zip([c.steps for c in configs], losses)))
    return Studied(Report(title="Steps", summary="It says little.", estimates=estimates, tables=[table]), trained)
'''

POINTS = """[gnomon.assay]
coin = gnomon_fake_coin
dice = gnomon_fake_dice
[gnomon.train]
nothing = gnomon_fake_fit
[gnomon.study]
steps = gnomon_fake_study
"""


class FakeModel:
    """Says heads with a fixed probability."""

    can = frozenset({Ability.SCORE})
    revision = "r1"

    def __init__(self, name: str, p: float = 0.75) -> None:
        self.name, self.p = name, p

    async def choose(self, prompt: object, options: object) -> Choice:
        return Choice(p=(self.p, 1 - self.p), mass=1.0, readout="exact")

    async def close(self) -> None:
        return


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the fake distribution on the path, makes `load` give fake models, and moves to an empty folder."""
    site = tmp_path / "site"
    info = site / "gnomon_fakes-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "gnomon_fake_coin.py").write_text(COIN)
    (site / "gnomon_fake_dice.py").write_text(COIN.replace("Coin", "Dice").replace("coin", "dice"))
    (site / "gnomon_fake_fit.py").write_text(FIT)
    (site / "gnomon_fake_study.py").write_text(STUDY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gnomon-fakes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(site))
    loader = types.ModuleType("gnomon.models.load")
    loader.load = FakeModel  # type: ignore[attr-defined]  # stands in for the real module
    monkeypatch.setitem(sys.modules, "gnomon.models.load", loader)
    for name in ("gnomon_fake_coin", "gnomon_fake_dice", "gnomon_fake_fit", "gnomon_fake_study"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    registry.names.cache_clear()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.delenv("GNOMON_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return work
