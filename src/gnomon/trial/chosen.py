"""One of m samples, chosen without tests: how does being right depend on m, and on what chooses?

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", fig. 7. Every m up to the samples there are is
read off them: the mean over all choices of m of them, as in pass@k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gnomon.report.figures import Point, curves
from gnomon.stats.best_of import best_of
from gnomon.stats.intervals import Interval
from gnomon.stats.pass_at_k import mean_pass_at_k, over_problems

if TYPE_CHECKING:
    from gnomon.report.base import Figure
    from gnomon.trial.graded import Graded

__all__ = ["chosen_among", "drawn_by_number"]


def chosen_among(tasks: Mapping[str, Sequence[Graded]], of: str, m: int, *, seed: int = 0) -> Interval:
    """How often the sample of the highest `of` among m is right, with an interval over problems.

    Args:
        of: an attribute that every sample has as a number.
        m: at most the samples of every problem.
    """
    chances = []
    for some in tasks.values():
        value = np.array([[float(getattr(g, of)) for g in some]])
        right = np.array([[float(g.passed) for g in some]])
        chances.append(float(best_of(value, right, m)[0]))
    return over_problems(chances, seed=seed)


def drawn_by_number(
    tasks: Mapping[str, Sequence[Graded]], choosers: Mapping[str, str], numbers: Sequence[int], seed: int
) -> Figure:
    """The curves: each chooser, any right one, and a random one.

    Args:
        choosers: the attribute to choose by, by its name in words.
        numbers: of samples to choose among.
    """
    n, c = [len(some) for some in tasks.values()], [sum(g.passed for g in some) for some in tasks.values()]
    points = []
    for m in numbers:
        found = {name: chosen_among(tasks, of, m, seed=seed) for name, of in choosers.items()}
        found["any right one"] = mean_pass_at_k(n, c, m, seed=seed)
        found["a random one"] = mean_pass_at_k(n, c, 1, seed=seed)
        points += [Point(m, i.value or 0.0, i.low, i.high, name) for name, i in found.items()]
    caption = "Mean over all choices of so many samples; bands are 95 % intervals for other problems of the kind."
    title = "One of m samples, chosen without tests"
    return curves(points, x="samples to choose among", y="share right", title=title, caption=caption, log_x=True)
