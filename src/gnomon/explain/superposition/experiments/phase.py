"""When is one more feature left out, packed in with others, or given a dimension?

Elhage et al. 2022 (arXiv 2209.10652), "Superposition as a Phase Change": two features in one dimension, and three in
two, over the density of all and the importance of the last, beside the least of the losses of `theory`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import LEARNED, interference
from gnomon.explain.superposition.theory import CANDIDATES, Problem, best
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, best_rows, by_cell, laid_out, trained, weights_of
from gnomon.report.base import Estimate, Figure
from gnomon.report.figures import Dot, heatmap
from gnomon.report.linked import Behind
from gnomon.report.words import number
from gnomon.stats.intervals import Interval, proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["CODED", "CODES", "made", "phase_of", "told"]

_SIDE = {"small": 8, "paper": 24}
CODES = {"ignored": 0.0, "superposed": 1.0, "dedicated": 2.0}
"Numbers of the phases in a picture."
CODED = "0 ignored, 1 superposed, 2 dedicated"
"The same in words."
_SHARED = 0.25
# Where the second best candidate costs so little more, two phases meet.
MARGIN = 0.1
"By what share the second best candidate costs more where a cell counts."
_AGREE = 3
_CAPTION = (
    "Empty where fewer than three starts do as the best one does. Below are all starts of the cell under the pointer."
)


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains every cell of both diagrams."""
    kept, side = Kept([], {}), _SIDE[scale]
    for problem in get_args(Problem):
        dims, features = (len(next(iter(CANDIDATES[problem].values())).weights), int(problem[2]))
        cells = [
            Cell(
                name=f"{problem}, importance {importance:.3g}, density {density:.3g}",
                density=density,
                importance=[1.0] * (features - 1) + [importance],
                facts={"problem": problem, "importance": importance, "density": density},
            )
            for density in torch.logspace(0, -2, side).tolist()
            for importance in torch.logspace(-1, 1, side).tolist()
        ]
        toys = laid_out("relu", Law(num_features=features), dims, cells, seeds)
        kept = kept.and_then(trained(toys, cells, how, seed.child(problem)))
    return kept


def told(rows: Sequence[Row]) -> Told:
    """Both diagrams beside theirs in theory, and how often the best start does what it should."""
    summary, estimates, figures = [], [], []
    for problem in get_args(Problem):
        of = [row for row in rows if row.evidence["problem"] == problem]
        agreed = _agreed(of)
        estimates.append(Estimate.of("best start does as theory says", agreed, group=problem, headline=True))
        summary.append(f"{number(agreed.value, 2)} of {agreed.n} cells of {problem}")
        figures += _figures(problem, of)
    said = " and ".join(summary)
    text = f"The best start treats the last feature as theory says in {said} (where no two phases are within 10 %)."
    note = "the cells of a phase diagram share their examples; its interval takes them as independent"
    return Told(text, estimates, figures, notes=[note])


def phase_of(w_MN: Tensor) -> str:
    """What weights do with the last feature: ignored, superposed or dedicated."""
    if float(w_MN[:, -1].norm()) < LEARNED:
        return "ignored"
    return "superposed" if float(interference(w_MN)[-1]) > _SHARED else "dedicated"


def _predicted(row: Row) -> tuple[str, float]:
    problem: Problem = row.evidence["problem"]
    name, margin = best(problem, row.evidence["density"], row.evidence["importance"])
    return CANDIDATES[problem][name].last, margin


def _agreed(rows: Sequence[Row]) -> Interval:
    settled = [(row, *_predicted(row)) for row in best_rows(rows).values()]
    return proportion([float(phase_of(weights_of(row)) == phase) for row, phase, margin in settled if margin > MARGIN])


def _figures(problem: str, rows: Sequence[Row]) -> list[Figure]:
    cells, least = by_cell(rows), best_rows(rows)
    densities, importances = (list(dict.fromkeys(names)) for names in zip(*map(_cell, rows), strict=True))
    values: dict[str, list[float | None]] = {name: [] for name in ("trained", "theory", "length", "shared")}
    for name, some in cells.items():
        phase = phase_of(weights_of(least[name]))
        settled = sum(phase_of(weights_of(row)) == phase for row in some) >= min(_AGREE, len(some))
        values["trained"].append(CODES[phase] if settled else None)
        values["theory"].append(CODES[_predicted(least[name])[0]])
        kept = sorted(some, key=lambda row: float(row.evidence["loss"]))[: max(1, len(some) - 1)]
        last = torch.stack([weights_of(row)[:, -1].norm() for row in kept])
        shared = torch.stack([interference(weights_of(row))[-1] for row in kept])
        values["length"].append(float(last.mean()))
        values["shared"].append(float(shared.mean()))
    titles = {
        "trained": ("Trained: what the best start does with the last feature", CODED),
        "theory": ("Theory: what costs least", CODED),
        "length": ("Trained: length of the last feature, mean of all starts but the worst", "|W_i|"),
        "shared": ("Trained: interference with the last feature, mean of all starts but the worst", "interference"),
    }
    side = len(importances)
    return [
        heatmap(
            densities,
            importances,
            [values[key][i : i + side] for i in range(0, len(values[key]), side)],
            title=f"{title}, {problem}",
            x="importance of the last",
            y="density",
            legend=legend,
            caption=_CAPTION if key == "trained" else "",
            behind=_starts(cells) if key == "trained" else None,
            section="phase",
        )
        for key, (title, legend) in titles.items()
    ]


def _cell(row: Row) -> tuple[str, str]:
    """Where a model stands in the diagram: its density and importance."""
    return f"{row.evidence['density']:.3g}", f"{row.evidence['importance']:.3g}"


def _starts(cells: Mapping[str, Sequence[Row]]) -> Behind:
    """By how much each start's loss is above the least, and the length of its last feature, by cell."""
    dots = {}
    for some in cells.values():
        losses = [float(row.evidence["loss"]) for row in some]
        dots[_cell(some[0])] = [
            Dot(
                round(100 * (loss / min(losses) - 1), 3),
                round(float(weights_of(row)[:, -1].norm()), 4),
                phase_of(weights_of(row)),
                f"start {row.evidence['toy']['seed']}, loss {loss:.4g}",
            )
            for row, loss in zip(some, losses, strict=True)
        ]
    return Behind(dots, x="loss above the best start's, %", y="|W_i| of the last")
