"""Contest problems show examples: what does trying them first gain, and what do late answers cost?

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", sec. 3.5. Filtered pass@k takes its k samples from
those that pass the examples of the statement; a problem without such a sample counts 0. Where fewer than k
pass they are all taken, which the paper does not say. Late samples count as wrong, and apart from that as right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from gnomon.report.base import Estimate
from gnomon.stats.intervals import proportion
from gnomon.stats.pass_at_k import over_problems, pass_at_k

__all__ = ["Tried", "filtered"]

LATE = "timeouts as right"


class Tried(Protocol):
    """A sample whose statement shows examples."""

    @property
    def cause(self) -> str:
        """ "passed", or why it did not."""

    @property
    def shown(self) -> bool | None:
        """Whether it passes the examples; None where there are none."""


def filtered(tasks: Mapping[str, Sequence[Tried]], ks: Sequence[int], group: str, seed: int) -> Iterator[Estimate]:
    """pass@k with late answers as right, and filtered pass@k in both conventions; nothing where no examples are shown.

    Args:
        tasks: samples by problem.
        ks: of pass@k, each at most the samples of every problem.
    """
    known = {task: some for task, some in tasks.items() if all(s.shown is not None for s in some)}
    if not known:
        return
    share = proportion(*_shown(known), seed=seed)
    yield Estimate.of("share that passes the examples", share, group=group)
    kept = {task: [s for s in some if s.shown] for task, some in known.items()}
    for k in ks:
        for name, some, late in (
            (f"pass@{k}, {LATE}", known, True),
            (f"filtered pass@{k}", kept, False),
            (f"filtered pass@{k}, {LATE}", kept, True),
        ):
            chances = [_chance(samples, k, late) for samples in some.values()]
            yield Estimate.of(name, over_problems(chances, seed=seed), group=group)


def _shown(tasks: Mapping[str, Sequence[Tried]]) -> tuple[list[float], list[str]]:
    pairs = [(float(bool(s.shown)), task) for task, some in tasks.items() for s in some]
    return [hit for hit, _ in pairs], [task for _, task in pairs]


def _chance(samples: Sequence[Tried], k: int, late: bool) -> float:
    if not samples:
        return 0.0
    right = sum(s.cause == "passed" or (late and s.cause == "timeout") for s in samples)
    return pass_at_k(len(samples), right, min(k, len(samples)))
