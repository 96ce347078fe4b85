"""How do models keep more features than they have dimensions?

    gnomon explain superposition
    gnomon explain superposition --only phase,uniform
    gnomon explain superposition --scale paper --only basic

Elhage et al. 2022, "Toy Models of Superposition" (arXiv 2209.10652). Toy models are trained here on features that are
known, so nothing is to be named with --model. `features` is what they see, `toys` what they are and how hundreds train
at once, `geometry` what their weights make, `theory` and `thomson` what they should make; a file of `experiments` is an
experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.report.base import Report

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["Part", "Superposition", "explain", "summarise"]

Part = Literal[
    "basic",
    "sparser",
    "phase",
    "surface",
    "uniform",
    "spheres",
    "perturb",
    "correlated",
    "collapse",
    "dynamics",
    "adversarial",
    "neurons",
    "absolute",
    "penalty",
    "activation",
    "recovery",
    "batch",
]


@registered
@dataclass(frozen=True, kw_only=True)
class Superposition:
    """Train toy models on sparse features: which do they keep, and how do they pack more than they have room for?"""

    own_models: ClassVar[bool] = True

    only: tuple[Part, ...] = get_args(Part)
    "Which experiments."
    scale: Literal["small", "paper"] = "small"
    "Sizes, grids and lengths of training: small ones, or those of the paper, which take hours."
    seeds: int = 10
    "Starts of each cell."
    seed: int = 0
    "Seed of starts and examples."

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise UsageError(f"--seeds is {self.seeds}", todo="give 2 or more")
        if not self.only:
            raise UsageError("--only is empty", todo="name basic or another experiment")


def explain(cfg: Superposition, run: Run) -> Report:
    """Trains what is not trained yet; the run's rows are models, its safetensors files their weights by row."""
    from gnomon.explain.superposition.parts import train_parts

    train_parts(cfg, run)
    return summarise(cfg, run.rows())


def summarise(cfg: Superposition, rows: Sequence[Row]) -> Report:
    """What the experiments show, with intervals over starts."""
    from gnomon.explain.superposition.parts import report

    return report(cfg, rows)
